#include "engine/prompt_lookup.h"

#include <algorithm>
#include <bit>
#include <new>
#include <random>

#include "base/check.h"

namespace inferno::engine {
namespace {

// Where hashing begins. Another one in every process: clients name tokens, and must not be able to
// choose such as lie side by side in a table, which would make every probe of it long.
uint64_t hash_seed() {
  static const uint64_t seed = [] {
    std::random_device random;
    return (uint64_t{random()} << 32) | random();
  }();
  return seed;
}

uint64_t hash_of(std::span<const TokenId> gram) {
  uint64_t hash = hash_seed();
  for (const TokenId token : gram) {
    hash = (hash ^ static_cast<uint64_t>(token)) * 0xD6E8FEB86659FD93ULL;
    hash ^= hash >> 32;
  }
  return hash;
}

// How many tokens before `place` are equal to the last ones, up to kLongestMatch.
int equal_tokens(std::span<const TokenId> tokens, size_t place) {
  const auto longest = std::min<size_t>(PromptLookup::kLongestMatch, place);
  size_t count = 0;
  while (count < longest && tokens[place - 1 - count] == tokens[tokens.size() - 1 - count])
    ++count;
  return static_cast<int>(count);
}

// Of the kAlignedTokens before `place`, those that are equal to the ones as far before the end.
int agreeing_tokens(std::span<const TokenId> tokens, size_t place) {
  const auto aligned = std::min<size_t>(PromptLookup::kAlignedTokens, place);
  int count = 0;
  for (size_t i = 1; i <= aligned; ++i)
    count += tokens[place - i] == tokens[tokens.size() - i] ? 1 : 0;
  return count;
}

}  // namespace

// At most two thirds of the slots are ever taken. The memory comes from calloc, since that leaves
// large tables untouched: those of a request that only waits, or ends early, cost nothing.
PromptLookup::PromptLookup(const LookupLengths& lengths, int max_tokens)
    : lengths_(lengths), slot_count_(std::bit_ceil(static_cast<size_t>(max_tokens) * 3 / 2 + 1)) {
  CHECK(lengths.least >= 1 && lengths.least <= lengths.most, "lengths {} to {}", lengths.least,
        lengths.most);
  const auto tables = static_cast<size_t>(lengths.most - lengths.least + 1);
  slots_.reset(static_cast<uint32_t*>(std::calloc(tables * slot_count_, sizeof(uint32_t))));
  if (!slots_) throw std::bad_alloc();
}

// Where the `length` tokens before `end` are entered, or would be.
uint32_t& PromptLookup::slot(std::span<const TokenId> tokens, int length, size_t end) {
  const auto size = static_cast<size_t>(length);
  const auto gram = tokens.subspan(end - size, size);
  uint32_t* const table = slots_.get() + static_cast<size_t>(length - lengths_.least) * slot_count_;
  for (size_t i = hash_of(gram);; ++i) {
    uint32_t& entry = table[i & (slot_count_ - 1)];
    if (entry == 0 || std::ranges::equal(tokens.subspan(entry - size, size), gram)) return entry;
  }
}

// The sequences that end at the very end are left out: nothing followed them yet.
void PromptLookup::enter_until(std::span<const TokenId> tokens) {
  for (; entered_ + 1 < tokens.size(); ++entered_) {
    const size_t end = entered_ + 1;
    for (int length = lengths_.least; length <= lengths_.most; ++length) {
      if (static_cast<size_t>(length) > end) break;
      slot(tokens, length, end) = static_cast<uint32_t>(end);
    }
  }
}

// Where the longest of the looked-up lengths ended last, before the end; 0: nowhere.
size_t PromptLookup::latest_place(std::span<const TokenId> tokens) {
  const size_t end = tokens.size();
  for (int length = lengths_.most; length >= lengths_.least; --length) {
    if (static_cast<size_t>(length) > end) continue;
    if (const size_t place = slot(tokens, length, end); place > 0) return place;
  }
  return 0;
}

int PromptLookup::propose(std::span<const TokenId> tokens, int most, std::vector<TokenId>& drafts) {
  CHECK(tokens.size() < slot_count_, "{} tokens, made for {}", tokens.size(), slot_count_);
  enter_until(tokens);
  const size_t end = tokens.size();
  size_t place = latest_place(tokens);
  int match = place > 0 ? equal_tokens(tokens, place) : 0;
  if (distance_ > 0) {
    const size_t followed = end - distance_;
    const int run = equal_tokens(tokens, followed);
    const int agreeing = agreeing_tokens(tokens, followed);
    if (place > 0 ? run >= match : agreeing >= kLeastAgreeing) {
      place = followed;
      match = std::max(run, agreeing);
    }
  }
  if (place == 0) return 0;
  distance_ = end - place;
  for (size_t i = place; i < place + static_cast<size_t>(most); ++i)
    drafts.push_back(i < end ? tokens[i] : drafts[i - end]);
  return match;
}

std::unique_ptr<DraftState> PromptLookupProposer::begin(const DraftSubject& subject) {
  return std::make_unique<PromptLookup>(lengths_, subject.max_tokens);
}

void PromptLookupProposer::propose(std::span<DraftJob> jobs, int /*catch_up_tokens*/) {
  for (DraftJob& job : jobs) {
    auto& lookup = static_cast<PromptLookup&>(*job.state);
    *job.match_length = lookup.propose(job.tokens, job.most, *job.drafts);
  }
}

}  // namespace inferno::engine
