// Segments to prompts: random token ids, or text of common short words.
//
// A stream is the same tokens for the same seed, and its words follow from its tokens, so equal
// segments are equal prefixes in either form. Words are ones that most vocabularies hold as one
// token each, so a text has about as many tokens as its segments say; what the server counted is
// in the result.
//
// Threads: immutable. Cost: a few nanoseconds a token.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "load/plan.h"

namespace inferno::load {

class PromptSource {
 public:
  // Token ids come from [vocab_size / 8, vocab_size): low ids are often special. Requires:
  // vocab_size >= 8.
  PromptSource(uint64_t seed, int vocab_size) : seed_(seed), vocab_size_(vocab_size) {}

  // Appends the segments' tokens.
  void append_tokens(std::span<const Segment> segments, std::vector<TokenId>& out) const;

  // Appends the segments' words, each after a space but for the first of all.
  void append_text(std::span<const Segment> segments, std::string& out) const;

 private:
  uint64_t seed_;
  int vocab_size_;
};

}  // namespace inferno::load
