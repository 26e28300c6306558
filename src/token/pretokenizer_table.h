// The pre-tokenizers that GGUF files call by name (tokenizer.ggml.pre), and what each means.
//
// A name stands for a list of expressions, applied one after another, and for flags. The
// expressions are those of the models' own tokenizer.json; where a published engine approximates
// them (Unicode case in "tekken" and "gpt-4o") or calls a function instead ("kimi-k2", "afmoe"),
// the table has the model's own.
//
// Threads: constant data.
#pragma once

#include <span>
#include <string_view>

namespace inferno::token {

struct PreTokenizerRule {
  std::span<const std::string_view> regexes;
  bool add_bos = false;
  bool add_eos = false;
  bool ignore_merges = false;       // see Vocabulary
  bool raw_utf8 = false;            // pieces are spelled in plain UTF-8, not in byte stand-ins
  bool escape_whitespaces = false;  // spaces are U+2581 in pieces (with raw_utf8)
};

// None for a name that is not in the table. "" means "default".
const PreTokenizerRule* find_pre_tokenizer(std::string_view name);

// All names, sorted.
std::span<const std::string_view> pre_tokenizer_names();

}  // namespace inferno::token
