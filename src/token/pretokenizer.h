// Cuts text into the words that merging works on, with the model's regular expressions (PCRE2,
// JIT).
//
// The expressions of the list are applied one after another; each splits the pieces left by the one
// before into its matches and what lies between them. Nothing is lost: the pieces, put together,
// are the text.
//
// The dialect is that of tokenizer.json (Oniguruma): \s is Unicode's White_Space, \d, \w, \b and
// (?i) are Unicode's, $ also matches before a line's end, classes may be intersected
// ([\p{L}&&[^\p{Han}]]).
//
// Hostile text: a match looks at a window of kilobytes that grows only while the match reaches its
// end, out of a budget proportional to the text. When the budget or PCRE2's own limit is used up,
// the window's end counts as the text's end: words may be cut differently there, and
// degraded_splits() tells.
//
// Threads:   immutable once created; any number of threads may split.
// Cost:      about 100 ns a word and expression; linear in the text.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace inferno::token {

class PreTokenizer {
 public:
  // Errors: kInvalid with PCRE2's reason and position when an expression does not compile.
  static Result<std::unique_ptr<PreTokenizer>> create(std::span<const std::string> regexes);

  ~PreTokenizer();
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;

  // The pieces of `text`, none empty, in order. Requires: `text` is UTF-8.
  std::vector<std::string_view> split(std::string_view text) const;

  // Stretches of text that an expression gave up on, since creation.
  uint64_t degraded_splits() const { return degraded_splits_.load(std::memory_order_relaxed); }

 private:
  struct Stage;
  class Matcher;
  PreTokenizer();

  std::vector<Stage> stages_;
  mutable std::atomic<uint64_t> degraded_splits_ = 0;
};

// Translates an expression from tokenizer.json's dialect to PCRE2's: \s, \S and class
// intersections.
// Errors: kInvalid for an intersection of a form other than [A&&[B]] or [A&&[^B]].
Result<std::string> translate_regex(std::string_view regex);

}  // namespace inferno::token
