#include "model/vocabulary_loader_pipeline.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <vector>

#include "model/config_fields.h"
#include "token/sentencepiece.h"

namespace inferno::model {

namespace json = boost::json;
using token::kSpaceMark;
using token::Vocabulary;
using token::VocabularyKind;

namespace {

// ByteLevel with use_regex: the expression of GPT-2 (tokenizers, pre_tokenizers/byte_level.rs).
constexpr std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kWholeText = R"([\s\S]+)";
constexpr std::string_view kPunctuation = R"([\p{P}!-/:-@\[-`{-~])";

std::string_view text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

bool flag_of(const json::object& object, std::string_view key, ConfigFields::Default otherwise) {
  const json::value* value = object.if_contains(key);
  const bool* flag = value == nullptr ? nullptr : value->if_bool();
  return flag == nullptr ? otherwise == ConfigFields::Default::kTrue : *flag;
}

const json::object* object_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

const json::array* array_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_array();
}

// The steps of a part: those of its Sequences, however nested, in order; none for null or an absent
// part.
void collect_steps(const json::object& part, std::string_view list_key,
                   std::vector<const json::object*>& steps) {
  if (text_of(part, "type") != "Sequence") {
    steps.push_back(&part);
    return;
  }
  const json::array* list = array_of(part, list_key);
  if (list == nullptr) return;
  for (const json::value& item : *list) {
    if (const json::object* step = item.if_object()) collect_steps(*step, list_key, steps);
  }
}

std::vector<const json::object*> steps_of(const json::object& tokenizer, std::string_view part,
                                          std::string_view list_key) {
  std::vector<const json::object*> steps;
  if (const json::object* object = object_of(tokenizer, part)) {
    collect_steps(*object, list_key, steps);
  }
  return steps;
}

// A string as an expression that matches it alone.
std::string quoted(std::string_view text) {
  std::string result;
  for (const char letter : text) {
    if (std::string_view(R"(\^$.|?*+()[]{}-#&~/)").find(letter) != std::string_view::npos) {
      result += '\\';
    }
    result += letter;
  }
  return result;
}

// Reads the steps of one file into one vocabulary.
class PipelineReader {
 public:
  PipelineReader(std::string_view label, Vocabulary& vocabulary)
      : label_(label), vocabulary_(vocabulary) {}

  Result<void> normalizer(const json::object& step);
  Result<void> pre_tokenizer(const json::object& step);
  Result<void> post_processor(const json::object& step);

 private:
  bool is_sentence_piece() const {
    return vocabulary_.kind == VocabularyKind::kSentencePieceBpe ||
           vocabulary_.kind == VocabularyKind::kUnigram;
  }
  std::unexpected<Error> refuse(std::string_view part, std::string_view what) const {
    return fail(Fault::kInvalid, "{}: {}: {} is not supported", label_, part, what);
  }
  Result<void> split(const json::object& step);
  Result<void> metaspace(const json::object& step);
  Result<void> template_processing(const json::object& step);
  Result<TokenId> template_id(const json::object& step, std::string_view name) const;
  Result<void> sep_and_cls(const json::object& step);
  Result<TokenId> checked_id(std::string_view what, const json::value* value) const;

  std::string label_;
  Vocabulary& vocabulary_;
};

Result<void> PipelineReader::normalizer(const json::object& step) {
  const std::string_view type = text_of(step, "type");
  if (type == "NFC") {
    vocabulary_.normalize_nfc = true;
    return {};
  }
  if (type == "BertNormalizer" && vocabulary_.kind == VocabularyKind::kWordPiece) {
    vocabulary_.lowercase = flag_of(step, "lowercase", ConfigFields::Default::kTrue);
    const ConfigFields::Default implied =
        vocabulary_.lowercase ? ConfigFields::Default::kTrue : ConfigFields::Default::kFalse;
    if (flag_of(step, "strip_accents", implied) != vocabulary_.lowercase) {
      return refuse("normalizer", "BertNormalizer with strip_accents other than lowercase");
    }
    return {};
  }
  if (is_sentence_piece() && type == "Prepend" && text_of(step, "prepend") == kSpaceMark) {
    vocabulary_.add_space_prefix = true;
    return {};
  }
  if (is_sentence_piece() && type == "Replace" && text_of(step, "content") == kSpaceMark) {
    const json::object* pattern = object_of(step, "pattern");
    if (pattern != nullptr && text_of(*pattern, "String") == " ") return {};
  }
  return refuse("normalizer", fmt::format("type '{}'", type));
}

Result<void> PipelineReader::split(const json::object& step) {
  const json::object* pattern = object_of(step, "pattern");
  const std::string_view regex = pattern == nullptr ? "" : text_of(*pattern, "Regex");
  const std::string_view text = pattern == nullptr ? "" : text_of(*pattern, "String");
  const std::string_view behavior = text_of(step, "behavior");
  const bool invert = flag_of(step, "invert", ConfigFields::Default::kFalse);
  if (is_sentence_piece() && text == " ")
    return {};  // the normalizer has left no space to split at
  // An inverted Split that removes what lies between matches cuts as an isolating one does: the
  // expressions published with it leave nothing between.
  const bool isolates = (behavior == "Isolated" && !invert) || (behavior == "Removed" && invert);
  if (!isolates || (regex.empty() && text.empty())) {
    return refuse("pre_tokenizer",
                  fmt::format("Split with behavior '{}' and invert {}", behavior, invert));
  }
  vocabulary_.pre_tokenizer_regexes.push_back(regex.empty() ? quoted(text) : std::string(regex));
  return {};
}

Result<void> PipelineReader::metaspace(const json::object& step) {
  const std::string_view replacement = text_of(step, "replacement");
  if (!is_sentence_piece() || replacement != kSpaceMark) {
    return refuse("pre_tokenizer", fmt::format("Metaspace with replacement '{}'", replacement));
  }
  const std::string_view scheme = text_of(step, "prepend_scheme");
  const bool prefixes = flag_of(step, "add_prefix_space", ConfigFields::Default::kTrue);
  vocabulary_.add_space_prefix = scheme.empty() ? prefixes : scheme != "never";
  return {};
}

Result<void> PipelineReader::pre_tokenizer(const json::object& step) {
  const std::string_view type = text_of(step, "type");
  if (type == "Split") return split(step);
  if (type == "Metaspace") return metaspace(step);
  if (type == "BertPreTokenizer" && vocabulary_.kind == VocabularyKind::kWordPiece) return {};
  if (type == "ByteLevel" && vocabulary_.kind == VocabularyKind::kByteLevelBpe) {
    if (flag_of(step, "add_prefix_space", ConfigFields::Default::kTrue)) {
      vocabulary_.add_space_prefix = true;
    }
    if (flag_of(step, "use_regex", ConfigFields::Default::kTrue)) {
      vocabulary_.pre_tokenizer_regexes.emplace_back(kGpt2Regex);
    }
    return {};
  }
  if (type == "Digits") {
    const bool is_single = flag_of(step, "individual_digits", ConfigFields::Default::kFalse);
    vocabulary_.pre_tokenizer_regexes.emplace_back(is_single ? R"(\p{N})" : R"(\p{N}+)");
    return {};
  }
  if (type == "Punctuation") {
    const std::string_view behavior = text_of(step, "behavior");
    if (behavior.empty() || behavior == "Isolated") {
      vocabulary_.pre_tokenizer_regexes.emplace_back(kPunctuation);
      return {};
    }
    if (behavior == "Contiguous") {
      vocabulary_.pre_tokenizer_regexes.push_back(fmt::format("{}+", kPunctuation));
      return {};
    }
  }
  return refuse("pre_tokenizer", fmt::format("type '{}'", type));
}

Result<TokenId> PipelineReader::checked_id(std::string_view what, const json::value* value) const {
  const int64_t* id = value == nullptr ? nullptr : value->if_int64();
  if (id == nullptr || *id < 0 || *id >= static_cast<int64_t>(vocabulary_.tokens.size())) {
    return fail(Fault::kCorrupt, "{}: post_processor: the id of {} must be a whole number below {}",
                label_, what, vocabulary_.tokens.size());
  }
  return static_cast<TokenId>(*id);
}

Result<TokenId> PipelineReader::template_id(const json::object& step, std::string_view name) const {
  const json::object* all = object_of(step, "special_tokens");
  const json::object* token = all == nullptr ? nullptr : object_of(*all, name);
  const json::array* ids = token == nullptr ? nullptr : array_of(*token, "ids");
  const std::string what = fmt::format("special token '{}'", name);
  if (ids != nullptr && ids->size() > 1) return refuse("post_processor", what + " of several ids");
  return checked_id(what, ids == nullptr || ids->empty() ? nullptr : &(*ids)[0]);
}

Result<void> PipelineReader::template_processing(const json::object& step) {
  const json::array* single = array_of(step, "single");
  if (single == nullptr) return refuse("post_processor", "TemplateProcessing without 'single'");
  bool is_behind = false;
  for (const json::value& item : *single) {
    const json::object* piece = item.if_object();
    if (piece != nullptr && object_of(*piece, "Sequence") != nullptr && !is_behind) {
      is_behind = true;
      continue;
    }
    const json::object* special = piece == nullptr ? nullptr : object_of(*piece, "SpecialToken");
    bool& adds = is_behind ? vocabulary_.add_eos : vocabulary_.add_bos;
    if (special == nullptr || adds) {
      return refuse(
          "post_processor",
          "a template other than at most one special token before and one after the text");
    }
    const Result<TokenId> id = template_id(step, text_of(*special, "id"));
    if (!id) return std::unexpected(id.error());
    adds = true;
    (is_behind ? vocabulary_.eos : vocabulary_.bos) = *id;
  }
  if (!is_behind) return refuse("post_processor", "a template without the text");
  return {};
}

// BertProcessing and RobertaProcessing: cls in front, sep behind, each ["piece", id].
Result<void> PipelineReader::sep_and_cls(const json::object& step) {
  const auto id_of = [&](std::string_view key) -> Result<TokenId> {
    const json::array* pair = array_of(step, key);
    return checked_id(key, pair == nullptr || pair->size() != 2 ? nullptr : &(*pair)[1]);
  };
  const Result<TokenId> cls = id_of("cls");
  if (!cls) return std::unexpected(cls.error());
  const Result<TokenId> sep = id_of("sep");
  if (!sep) return std::unexpected(sep.error());
  vocabulary_.add_bos = vocabulary_.add_eos = true;
  vocabulary_.bos = *cls;
  vocabulary_.eos = *sep;
  return {};
}

Result<void> PipelineReader::post_processor(const json::object& step) {
  const std::string_view type = text_of(step, "type");
  if (type == "ByteLevel") return {};  // only moves offsets
  if (type == "TemplateProcessing") return template_processing(step);
  if (type == "BertProcessing" || type == "RobertaProcessing") return sep_and_cls(step);
  return refuse("post_processor", fmt::format("type '{}'", type));
}

}  // namespace

bool is_byte_level(const json::object& tokenizer) {
  for (const json::object* step : steps_of(tokenizer, "pre_tokenizer", "pretokenizers")) {
    if (text_of(*step, "type") == "ByteLevel") return true;
  }
  for (const json::object* step : steps_of(tokenizer, "decoder", "decoders")) {
    if (text_of(*step, "type") == "ByteLevel") return true;
  }
  return false;
}

Result<void> read_pipeline(const json::object& tokenizer, std::string_view label,
                           Vocabulary& vocabulary) {
  PipelineReader reader(label, vocabulary);
  for (const json::object* step : steps_of(tokenizer, "normalizer", "normalizers")) {
    if (const Result<void> done = reader.normalizer(*step); !done) return done;
  }
  for (const json::object* step : steps_of(tokenizer, "pre_tokenizer", "pretokenizers")) {
    if (const Result<void> done = reader.pre_tokenizer(*step); !done) return done;
  }
  const bool splits = !vocabulary.pre_tokenizer_regexes.empty();
  if (vocabulary.kind == VocabularyKind::kByteLevelBpe && !splits) {
    vocabulary.pre_tokenizer_regexes.emplace_back(kWholeText);
  }
  if (vocabulary.kind == VocabularyKind::kSentencePieceBpe && splits) {
    return fail(Fault::kInvalid,
                "{}: pre_tokenizer: splitting a SentencePiece vocabulary's text is not "
                "supported",
                label);
  }
  for (const json::object* step : steps_of(tokenizer, "post_processor", "processors")) {
    if (const Result<void> done = reader.post_processor(*step); !done) return done;
  }
  return {};
}

}  // namespace inferno::model
