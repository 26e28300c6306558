#include "engine/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/allocation_counter.h"

namespace inferno::engine {
namespace {

struct Guess {
  std::vector<TokenId> drafts;
  int match = 0;
  friend bool operator==(const Guess&, const Guess&) = default;
};

Guess guess_of(PromptLookup& lookup, const std::vector<TokenId>& tokens, int most) {
  Guess guess;
  guess.match = lookup.propose(tokens, most, guess.drafts);
  return guess;
}

// The same by looking at every place, latest first.
Guess look_up_naively(const LookupLengths& lengths, const std::vector<TokenId>& tokens, int most) {
  const int end = static_cast<int>(tokens.size());
  const auto equal_until = [&](int place, int length) {
    return length <= place &&
           std::equal(tokens.end() - length, tokens.end(), tokens.begin() + place - length);
  };
  for (int length = std::min(lengths.most, end - 1); length >= lengths.least; --length) {
    for (int place = end - 1; place >= length; --place) {
      if (!equal_until(place, length)) continue;
      std::vector<TokenId> text = tokens;
      for (int i = 0; i < most; ++i)
        text.push_back(text[static_cast<size_t>(place + i)]);
      int match = length;
      while (match < PromptLookup::kLongestMatch && equal_until(place, match + 1))
        ++match;
      return {.drafts = {text.begin() + end, text.end()}, .match = match};
    }
  }
  return {};
}

TEST(PromptLookup, GuessesWhatFollowedTheLastTokens) {
  PromptLookup lookup({.least = 2, .most = 3}, 100);
  const Guess guess = guess_of(lookup, {1, 2, 3, 4, 5, 6, 9, 2, 3}, 3);
  EXPECT_EQ(guess.drafts, (std::vector<TokenId>{4, 5, 6}));
  EXPECT_EQ(guess.match, 2);
}

TEST(PromptLookup, PrefersTheLongerMatchToTheLater) {
  PromptLookup lookup({.least = 1, .most = 2}, 100);
  EXPECT_EQ(guess_of(lookup, {1, 2, 3, 9, 2, 7, 1, 2}, 1).drafts, (std::vector<TokenId>{3}));
}

TEST(PromptLookup, PrefersTheLaterOfTwoMatches) {
  PromptLookup lookup({.least = 2, .most = 2}, 100);
  EXPECT_EQ(guess_of(lookup, {1, 2, 3, 1, 2, 4, 1, 2}, 1).drafts, (std::vector<TokenId>{4}));
}

TEST(PromptLookup, GuessesNothingWhereNothingIsRepeated) {
  PromptLookup lookup({.least = 2, .most = 4}, 100);
  EXPECT_EQ(guess_of(lookup, {1}, 4), Guess{});
  EXPECT_EQ(guess_of(lookup, {1, 2, 3, 4, 1}, 4), Guess{});
}

TEST(PromptLookup, ContinuesARepetitionBeyondTheEnd) {
  PromptLookup lookup({.least = 2, .most = 4}, 100);
  EXPECT_EQ(guess_of(lookup, {5, 6, 7, 5, 6, 7, 5, 6}, 7).drafts,
            (std::vector<TokenId>{7, 5, 6, 7, 5, 6, 7}));
}

TEST(PromptLookup, ALongMatchIsKnownToBeLong) {
  PromptLookup lookup({.least = 2, .most = 3}, 200);
  std::vector<TokenId> tokens;
  for (int round = 0; round < 2; ++round) {
    for (TokenId token = 0; token < 10; ++token)
      tokens.push_back(token);
    if (round == 0) tokens.push_back(77);
  }
  EXPECT_EQ(guess_of(lookup, tokens, 1), (Guess{.drafts = {77}, .match = 10}));
}

TEST(PromptLookup, FindsWhatANaiveSearchFinds) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const int least = 1 + static_cast<int>(random() % 4);
    const LookupLengths lengths{.least = least, .most = least + static_cast<int>(random() % 3)};
    const TokenId vocabulary = 2 + static_cast<TokenId>(random() % 20);
    const int most_tokens = 20 + static_cast<int>(random() % 300);
    PromptLookup lookup(lengths, most_tokens);
    std::vector<TokenId> tokens;
    int found = 0;
    while (static_cast<int>(tokens.size()) < most_tokens) {
      const auto burst = 1 + random() % 9;
      for (size_t i = 0; i < burst && static_cast<int>(tokens.size()) < most_tokens; ++i)
        tokens.push_back(static_cast<TokenId>(random()) % vocabulary);
      const int most = 1 + static_cast<int>(random() % 10);
      const Guess guess = guess_of(lookup, tokens, most);
      ASSERT_EQ(guess, look_up_naively(lengths, tokens, most))
          << "after " << tokens.size() << " tokens";
      found += guess.match > 0 ? 1 : 0;
    }
    if (lengths.least == 1) {
      EXPECT_GT(found, 0);
    }
  }
}

TEST(PromptLookup, TakesNothingFromTheHeapOnceItIsMade) {
  PromptLookup lookup({.least = 2, .most = 4}, 2000);
  std::mt19937 random(7);
  std::vector<TokenId> tokens;
  tokens.reserve(2000);
  std::vector<TokenId> drafts;
  drafts.reserve(8);
  const int64_t before = heap_allocation_count();
  while (tokens.size() < 2000) {
    tokens.push_back(static_cast<TokenId>(random() % 5));
    drafts.clear();
    lookup.propose(tokens, 8, drafts);
  }
  EXPECT_EQ(heap_allocation_count() - before, 0);
  EXPECT_FALSE(drafts.empty());
}

}  // namespace
}  // namespace inferno::engine
