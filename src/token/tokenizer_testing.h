// Helpers of the tests in token/: reference vocabularies from ../shared/tokenizers and small
// hand-made ones.
//
// A GGUF file's metadata is read here by hand, because the real reader (model/) lies above this
// folder.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "token/tokenizer.h"

namespace inferno::token::testing {

// ../shared/tokenizers, or none where it is absent: skip the test then.
std::optional<std::filesystem::path> reference_folder();

std::string read_file(const std::filesystem::path& path);

// The vocabulary in a GGUF file's metadata, flags as the file and its pre-tokenizer imply. Throws
// on a bad file.
Vocabulary read_gguf_vocabulary(const std::filesystem::path& path);

// Lines "BASE64 RANK" (tiktoken): merges are recovered from the ranks.
Vocabulary read_tiktoken_vocabulary(const std::filesystem::path& path);

// vocab.json and merges.txt as Hugging Face ships them.
Vocabulary read_json_vocabulary(const std::filesystem::path& vocab,
                                const std::filesystem::path& merges);

// Aborts the test program when the vocabulary is refused.
std::unique_ptr<Tokenizer> make_tokenizer(Vocabulary vocabulary);

// All 256 bytes, a few merges ("he", "ll", "hell", "hello", " w", "aa", "aaaa"), <|end|> (control),
// <tool> (user-defined). Pre-tokenizer gpt-2.
Vocabulary small_byte_level_vocabulary();

// <unk> <s> </s>, 256 byte tokens, and pieces with scores: U+2581 h e l o w r d, he, ll, hello,
// U+2581hello, U+2581w.
Vocabulary small_sentence_piece_vocabulary();

// <unk> <s> </s> <0x00>..<0xFF>: ids 0 to 258; pieces follow.
inline constexpr TokenId kFirstSentencePiece = 259;

}  // namespace inferno::token::testing
