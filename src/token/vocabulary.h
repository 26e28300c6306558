// A model's vocabulary as its file tells it: plain data, filled by a reader (model/), consumed by
// Tokenizer.
//
// Nothing here is checked or computed but by the functions below; Tokenizer::create() validates all
// of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace inferno::token {

enum class VocabularyKind : uint8_t {
  kByteLevelBpe,  // GGUF "gpt2": pieces are spelled in the 256 printable stand-ins of GPT-2's bytes
  kSentencePieceBpe,  // GGUF "llama", "gemma4": spaces are U+2581, unknown characters fall back to
                      // bytes
  kWordPiece,  // GGUF "bert": greedy longest match within words; U+2581 begins a word's first piece
  kUnigram,    // GGUF "t5": Tokenizer::create() refuses it
};

// The values are those of GGUF's tokenizer.ggml.token_type.
enum class TokenType : uint8_t {
  kUndefined = 0,  // treated as kNormal
  kNormal = 1,
  kUnknown = 2,  // stands for text the vocabulary cannot spell
  kControl = 3,  // <s>, <|im_end|>: matched in text only on request, hidden when special tokens are
  kUserDefined = 4,  // always matched in text as a whole, always shown
  kUnused = 5,       // padding of the embedding matrix: never produced, renders as nothing
  kByte = 6,         // "<0x0A>": one byte (SentencePiece)
};

// One merge rule: the neighbours `left` and `right` become left + right. Rules are ranked by their
// order.
struct Merge {
  std::string left;
  std::string right;
};

// Splits a rule as GGUF and merges.txt spell it, "left right", at the first space after the first
// character. None when there is no such space or a side is empty.
std::optional<Merge> parse_merge(std::string_view line);

struct Vocabulary {
  VocabularyKind kind = VocabularyKind::kByteLevelBpe;
  std::vector<std::string> tokens;  // [V] pieces as the file spells them; the index is the TokenId
  std::vector<float>
      scores;  // [V], or empty; SentencePiece merges the pair of the highest score first
  std::vector<TokenType> types;  // [V], or empty: all normal
  std::vector<Merge> merges;  // byte-level BPE; SentencePiece may have them too, and then they rank

  // How text is cut into words before merging: a name of token/pretokenizer_table.h ("llama-bpe"),
  // or, when `pre_tokenizer_regexes` is not empty, those expressions one after another, each
  // splitting the pieces left by the one before (tokenizer.json's Split with behaviour Isolated;
  // its ByteLevel with use_regex is the expression of "gpt-2").
  std::string pre_tokenizer;
  std::vector<std::string> pre_tokenizer_regexes;

  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::optional<TokenId> eot;  // end of turn
  std::optional<TokenId> eom;  // end of message (a tool call follows)
  std::optional<TokenId> unk;
  std::optional<TokenId> pad;
  std::optional<TokenId> cls;  // WordPiece: stands in for an absent bos
  std::optional<TokenId> sep;  // WordPiece: stands in for an absent eos
  std::optional<TokenId> mask;

  bool add_bos = false;  // EncodeOptions::add_special puts bos in front
  bool add_eos = false;  // ... and eos behind
  bool add_space_prefix =
      false;  // text starts as if with a space (byte-level BPE: unless it has one)
  bool space_prefix_after_special =
      true;                    // ... and so does text behind a special token in the text
  bool ignore_merges = false;  // a word that is a token as a whole is not merged together
  bool remove_extra_whitespaces = false;  // SentencePiece: runs of spaces are one, none at the ends
  bool normalize_nfc = false;             // tokenizer.json's NFC normalizer: text is composed first
  bool lowercase = true;                  // WordPiece: lower case, and accents are stripped

  // Special tokens that swallow the white space before (left) or after (right) them where they are
  // matched in text: tokenizer.json's added_tokens with lstrip, rstrip.
  std::vector<TokenId> strip_left;
  std::vector<TokenId> strip_right;

  // Tokens that end an answer. A reader may put some here (generation_config.json's list);
  // Tokenizer::create() adds eos, eot, eom and those special tokens whose name is known to end an
  // answer (<|im_end|>, ...).
  std::vector<TokenId> end_of_generation;
};

// Sets the flags (add_bos, add_eos, add_space_prefix, ignore_merges) that `kind` and
// `pre_tokenizer` imply when the file is silent. A reader calls it once both are known, then lets
// the keys that the file has win.
void set_implied_flags(Vocabulary& vocabulary);

}  // namespace inferno::token
