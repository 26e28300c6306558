#include "load/prompt_source.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace inferno::load {
namespace {

using ::testing::StartsWith;

std::vector<TokenId> tokens_of(const PromptSource& source, std::vector<Segment> segments) {
  std::vector<TokenId> out;
  source.append_tokens(segments, out);
  return out;
}

std::string text_of(const PromptSource& source, std::vector<Segment> segments) {
  std::string out;
  source.append_text(segments, out);
  return out;
}

TEST(PromptSource, GivesAsManyTokensAsTheSegmentsSay) {
  EXPECT_EQ(tokens_of({1, 1000}, {{1, 7}, {2, 0}, {3, 5}}).size(), 12U);
  EXPECT_TRUE(tokens_of({1, 1000}, {}).empty());
}

TEST(PromptSource, LeavesOutTheLowestEighthOfTheVocabulary) {
  const auto tokens = tokens_of({1, 256}, {{1, 20'000}});
  const auto [low, high] = std::ranges::minmax(tokens);
  EXPECT_EQ(low, 32);
  EXPECT_EQ(high, 255);
}

TEST(PromptSource, AShorterSegmentIsAPrefixOfALongerOne) {
  const PromptSource source(5, 32'000);
  auto longer = tokens_of(source, {{9, 100}});
  longer.resize(40);
  EXPECT_EQ(tokens_of(source, {{9, 40}}), longer);
  EXPECT_THAT(text_of(source, {{9, 100}}), StartsWith(text_of(source, {{9, 40}})));
}

TEST(PromptSource, StreamsAndSeedsDiffer) {
  const PromptSource source(5, 32'000);
  EXPECT_EQ(tokens_of(source, {{1, 50}}), tokens_of(PromptSource(5, 32'000), {{1, 50}}));
  EXPECT_NE(tokens_of(source, {{1, 50}}), tokens_of(source, {{2, 50}}));
  EXPECT_NE(tokens_of(source, {{1, 50}}), tokens_of(PromptSource(6, 32'000), {{1, 50}}));
}

TEST(PromptSource, TextHasAWordForEachToken) {
  const std::string text = text_of({1, 100}, {{1, 30}, {2, 12}});
  EXPECT_EQ(std::ranges::count(text, ' '), 41);
  EXPECT_NE(text.front(), ' ');
}

}  // namespace
}  // namespace inferno::load
