// Text to tokens and back, for one vocabulary.
//
//   text --special tokens cut out--> fragments --normalize, pre-tokenize--> words --merge--> tokens
//
// decode(encode(text)) is the text again for byte-level BPE and valid UTF-8; bytes that are not
// UTF-8 are spelled with byte tokens, never refused, and come back as U+FFFD.
//
// Invariant: with parse_special off no text can produce a control token: a user cannot forge the
// end of a turn. Threads:   immutable once created; every method may be called from many threads at
// once. Cost:      encode is O(n log n) in the length of the text, whatever the text; about 2 us a
// word.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "token/vocabulary.h"

namespace inferno::token {

struct TokenizerTables;

struct EncodeOptions {
  bool add_special = true;  // put BOS and EOS where the vocabulary says so
  bool parse_special =
      false;  // control tokens spelled in the text become their ids, as chat templates need
};

struct DecodeOptions {
  bool skip_special = true;  // control and unknown tokens add no text
  bool starts_text = true;   // the first token begins a text: the space a SentencePiece vocabulary
                             // puts there is dropped. False for an answer that continues a prompt.
};

class Tokenizer {
 public:
  // Checks the vocabulary and builds the look-up tables. Errors: kInvalid naming the field at fault
  // (no tokens, sizes that disagree, an id outside the vocabulary, an expression PCRE2 cannot
  // compile, an unknown pre-tokenizer name, kind unigram).
  static Result<std::unique_ptr<Tokenizer>> create(Vocabulary vocabulary);

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // The tokens of `text`; any bytes are allowed.
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;

  // The text of `tokens`; bytes that are not UTF-8 become U+FFFD, one for each maximal subpart
  // (Unicode 15, section 3.9). Ids outside the vocabulary add nothing.
  std::string decode(std::span<const TokenId> tokens, DecodeOptions options = {}) const;

  // The bytes a token adds to a text, maybe half a character. Empty for a token that `options` hide
  // and for an id outside the vocabulary. `starts_text` plays no role here. The view lives as long
  // as the tokenizer.
  std::string_view piece_bytes(TokenId token, DecodeOptions options = {}) const;

  int vocab_size() const;

  // Whether DecodeOptions::skip_special hides the token (control and unknown).
  bool is_special(TokenId token) const;

  // Whether the token ends an answer (Vocabulary::end_of_generation).
  bool is_end_of_generation(TokenId token) const;

  // The token whose piece is spelled `piece` in the file; the lowest id if several are. None if
  // there is none.
  std::optional<TokenId> find(std::string_view piece) const;

  // As given to create(), with end_of_generation completed and merges emptied.
  const Vocabulary& vocabulary() const;

  // Whether decoding a text from its beginning drops one leading space (see
  // DecodeOptions::starts_text).
  bool strips_leading_space() const;

  // How often an expression gave up on a hostile text (PCRE2's limits) and a stretch of it went
  // unsplit: its tokens may differ from the reference's, its text does not. For metrics.
  uint64_t degraded_splits() const;

 private:
  explicit Tokenizer(std::unique_ptr<TokenizerTables> tables);

  std::unique_ptr<const TokenizerTables> tables_;
};

}  // namespace inferno::token
