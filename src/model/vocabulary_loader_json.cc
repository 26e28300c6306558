// Vocabulary and chat template from the files of a Hugging Face folder. The meaning of fields is
// that of the tokenizers library (tokenizer.json) and of transformers (the other files).
#include <fmt/format.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <unordered_map>

#include "base/mapped_file.h"
#include "model/config.h"
#include "model/config_fields.h"
#include "model/json_file.h"
#include "model/vocabulary_loader.h"
#include "model/vocabulary_loader_pipeline.h"
#include "token/sentencepiece.h"

namespace inferno::model {

namespace json = boost::json;
using token::kSpaceMark;
using token::TokenType;
using token::Vocabulary;
using token::VocabularyKind;

namespace {

constexpr size_t kMaxTemplateBytes =
    4u << 20;  // of a chat_template.jinja; the largest known has 20 KB

// The ids of pieces while a vocabulary is put together.
class PieceTable {
 public:
  PieceTable(std::string_view label, Vocabulary& vocabulary)
      : label_(label), vocabulary_(vocabulary) {}

  // Puts a piece at an id of at most kMaxVocabulary. A piece may be put at its own id again.
  Result<void> put(std::string_view piece, const json::value* id_value, TokenType type);

  std::optional<TokenId> find(std::string_view piece) const {
    const auto found = ids_.find(std::string(piece));
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }

  // Fills ids that no piece has, as converters to GGUF do.
  void fill_holes();

 private:
  std::string label_;
  Vocabulary& vocabulary_;
  std::vector<bool> is_set_;
  std::unordered_map<std::string, TokenId> ids_;
};

Result<void> PieceTable::put(std::string_view piece, const json::value* id_value, TokenType type) {
  const int64_t* number = id_value == nullptr ? nullptr : id_value->if_int64();
  if (number == nullptr || *number < 0 || *number >= kMaxVocabulary) {
    return fail(Fault::kCorrupt, "{}: the id of '{}' must be a whole number below {}", label_,
                piece, kMaxVocabulary);
  }
  const auto index = static_cast<size_t>(*number);
  if (index >= is_set_.size()) {
    is_set_.resize(index + 1);
    vocabulary_.tokens.resize(index + 1);
    vocabulary_.types.resize(index + 1, TokenType::kUnused);
  }
  if (is_set_[index] && vocabulary_.tokens[index] != piece) {
    return fail(Fault::kCorrupt, "{}: id {} belongs to '{}' and to '{}'", label_, index,
                vocabulary_.tokens[index], piece);
  }
  is_set_[index] = true;
  vocabulary_.tokens[index] = piece;
  vocabulary_.types[index] = type;
  ids_.emplace(piece, static_cast<TokenId>(index));
  return {};
}

void PieceTable::fill_holes() {
  for (size_t i = 0; i < is_set_.size(); ++i) {
    if (!is_set_[i]) vocabulary_.tokens[i] = fmt::format("[PAD{}]", i);
  }
}

bool is_byte_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return false;
  unsigned byte = 0;
  const char* end = piece.data() + 5;
  return std::from_chars(piece.data() + 3, end, byte, 16).ptr == end;
}

Result<VocabularyKind> kind_of(const json::object& tokenizer, const JsonFields& model,
                               std::string_view type) {
  if (type == "WordPiece") return VocabularyKind::kWordPiece;
  if (type == "Unigram") return VocabularyKind::kUnigram;
  if (type != "BPE" && !(type.empty() && model.has("merges"))) {
    return fail(Fault::kInvalid, "{} is '{}', which is not supported (BPE and WordPiece are)",
                model.where("type"), type);
  }
  return is_byte_level(tokenizer) ? VocabularyKind::kByteLevelBpe
                                  : VocabularyKind::kSentencePieceBpe;
}

Result<void> read_merges(const json::array& merges, std::string_view label,
                         Vocabulary& vocabulary) {
  vocabulary.merges.reserve(merges.size());
  for (const json::value& item : merges) {
    std::optional<token::Merge> merge;
    if (const json::string* line = item.if_string()) {
      merge = token::parse_merge(*line);
    } else if (const json::array* pair = item.if_array(); pair != nullptr && pair->size() == 2) {
      const json::string* left = (*pair)[0].if_string();
      const json::string* right = (*pair)[1].if_string();
      if (left != nullptr && right != nullptr && !left->empty() && !right->empty()) {
        merge = token::Merge{std::string(*left), std::string(*right)};
      }
    }
    if (!merge) {
      return fail(Fault::kCorrupt, "{}: key 'model.merges', element {}, is not two pieces", label,
                  vocabulary.merges.size());
    }
    vocabulary.merges.push_back(std::move(*merge));
  }
  return {};
}

// model.vocab and model.merges, and refuses what of a model cannot be expressed.
Result<void> read_model(JsonFields& model, std::string_view label, Vocabulary& vocabulary,
                        PieceTable& pieces) {
  const json::object* vocab = model.object("vocab");
  if (vocab == nullptr) return fail(Fault::kCorrupt, "{} must be an object", model.where("vocab"));
  const bool falls_back = model.flag("byte_fallback", ConfigFields::Default::kFalse);
  for (const auto& member : *vocab) {
    const std::string_view piece = member.key();
    const bool is_byte = falls_back && is_byte_piece(piece);
    const Result<void> done =
        pieces.put(piece, &member.value(), is_byte ? TokenType::kByte : TokenType::kNormal);
    if (!done) return done;
  }
  vocabulary.ignore_merges = model.flag("ignore_merges", ConfigFields::Default::kFalse);
  if (model.has("dropout") && model.real("dropout", {0.0, 1.0}) != 0.0f) {
    model.refuse("dropout", "is not 0, which is not supported");
  }
  if (vocabulary.kind == VocabularyKind::kWordPiece) {
    const std::string prefix = model.text("continuing_subword_prefix", "##");
    if (prefix != "##") model.refuse("continuing_subword_prefix", "is '{}', must be '##'", prefix);
  } else {
    for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const std::string affix = model.text(key, "");
      if (!affix.empty()) model.refuse(key, "is '{}', which is not supported", affix);
    }
  }
  if (const json::array* merges = model.array("merges")) {
    if (const Result<void> done = read_merges(*merges, label, vocabulary); !done) return done;
  }
  const std::string unknown = model.text("unk_token", "");
  if (model.error()) return std::unexpected(*model.error());
  if (!unknown.empty()) vocabulary.unk = pieces.find(unknown);
  return {};
}

Result<void> read_added_tokens(const JsonFields& tokenizer, std::string_view label,
                               Vocabulary& vocabulary, PieceTable& pieces) {
  const json::array* added = tokenizer.array("added_tokens");
  if (added == nullptr) return {};
  size_t index = 0;
  for (const json::value& item : *added) {
    const std::string prefix = fmt::format("added_tokens[{}].", index++);
    const json::object* object = item.if_object();
    if (object == nullptr) return fail(Fault::kCorrupt, "{}: {} must be an object", label, prefix);
    JsonFields fields(*object, label, prefix);
    const std::string content = fields.text("content", "");
    if (content.empty()) fields.refuse("content", "must be a string that is not empty");
    const bool is_special = fields.flag("special", ConfigFields::Default::kFalse);
    if (fields.flag("single_word", ConfigFields::Default::kFalse)) {
      fields.refuse("single_word", "is true, which is not supported");
    }
    const bool strips_left = fields.flag("lstrip", ConfigFields::Default::kFalse);
    const bool strips_right = fields.flag("rstrip", ConfigFields::Default::kFalse);
    if (fields.error()) return std::unexpected(*fields.error());
    const Result<void> done =
        pieces.put(content, object->if_contains("id"),
                   is_special ? TokenType::kControl : TokenType::kUserDefined);
    if (!done) return done;
    const auto id = static_cast<TokenId>(object->at("id").get_int64());
    if (strips_left) vocabulary.strip_left.push_back(id);
    if (strips_right) vocabulary.strip_right.push_back(id);
  }
  return {};
}

// WordPiece pieces as GGUF spells them: U+2581 before a piece that begins a word, nothing before
// one that continues it.
void respell_word_pieces(Vocabulary& vocabulary) {
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    std::string& piece = vocabulary.tokens[i];
    if (vocabulary.types[i] != TokenType::kNormal) continue;
    if (piece.starts_with("##")) {
      piece.erase(0, 2);
    } else if (!(piece.starts_with('[') && piece.ends_with(']') && piece.size() > 2)) {
      piece.insert(0, kSpaceMark);
    }
  }
}

// A file that may be absent; an error only when it is there and wrong.
Result<json::object> read_optional(const std::filesystem::path& path) {
  Result<json::object> object = read_json_object(path);
  if (!object && object.error().fault == Fault::kNotFound) return json::object();
  return object;
}

struct NamedToken {
  std::string_view key;
  std::optional<TokenId> Vocabulary::* field;
};

constexpr std::array kNamedTokens = {
    NamedToken{"bos_token", &Vocabulary::bos},   NamedToken{"eos_token", &Vocabulary::eos},
    NamedToken{"unk_token", &Vocabulary::unk},   NamedToken{"pad_token", &Vocabulary::pad},
    NamedToken{"cls_token", &Vocabulary::cls},   NamedToken{"sep_token", &Vocabulary::sep},
    NamedToken{"mask_token", &Vocabulary::mask},
};

// Special tokens that tokenizer_config.json or special_tokens_map.json name, as a string or
// {"content": ...}.
void read_named_tokens(const json::object& names, const PieceTable& pieces,
                       Vocabulary& vocabulary) {
  for (const NamedToken& named : kNamedTokens) {
    const json::value* value = names.if_contains(named.key);
    if (value == nullptr) continue;
    const json::object* object = value->if_object();
    if (object != nullptr) value = object->if_contains("content");
    const json::string* piece = value == nullptr ? nullptr : value->if_string();
    if (piece == nullptr) continue;
    if (const std::optional<TokenId> id = pieces.find(*piece)) vocabulary.*named.field = id;
  }
}

// The ids of a key that holds one or a list; those outside the vocabulary are of no use and left
// out.
std::vector<TokenId> ids_of(const json::object& object, std::string_view key,
                            const Vocabulary& vocabulary) {
  std::vector<TokenId> ids;
  const auto add = [&](const json::value& value) {
    const int64_t* id = value.if_int64();
    if (id == nullptr || *id < 0 || *id >= static_cast<int64_t>(vocabulary.tokens.size())) return;
    ids.push_back(static_cast<TokenId>(*id));
  };
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return ids;
  if (const json::array* list = value->if_array()) {
    for (const json::value& item : *list)
      add(item);
  } else {
    add(*value);
  }
  return ids;
}

Result<void> read_special_tokens(const std::filesystem::path& folder, const PieceTable& pieces,
                                 Vocabulary& vocabulary) {
  const Result<json::object> map = read_optional(folder / "special_tokens_map.json");
  if (!map) return std::unexpected(map.error());
  const Result<json::object> names = read_optional(folder / "tokenizer_config.json");
  if (!names) return std::unexpected(names.error());
  read_named_tokens(*map, pieces, vocabulary);
  read_named_tokens(*names, pieces, vocabulary);  // the later one wins
  for (const char* file : {"generation_config.json", "config.json"}) {
    const Result<json::object> config = read_optional(folder / file);
    if (!config) return std::unexpected(config.error());
    const json::value* nested = config->if_contains("text_config");
    for (const json::object* object :
         {&*config, nested == nullptr ? nullptr : nested->if_object()}) {
      if (object == nullptr) continue;
      const std::vector<TokenId> ends = ids_of(*object, "eos_token_id", vocabulary);
      vocabulary.end_of_generation.insert(vocabulary.end_of_generation.end(), ends.begin(),
                                          ends.end());
      if (!vocabulary.eos && !ends.empty()) vocabulary.eos = ends.front();
      const std::vector<TokenId> begins = ids_of(*object, "bos_token_id", vocabulary);
      const bool is_unnamed = !names->contains("bos_token") && !map->contains("bos_token");
      if (!vocabulary.bos && is_unnamed && !begins.empty()) vocabulary.bos = begins.front();
    }
  }
  return {};
}

// The template in a chat_template value: a string, or a list of {"name", "template"}.
std::string template_in(const json::object& object) {
  const json::value* value = object.if_contains("chat_template");
  if (value == nullptr) return {};
  if (const json::string* text = value->if_string()) return std::string(*text);
  const json::array* list = value->if_array();
  if (list == nullptr) return {};
  for (const json::value& item : *list) {
    const json::object* named = item.if_object();
    if (named == nullptr) continue;
    const json::value* name = named->if_contains("name");
    const json::value* text = named->if_contains("template");
    const bool is_default = name != nullptr && name->is_string() && name->get_string() == "default";
    if (is_default && text != nullptr && text->is_string()) return std::string(text->get_string());
  }
  return {};
}

}  // namespace

Result<Vocabulary> vocabulary_from_folder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  const std::string label = path.string();
  const Result<json::object> tokenizer = read_json_object(path);
  if (!tokenizer) return std::unexpected(tokenizer.error());
  const JsonFields fields(*tokenizer, label);
  const json::object* model_object = fields.object("model");
  if (model_object == nullptr)
    return fail(Fault::kCorrupt, "{} must be an object", fields.where("model"));
  JsonFields model(*model_object, label, "model.");
  Vocabulary vocabulary;
  const Result<VocabularyKind> kind = kind_of(*tokenizer, model, model.text("type", ""));
  if (!kind) return std::unexpected(kind.error());
  vocabulary.kind = *kind;
  PieceTable pieces(label, vocabulary);
  if (*kind == VocabularyKind::kUnigram) {
    return fail(Fault::kInvalid, "{} is 'Unigram', which is not supported (BPE and WordPiece are)",
                model.where("type"));
  }
  Result<void> done = read_model(model, label, vocabulary, pieces);
  if (done) done = read_added_tokens(fields, label, vocabulary, pieces);
  if (done) pieces.fill_holes();
  if (done) done = read_special_tokens(folder, pieces, vocabulary);
  if (done) done = read_pipeline(*tokenizer, label, vocabulary);
  if (!done) return std::unexpected(done.error());
  if (*kind == VocabularyKind::kWordPiece) respell_word_pieces(vocabulary);
  return vocabulary;
}

std::string chat_template_from_folder(const std::filesystem::path& folder) {
  const Result<MappedFile> jinja = MappedFile::open(folder / "chat_template.jinja");
  if (jinja && jinja->bytes().size() <= kMaxTemplateBytes) {
    return std::string(jinja->bytes().begin(), jinja->bytes().end());
  }
  for (const char* name : {"tokenizer_config.json", "chat_template.json"}) {
    const Result<json::object> object = read_json_object(folder / name);
    if (!object) continue;
    std::string text = template_in(*object);
    if (!text.empty()) return text;
  }
  return {};
}

}  // namespace inferno::model
