#include "engine/answer_text.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/fake_model.h"

namespace inferno::engine {
namespace {

// Feeds letters one by one; returns what was sent, piece by piece, until a stop string or the end.
std::vector<std::string> feed(const std::string& letters, const request::SamplingParams& sampling) {
  const auto tokenizer = letter_tokenizer();
  AnswerText text(*tokenizer, sampling);
  std::vector<std::string> pieces;
  for (const char letter : letters) {
    AnswerText::Step step = text.push(letter - 'a', {});
    pieces.push_back(step.text);
    if (!step.stop_string.empty()) return pieces;
  }
  pieces.push_back(text.finish());
  return pieces;
}

std::string join(const std::vector<std::string>& pieces) {
  std::string out;
  for (const std::string& piece : pieces)
    out += piece;
  return out;
}

TEST(AnswerText, HoldsBackWhatMayBecomeAStopString) {
  request::SamplingParams sampling;
  sampling.stop = {"end"};
  EXPECT_EQ(feed("thexen", sampling), (std::vector<std::string>{"t", "h", "", "ex", "", "", "en"}));
  EXPECT_EQ(join(feed("theendmore", sampling)), "the");
}

TEST(AnswerText, SendsAtOnceWithoutStopStrings) {
  EXPECT_EQ(feed("abc", {}), (std::vector<std::string>{"a", "b", "c", ""}));
}

TEST(AnswerText, AgreesWithASearchInTheWholeText) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 2000; ++round) {
    request::SamplingParams sampling;
    for (uint64_t i = random() % 3 + 1; i > 0; --i) {
      std::string stop;
      for (uint64_t k = random() % 3 + 1; k > 0; --k)
        stop += static_cast<char>('a' + random() % 2);
      sampling.stop.push_back(stop);
    }
    sampling.include_stop_str_in_output = random() % 2 == 0;
    std::string letters;
    for (uint64_t k = random() % 12; k > 0; --k)
      letters += static_cast<char>('a' + random() % 3);
    // The stop string that is complete first wins; of those complete at once, the one that begins
    // first.
    std::string expected = letters;
    for (size_t end = 1; end <= letters.size() && expected == letters; ++end) {
      size_t begin = std::string::npos;
      size_t length = 0;
      for (const std::string& stop : sampling.stop) {
        if (!letters.substr(0, end).ends_with(stop) || end - stop.size() >= begin) continue;
        begin = end - stop.size();
        length = stop.size();
      }
      if (begin == std::string::npos) continue;
      expected = letters.substr(0, begin + (sampling.include_stop_str_in_output ? length : 0));
      break;
    }
    EXPECT_EQ(join(feed(letters, sampling)), expected) << letters;
  }
}

}  // namespace
}  // namespace inferno::engine
