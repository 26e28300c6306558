#include "engine/answer_text.h"

#include <algorithm>

namespace inferno::engine {
namespace {

// Length of the longest suffix of `text` that is a proper prefix of `stop`.
size_t partial_match(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.ends_with(stop.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

AnswerText::AnswerText(const token::Tokenizer& tokenizer, const request::SamplingParams& sampling)
    : sampling_(sampling),
      detokenizer_(tokenizer,
                   {.skip_special = sampling.skip_special_tokens, .starts_text = false}) {}

AnswerText::Step AnswerText::push(TokenId token, PushOptions options) {
  Step step;
  step.own = detokenizer_.push(token);
  step.text = release(step, step.own, options);
  return step;
}

std::string AnswerText::finish() {
  std::string rest = std::move(held_) + detokenizer_.finish();
  held_.clear();
  return rest;
}

// Appends `added` to what is held back and returns what no stop string can claim any more.
std::string AnswerText::release(Step& step, std::string_view added, PushOptions options) {
  held_ += added;
  size_t first = std::string::npos;
  size_t keep = 0;
  for (const std::string& stop : sampling_.stop) {
    // Only matches that end in what was added: an earlier one was not to count.
    const size_t before = held_.size() - added.size();
    const size_t found = held_.find(stop, before >= stop.size() ? before - stop.size() + 1 : 0);
    if (options.may_stop && found < first) {
      first = found;
      step.stop_string = stop;
    }
    keep = std::max(keep, partial_match(held_, stop));
  }
  if (first != std::string::npos) {
    const size_t end = first + (sampling_.include_stop_str_in_output ? step.stop_string.size() : 0);
    std::string out = held_.substr(0, end);
    held_.clear();
    return out;
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

}  // namespace inferno::engine
