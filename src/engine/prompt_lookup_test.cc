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
class NaiveLookup {
 public:
  explicit NaiveLookup(const LookupLengths& lengths) : lengths_(lengths) {}

  Guess guess(const std::vector<TokenId>& tokens, int most) {
    const int end = static_cast<int>(tokens.size());
    Guess guess;
    int place = latest_place(tokens);
    if (place > 0) guess.match = run_before(tokens, place);
    if (distance_ > 0) {
      const int followed = end - distance_;
      int agreeing = 0;
      for (int i = 1; i <= std::min(8, followed); ++i)
        agreeing += tokens[at(followed - i)] == tokens[at(end - i)];
      const int run = run_before(tokens, followed);
      if ((place > 0 && run >= guess.match) || (place == 0 && agreeing >= 3)) {
        place = followed;
        guess.match = std::max(run, agreeing);
      }
    }
    if (place == 0) return guess;
    distance_ = end - place;
    std::vector<TokenId> text = tokens;
    for (int i = 0; i < most; ++i)
      text.push_back(text[at(place + i)]);
    guess.drafts.assign(text.begin() + end, text.end());
    return guess;
  }

 private:
  static size_t at(int index) { return static_cast<size_t>(index); }

  static int run_before(const std::vector<TokenId>& tokens, int place) {
    int run = 0;
    while (run < std::min(PromptLookup::kLongestMatch, place) &&
           tokens[at(place - 1 - run)] == tokens[tokens.size() - 1 - at(run)])
      ++run;
    return run;
  }

  int latest_place(const std::vector<TokenId>& tokens) const {
    const int end = static_cast<int>(tokens.size());
    for (int length = std::min(lengths_.most, end - 1); length >= lengths_.least; --length) {
      for (int place = end - 1; place >= length; --place)
        if (run_before(tokens, place) >= length) return place;
    }
    return 0;
  }

  LookupLengths lengths_;
  int distance_ = 0;
};

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

TEST(PromptLookup, FollowsACopyBehindAChangedToken) {
  PromptLookup lookup({.least = 2, .most = 4}, 200);
  std::vector<TokenId> tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  tokens.insert(tokens.end(), {50, 1, 2, 3, 4});
  EXPECT_EQ(guess_of(lookup, tokens, 3), (Guess{.drafts = {5, 6, 7}, .match = 4}));
  tokens.insert(tokens.end(), {5, 60});  // for 6
  EXPECT_EQ(guess_of(lookup, tokens, 3), (Guess{.drafts = {7, 8, 9}, .match = 5}));
}

TEST(PromptLookup, LeavesACopyThatAgreesNoMore) {
  PromptLookup lookup({.least = 2, .most = 4}, 200);
  std::vector<TokenId> tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 50, 1, 2, 3};
  EXPECT_EQ(guess_of(lookup, tokens, 1).drafts, (std::vector<TokenId>{4}));
  tokens.insert(tokens.end(), {60, 61, 62, 63, 64, 65});
  EXPECT_EQ(guess_of(lookup, tokens, 3), Guess{});
}

// Two places have what came last before them: the copy goes on where it was, not at the later one.
TEST(PromptLookup, PrefersThePlaceItFollowsToALaterOne) {
  PromptLookup lookup({.least = 2, .most = 2}, 200);
  std::vector<TokenId> tokens = {1, 2, 3, 8, 9, 5, 6, 7, 8, 9, 50, 1, 2};
  EXPECT_EQ(guess_of(lookup, tokens, 3).drafts, (std::vector<TokenId>{3, 8, 9}));
  tokens.insert(tokens.end(), {3, 8, 9});
  EXPECT_EQ(guess_of(lookup, tokens, 2), (Guess{.drafts = {5, 6}, .match = 5}));
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
    NaiveLookup naive(lengths);
    std::vector<TokenId> tokens;
    int found = 0;
    while (static_cast<int>(tokens.size()) < most_tokens) {
      const auto burst = 1 + random() % 9;
      for (size_t i = 0; i < burst && static_cast<int>(tokens.size()) < most_tokens; ++i)
        tokens.push_back(static_cast<TokenId>(random()) % vocabulary);
      const int most = 1 + static_cast<int>(random() % 10);
      const Guess guess = guess_of(lookup, tokens, most);
      ASSERT_EQ(guess, naive.guess(tokens, most)) << "after " << tokens.size() << " tokens";
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
