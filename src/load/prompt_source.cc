#include "load/prompt_source.h"

#include <array>
#include <string_view>

#include "load/random.h"

namespace inferno::load {
namespace {

// Streams of prompts lie beside those of RandomUse, which are small numbers.
constexpr uint64_t kFirstPromptStream = 1 << 16;

constexpr std::array<std::string_view, 128> kWords = {
    "the",     "of",    "and",   "to",      "in",     "is",   "that",   "for",    "it",
    "as",      "was",   "with",  "be",      "by",     "on",   "not",    "he",     "his",
    "but",     "at",    "are",   "this",    "have",   "from", "or",     "had",    "an",
    "they",    "which", "one",   "you",     "were",   "her",  "all",    "she",    "there",
    "would",   "their", "we",    "him",     "been",   "has",  "when",   "who",    "will",
    "more",    "no",    "if",    "out",     "so",     "said", "what",   "up",     "its",
    "about",   "into",  "than",  "them",    "can",    "only", "other",  "new",    "some",
    "could",   "time",  "these", "two",     "may",    "then", "do",     "first",  "any",
    "my",      "now",   "such",  "like",    "our",    "over", "man",    "me",     "even",
    "most",    "made",  "after", "also",    "did",    "many", "before", "must",   "through",
    "back",    "years", "where", "much",    "your",   "way",  "well",   "down",   "should",
    "because", "each",  "just",  "those",   "people", "how",  "too",    "little", "state",
    "good",    "very",  "make",  "world",   "still",  "own",  "see",    "men",    "work",
    "long",    "get",   "here",  "between", "both",   "life", "being",  "under",  "never",
    "day",     "same"};

Random stream_of(uint64_t seed, uint64_t stream) {
  return Random(seed, kFirstPromptStream + stream);
}

}  // namespace

void PromptSource::append_tokens(std::span<const Segment> segments,
                                 std::vector<TokenId>& out) const {
  const int lowest = vocab_size_ / 8;
  const auto choices = static_cast<uint64_t>(vocab_size_ - lowest);
  for (const Segment& segment : segments) {
    Random random = stream_of(seed_, segment.stream);
    for (int i = 0; i < segment.token_count; ++i)
      out.push_back(lowest + static_cast<TokenId>(random.below(choices)));
  }
}

void PromptSource::append_text(std::span<const Segment> segments, std::string& out) const {
  for (const Segment& segment : segments) {
    Random random = stream_of(seed_, segment.stream);
    for (int i = 0; i < segment.token_count; ++i) {
      if (!out.empty()) out += ' ';
      out += kWords[random.below(kWords.size())];
    }
  }
}

}  // namespace inferno::load
