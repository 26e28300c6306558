#include "token/tokenizer_tables.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

#include "token/bpe_bytes.h"
#include "token/pretokenizer_table.h"

namespace inferno::token {
namespace {

// Pieces that end an answer in the models that have them as special tokens; their files do not
// always say so.
constexpr auto kEndingPieces =
    std::to_array<std::string_view>({"<|eot_id|>",
                                     "<|im_end|>",
                                     "<|end|>",
                                     "<|return|>",
                                     "<|call|>",
                                     "<|flush|>",
                                     "<|calls|>",
                                     "<end_of_turn>",
                                     "<turn|>",
                                     "<|endoftext|>",
                                     "<|end_of_text|>",
                                     "<|eom_id|>",
                                     "<EOT>",
                                     "_<EOT>",
                                     "< EOT >",
                                     "<|end_of_turn|>",
                                     "<|endofturn|>",
                                     "[|endofturn|]",
                                     "<end_of_utterance>",
                                     "<eos>",
                                     "<|end\xE2\x96\x81of\xE2\x96\x81sentence|>",
                                     "<\xEF\xBD\x9C"
                                     "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"});

TokenType type_of(const Vocabulary& vocabulary, size_t id) {
  return vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[id];
}

bool is_special_type(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown;
}

struct NamedId {
  std::string_view name;
  std::optional<TokenId> id;
};

Result<void> check_id(NamedId named, size_t vocab_size) {
  if (!named.id || (*named.id >= 0 && static_cast<size_t>(*named.id) < vocab_size)) return {};
  return fail(Fault::kInvalid, "{} token id is {}, the vocabulary has {} tokens", named.name,
              *named.id, vocab_size);
}

Result<void> check_ids(const Vocabulary& vocabulary) {
  std::vector<NamedId> all = {
      {"bos", vocabulary.bos}, {"eos", vocabulary.eos}, {"eot", vocabulary.eot},
      {"eom", vocabulary.eom}, {"unk", vocabulary.unk}, {"pad", vocabulary.pad},
      {"cls", vocabulary.cls}, {"sep", vocabulary.sep}, {"mask", vocabulary.mask}};
  for (const TokenId id : vocabulary.end_of_generation)
    all.push_back({"end_of_generation", id});
  for (const TokenId id : vocabulary.strip_left)
    all.push_back({"strip_left", id});
  for (const TokenId id : vocabulary.strip_right)
    all.push_back({"strip_right", id});
  for (const NamedId& named : all) {
    if (auto good = check_id(named, vocabulary.tokens.size()); !good) return good;
  }
  return {};
}

Result<void> check(const Vocabulary& vocabulary) {
  const size_t size = vocabulary.tokens.size();
  if (size == 0) return fail(Fault::kInvalid, "vocabulary has no tokens");
  if (size > static_cast<size_t>(std::numeric_limits<TokenId>::max())) {
    return fail(Fault::kInvalid, "vocabulary has {} tokens, limit {}", size,
                std::numeric_limits<TokenId>::max());
  }
  if (!vocabulary.types.empty() && vocabulary.types.size() != size) {
    return fail(Fault::kInvalid, "vocabulary has {} tokens but {} token types", size,
                vocabulary.types.size());
  }
  if (!vocabulary.scores.empty() && vocabulary.scores.size() != size) {
    return fail(Fault::kInvalid, "vocabulary has {} tokens but {} scores", size,
                vocabulary.scores.size());
  }
  if (vocabulary.kind == VocabularyKind::kUnigram) {
    return fail(Fault::kInvalid, "unigram (t5) vocabularies are not supported");
  }
  if (vocabulary.kind == VocabularyKind::kSentencePieceBpe && vocabulary.scores.empty() &&
      vocabulary.merges.empty()) {
    return fail(Fault::kInvalid, "SentencePiece vocabulary has neither scores nor merges");
  }
  return check_ids(vocabulary);
}

// The byte that "<0x0A>" spells; none for any other piece.
std::optional<char> byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return std::nullopt;
  int value = 0;
  for (const char digit : piece.substr(3, 2)) {
    const size_t number = std::string_view("0123456789ABCDEF").find(digit);
    if (number == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<int>(number);
  }
  return static_cast<char>(value);
}

// The bytes that a token adds to a text.
std::string render(const TokenizerTables& tables, size_t id) {
  const std::string& piece = tables.vocabulary.tokens[id];
  const TokenType type = type_of(tables.vocabulary, id);
  if (type == TokenType::kUnused) return {};
  if (is_special_type(type)) return piece;
  const std::optional<char> byte = byte_of_piece(piece);
  const bool may_be_byte = type == TokenType::kByte || tables.vocabulary.types.empty();
  if (byte && may_be_byte && !tables.byte_pieces) return std::string(1, *byte);
  if (tables.escapes_spaces) return with_spaces(piece);
  if (!tables.byte_pieces || type == TokenType::kUserDefined) return piece;
  return bytes_of_piece(piece).value_or(piece);
}

void render_all(TokenizerTables& tables) {
  const size_t size = tables.vocabulary.tokens.size();
  std::vector<size_t> ends(size);
  for (size_t id = 0; id < size; ++id) {
    tables.arena += render(tables, id);
    ends[id] = tables.arena.size();
  }
  tables.rendered.resize(size);
  const std::string_view arena = tables.arena;
  for (size_t id = 0, begin = 0; id < size; begin = ends[id++]) {
    tables.rendered[id] = arena.substr(begin, ends[id] - begin);
  }
}

// Completes vocabulary.end_of_generation.
void find_ending_tokens(TokenizerTables& tables) {
  Vocabulary& vocabulary = tables.vocabulary;
  std::vector<TokenId>& ending = vocabulary.end_of_generation;
  for (const auto& id : {vocabulary.eos, vocabulary.eot, vocabulary.eom}) {
    if (id) ending.push_back(*id);
  }
  // In gpt-oss's format a message ends with <|end|> and the answer goes on; <|return|> and <|call|>
  // end it.
  const bool harmony = tables.index.find("<|return|>") && tables.index.find("<|call|>");
  for (const std::string_view piece : kEndingPieces) {
    const std::optional<TokenId> id = tables.index.find(piece);
    if (!id || (harmony && piece == "<|end|>")) continue;
    const TokenType type = type_of(vocabulary, static_cast<size_t>(*id));
    if (type == TokenType::kControl || type == TokenType::kUserDefined) ending.push_back(*id);
  }
  std::ranges::sort(ending);
  ending.erase(std::ranges::unique(ending).begin(), ending.end());
}

void note_facts(TokenizerTables& tables) {
  const Vocabulary& vocabulary = tables.vocabulary;
  tables.facts.resize(vocabulary.tokens.size());
  const auto set = [&](std::span<const TokenId> ids, TokenFact fact) {
    for (const TokenId id : ids)
      tables.facts[static_cast<size_t>(id)] |= fact;
  };
  set(vocabulary.end_of_generation, kEnds);
  set(vocabulary.strip_left, kStripsLeft);
  set(vocabulary.strip_right, kStripsRight);
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const TokenType type = type_of(vocabulary, id);
    const auto token = static_cast<TokenId>(id);
    if (is_special_type(type)) {
      tables.facts[id] |= kSpecial;
      const std::string& piece = vocabulary.tokens[id];
      tables.special.add(tables.escapes_spaces ? with_spaces(piece) : piece, token,
                         SpecialKind::kOnRequest);
    } else if (type == TokenType::kUserDefined) {
      tables.special.add(tables.rendered[id], token, SpecialKind::kAlways);
    }
  }
}

// Compiles the expressions and sets how spaces are spelled.
Result<void> prepare_words(TokenizerTables& tables) {
  const Vocabulary& vocabulary = tables.vocabulary;
  const PreTokenizerRule* rule = find_pre_tokenizer(vocabulary.pre_tokenizer);
  const bool raw = rule != nullptr && rule->raw_utf8;
  tables.byte_pieces = vocabulary.kind == VocabularyKind::kByteLevelBpe && !raw;
  std::vector<std::string> regexes = vocabulary.pre_tokenizer_regexes;
  if (regexes.empty() && (tables.byte_pieces || raw)) {
    if (rule == nullptr) {
      return fail(Fault::kInvalid, "pre-tokenizer \"{}\" is unknown", vocabulary.pre_tokenizer);
    }
    regexes.assign(rule->regexes.begin(), rule->regexes.end());
  }
  tables.escapes_spaces = !tables.byte_pieces && (!raw || rule->escape_whitespaces);
  tables.normalizes =
      tables.escapes_spaces || vocabulary.add_space_prefix || vocabulary.normalize_nfc;
  tables.strips_leading_space = tables.escapes_spaces && vocabulary.add_space_prefix;
  if (vocabulary.kind == VocabularyKind::kWordPiece) {
    tables.normalizes = false;
    tables.strips_leading_space = true;
  }
  if (regexes.empty()) return {};
  Result<std::unique_ptr<PreTokenizer>> pre_tokenizer = PreTokenizer::create(regexes);
  if (!pre_tokenizer) return std::unexpected(pre_tokenizer.error());
  tables.pre_tokenizer = std::move(*pre_tokenizer);
  return {};
}

}  // namespace

Result<std::unique_ptr<TokenizerTables>> build_tables(Vocabulary vocabulary) {
  if (auto good = check(vocabulary); !good) return std::unexpected(good.error());
  auto tables = std::make_unique<TokenizerTables>();
  tables->vocabulary = std::move(vocabulary);
  const Vocabulary& held = tables->vocabulary;
  if (auto good = prepare_words(*tables); !good) return std::unexpected(good.error());
  tables->pieces.assign(held.tokens.begin(), held.tokens.end());
  tables->index = PieceIndex(tables->pieces);
  for (size_t id = 0; id < held.tokens.size(); ++id)
    tables->index.insert(static_cast<TokenId>(id));
  render_all(*tables);
  find_ending_tokens(*tables);
  note_facts(*tables);
  if (tables->byte_pieces) {
    tables->byte_level = std::make_unique<ByteLevelModel>(
        ByteLevelModel::Parts{held, tables->index, tables->rendered});
  } else if (held.kind == VocabularyKind::kWordPiece) {
    tables->word_piece = std::make_unique<WordPieceModel>(held, tables->pieces);
  } else {
    tables->sentence_piece = std::make_unique<SentencePieceModel>(held, tables->pieces);
  }
  const bool word_piece = held.kind == VocabularyKind::kWordPiece;
  if (held.add_bos) tables->begin = held.bos || !word_piece ? held.bos : held.cls;
  if (held.add_eos) tables->end = held.eos || !word_piece ? held.eos : held.sep;
  tables->vocabulary.merges.clear();
  tables->vocabulary.merges.shrink_to_fit();
  return tables;
}

}  // namespace inferno::token
