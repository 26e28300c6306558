// Vocabulary and chat template from the keys tokenizer.* of a GGUF file. Names and defaults are
// llama.cpp's, whose files these are.
#include <fmt/format.h>

#include <array>

#include "model/config.h"
#include "model/vocabulary_loader.h"

namespace inferno::model {

using token::TokenType;
using token::Vocabulary;
using token::VocabularyKind;

namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

std::string key(std::string_view name) {
  return fmt::format("{}{}", kPrefix, name);
}

Result<VocabularyKind> read_kind(const Gguf& file) {
  const Result<std::string_view> model = file.get<std::string_view>(key("model"));
  if (!model) return std::unexpected(model.error());
  if (*model == "gpt2") return VocabularyKind::kByteLevelBpe;
  if (*model == "llama" || *model == "gemma4") return VocabularyKind::kSentencePieceBpe;
  if (*model == "bert") return VocabularyKind::kWordPiece;
  if (*model == "t5") return VocabularyKind::kUnigram;
  if (*model == "none" || *model == "no_vocab") {
    return fail(Fault::kNotFound, "{}: has no vocabulary (tokenizer.ggml.model is '{}')",
                file.label(), *model);
  }
  return fail(
      Fault::kInvalid,
      "{}: key 'tokenizer.ggml.model' is '{}', which is not supported (gpt2, llama, gemma4, "
      "bert and t5 are)",
      file.label(), *model);
}

Result<void> read_types(const Gguf& file, Vocabulary& vocabulary) {
  if (!file.has(key("token_type"))) return {};
  const Result<std::vector<int32_t>> types = file.array<int32_t>(key("token_type"));
  if (!types) return std::unexpected(types.error());
  if (types->size() != vocabulary.tokens.size()) {
    return fail(Fault::kCorrupt, "{}: key 'tokenizer.ggml.token_type' has {} entries, must be {}",
                file.label(), types->size(), vocabulary.tokens.size());
  }
  vocabulary.types.reserve(types->size());
  for (const int32_t type : *types) {
    if (type < 0 || type > static_cast<int32_t>(TokenType::kByte)) {
      return fail(Fault::kCorrupt, "{}: key 'tokenizer.ggml.token_type' has the entry {}, limit {}",
                  file.label(), type, static_cast<int>(TokenType::kByte));
    }
    vocabulary.types.push_back(static_cast<TokenType>(type));
  }
  return {};
}

Result<void> read_tokens(const Gguf& file, Vocabulary& vocabulary) {
  const Result<std::vector<std::string_view>> tokens = file.array<std::string_view>(key("tokens"));
  if (!tokens) return std::unexpected(tokens.error());
  if (tokens->empty() || tokens->size() > kMaxVocabulary) {
    return fail(Fault::kCorrupt,
                "{}: key 'tokenizer.ggml.tokens' has {} entries, must be from 1 to {}",
                file.label(), tokens->size(), kMaxVocabulary);
  }
  vocabulary.tokens.assign(tokens->begin(), tokens->end());
  if (const Result<void> done = read_types(file, vocabulary); !done) return done;
  if (file.has(key("scores"))) {
    Result<std::vector<float>> scores = file.array<float>(key("scores"));
    if (!scores) return std::unexpected(scores.error());
    if (scores->size() != tokens->size()) {
      return fail(Fault::kCorrupt, "{}: key 'tokenizer.ggml.scores' has {} entries, must be {}",
                  file.label(), scores->size(), tokens->size());
    }
    vocabulary.scores = std::move(*scores);
  }
  if (!file.has(key("merges"))) return {};
  const Result<std::vector<std::string_view>> merges = file.array<std::string_view>(key("merges"));
  if (!merges) return std::unexpected(merges.error());
  vocabulary.merges.reserve(merges->size());
  for (const std::string_view line : *merges) {
    std::optional<token::Merge> merge = token::parse_merge(line);
    if (!merge) {
      return fail(Fault::kCorrupt, "{}: key 'tokenizer.ggml.merges', element {}, is not two pieces",
                  file.label(), vocabulary.merges.size());
    }
    vocabulary.merges.push_back(std::move(*merge));
  }
  return {};
}

struct IdKey {
  std::string_view name;
  std::optional<TokenId> Vocabulary::* field;
};

constexpr std::array kIdKeys = {
    IdKey{"bos_token_id", &Vocabulary::bos},       IdKey{"eos_token_id", &Vocabulary::eos},
    IdKey{"eot_token_id", &Vocabulary::eot},       IdKey{"eom_token_id", &Vocabulary::eom},
    IdKey{"unknown_token_id", &Vocabulary::unk},   IdKey{"padding_token_id", &Vocabulary::pad},
    IdKey{"cls_token_id", &Vocabulary::cls},       IdKey{"seperator_token_id", &Vocabulary::sep},
    IdKey{"separator_token_id", &Vocabulary::sep}, IdKey{"mask_token_id", &Vocabulary::mask},
};

Result<void> read_ids(const Gguf& file, Vocabulary& vocabulary) {
  if (vocabulary.kind == VocabularyKind::kSentencePieceBpe) {
    // What SentencePiece's trainer gives when it is told nothing.
    vocabulary.unk = 0;
    vocabulary.bos = 1;
    vocabulary.eos = 2;
  }
  for (const IdKey& id : kIdKeys) {
    if (!file.has(key(id.name))) continue;
    const Result<int64_t> value = file.get<int64_t>(key(id.name));
    if (!value) return std::unexpected(value.error());
    if (*value == -1 || *value == 0xFFFFFFFF) {  // how converters write "none"
      vocabulary.*id.field = std::nullopt;
      continue;
    }
    if (*value < 0 || *value >= static_cast<int64_t>(vocabulary.tokens.size())) {
      return fail(Fault::kCorrupt, "{}: key 'tokenizer.ggml.{}' is {}, must be below {} tokens",
                  file.label(), id.name, *value, vocabulary.tokens.size());
    }
    vocabulary.*id.field = static_cast<TokenId>(*value);
  }
  return {};
}

struct FlagKey {
  std::string_view name;
  bool Vocabulary::* field;
};

constexpr std::array kFlagKeys = {
    FlagKey{"add_bos_token", &Vocabulary::add_bos},
    FlagKey{"add_eos_token", &Vocabulary::add_eos},
    FlagKey{"add_space_prefix", &Vocabulary::add_space_prefix},
    FlagKey{"remove_extra_whitespaces", &Vocabulary::remove_extra_whitespaces},
    FlagKey{"normalizer.lowercase", &Vocabulary::lowercase},
};

Result<void> read_flags(const Gguf& file, Vocabulary& vocabulary) {
  token::set_implied_flags(vocabulary);
  for (const FlagKey& flag : kFlagKeys) {
    const Result<bool> value = file.get_or<bool>(key(flag.name), vocabulary.*flag.field);
    if (!value) return std::unexpected(value.error());
    vocabulary.*flag.field = *value;
  }
  // No key says so, but the tokenizer.json that every file of this name was made from composes
  // text.
  vocabulary.normalize_nfc = vocabulary.pre_tokenizer == "qwen2";
  return {};
}

}  // namespace

Result<Vocabulary> vocabulary_from_gguf(const Gguf& file) {
  Vocabulary vocabulary;
  const Result<VocabularyKind> kind = read_kind(file);
  if (!kind) return std::unexpected(kind.error());
  vocabulary.kind = *kind;
  const Result<std::string_view> pre = file.get_or<std::string_view>(key("pre"), "");
  if (!pre) return std::unexpected(pre.error());
  vocabulary.pre_tokenizer = *pre;
  if (const Result<void> done = read_tokens(file, vocabulary); !done) {
    return std::unexpected(done.error());
  }
  if (const Result<void> done = read_ids(file, vocabulary); !done) {
    return std::unexpected(done.error());
  }
  if (const Result<void> done = read_flags(file, vocabulary); !done) {
    return std::unexpected(done.error());
  }
  return vocabulary;
}

std::string chat_template_from_gguf(const Gguf& file) {
  return std::string(file.get_or<std::string_view>("tokenizer.chat_template", "").value_or(""));
}

}  // namespace inferno::model
