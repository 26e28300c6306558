#include "token/vocabulary.h"

#include "token/pretokenizer_table.h"

namespace inferno::token {

std::optional<Merge> parse_merge(std::string_view line) {
  // The first character may itself be a space: in vocabularies that are not byte-level it is a
  // piece.
  const size_t space = line.find(' ', 1);
  if (space == std::string_view::npos || space + 1 == line.size()) return std::nullopt;
  return Merge{std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

void set_implied_flags(Vocabulary& vocabulary) {
  vocabulary.add_bos = false;
  vocabulary.add_eos = false;
  vocabulary.add_space_prefix = false;
  vocabulary.ignore_merges = false;
  switch (vocabulary.kind) {
    case VocabularyKind::kSentencePieceBpe:
      vocabulary.add_bos = true;
      // With merge rules it is the "gemma4" form, which has no space in front.
      vocabulary.add_space_prefix = vocabulary.merges.empty();
      break;
    case VocabularyKind::kWordPiece:
      vocabulary.add_bos = true;
      vocabulary.add_eos = true;
      break;
    case VocabularyKind::kUnigram:
      vocabulary.add_eos = true;
      vocabulary.add_space_prefix = true;
      break;
    case VocabularyKind::kByteLevelBpe:
      if (const PreTokenizerRule* rule = find_pre_tokenizer(vocabulary.pre_tokenizer)) {
        vocabulary.add_bos = rule->add_bos;
        vocabulary.add_eos = rule->add_eos;
        vocabulary.ignore_merges = rule->ignore_merges;
      }
      break;
  }
}

}  // namespace inferno::token
