// Tokens to text, one token at a time, for streaming.
//
// A token may end inside a character; its bytes are held back until the character is complete or
// can no longer be.
//
// Invariant: what push() and finish() returned, put together, is Tokenizer::decode() of all the
// tokens. Threads:   belongs to one thread; the tokenizer may be shared. Cost:      O(bytes of the
// token); at most 3 bytes are held back.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "token/tokenizer.h"

namespace inferno::token {

class Detokenizer {
 public:
  // Requires: `tokenizer` outlives this object.
  explicit Detokenizer(const Tokenizer& tokenizer, DecodeOptions options = {});

  // The text that can be shown now that `token` is known: whole characters only, maybe none.
  std::string push(TokenId token);

  // Ends the text: an incomplete character held back becomes one U+FFFD. The object then starts
  // over.
  std::string finish();

  // Bytes held back because their character is not complete.
  std::string_view pending() const { return pending_; }

 private:
  const Tokenizer* tokenizer_;
  DecodeOptions options_;
  bool drop_space_;      // no byte of text yet, and its leading space is the vocabulary's
  std::string pending_;  // a proper prefix of one UTF-8 character
};

}  // namespace inferno::token
