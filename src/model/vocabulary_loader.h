// Vocabularies and chat templates out of model files: the keys tokenizer.* of GGUF, or a Hugging
// Face folder's tokenizer.json with tokenizer_config.json, generation_config.json, config.json and
// chat_template.jinja.
//
// A tokenizer.json is a program of normalizer, pre-tokenizer, model and post-processor. What of it
// a token::Vocabulary can express is translated; anything else is refused by name, never left out.
//
// token::Tokenizer::create() checks what only it can know: that expressions compile and ids fit.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "model/gguf.h"
#include "token/vocabulary.h"

namespace inferno::model {

// kNotFound when the file has no vocabulary, kInvalid for a kind that is not known, kCorrupt for
// keys of wrong types or lengths.
Result<token::Vocabulary> vocabulary_from_gguf(const Gguf& file);

// From a folder's tokenizer.json. kNotFound when there is none.
Result<token::Vocabulary> vocabulary_from_folder(const std::filesystem::path& folder);

// tokenizer.chat_template; empty when there is none.
std::string chat_template_from_gguf(const Gguf& file);

// chat_template.jinja, else the chat_template of tokenizer_config.json or chat_template.json (of
// several, the one named "default"); empty when there is none or it cannot be read.
std::string chat_template_from_folder(const std::filesystem::path& folder);

}  // namespace inferno::model
