#include "engine/draft_vocabulary.h"

#include <algorithm>

namespace inferno::engine {
namespace {

constexpr const char* kField = "speculative-config";

bool is_unused(const token::Vocabulary& vocabulary, size_t id) {
  return vocabulary.tokens[id].empty() ||
         (id < vocabulary.types.size() && vocabulary.types[id] == token::TokenType::kUnused);
}

size_t used_count(const token::Vocabulary& vocabulary) {
  size_t count = vocabulary.tokens.size();
  while (count > 0 && is_unused(vocabulary, count - 1))
    --count;
  return count;
}

}  // namespace

Result<void> check_draft_vocabulary(const token::Vocabulary& target,
                                    const token::Vocabulary& draft) {
  const size_t target_count = used_count(target);
  const size_t draft_count = used_count(draft);
  const size_t common = std::min(target_count, draft_count);
  for (size_t id = 0; id < common; ++id) {
    if (target.tokens[id] == draft.tokens[id]) continue;
    if (is_unused(target, id) && is_unused(draft, id)) continue;
    return fail_field(kField,
                      "{}: the draft model has another vocabulary than the model: token {} is "
                      "'{}', and '{}' in the model",
                      kField, id, draft.tokens[id], target.tokens[id]);
  }
  if (std::max(target_count, draft_count) - common > kMostVocabularyDifference) {
    return fail_field(kField,
                      "{}: the draft model has {} tokens and the model {}; they may differ by {}",
                      kField, draft_count, target_count, kMostVocabularyDifference);
  }
  return {};
}

}  // namespace inferno::engine
