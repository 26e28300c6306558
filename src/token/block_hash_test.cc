#include "token/block_hash.h"

#include <gtest/gtest.h>

#include <numeric>
#include <unordered_set>
#include <vector>

namespace inferno::token {
namespace {

std::vector<TokenId> tokens_of(size_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

TEST(BlockHash, IsTheSameForTheSameContent) {
  const BlockHash root = root_hash({.salt = "s", .adapter = "a"});
  EXPECT_EQ(root, root_hash({.salt = "s", .adapter = "a"}));
  EXPECT_EQ(child_hash(root, tokens_of(16)), child_hash(root, tokens_of(16)));
}

TEST(BlockHash, RootsDifferBySaltAndAdapter) {
  const std::unordered_set<BlockHash> roots = {
      root_hash({}), root_hash({.salt = "ab", .adapter = "c"}),
      root_hash({.salt = "a", .adapter = "bc"}), root_hash({.salt = "abc", .adapter = ""}),
      root_hash({.salt = "", .adapter = "abc"})};
  EXPECT_EQ(roots.size(), 5u);
}

TEST(BlockHash, DependsOnTheParentAndOnEveryToken) {
  const BlockHash root = root_hash({});
  std::unordered_set<BlockHash> names = {root};
  std::vector<TokenId> tokens = tokens_of(16);
  const BlockHash first = child_hash(root, tokens);
  names.insert(first);
  names.insert(child_hash(first, tokens));
  for (TokenId& token : tokens) {
    ++token;
    names.insert(child_hash(root, tokens));
  }
  EXPECT_EQ(names.size(), 3u + tokens.size());
}

TEST(BlockHash, LongBlocksAreHashedWhole) {
  std::vector<TokenId> tokens = tokens_of(1000);
  const BlockHash before = child_hash({}, tokens);
  tokens.back() = -1;
  EXPECT_NE(child_hash({}, tokens), before);
  EXPECT_NE(child_hash({}, tokens_of(64)), child_hash({}, tokens_of(65)));
}

// Blocks travel between machines and versions by these names: a change of the function is a change
// of the format.
TEST(BlockHash, NamesAreStable) {
  EXPECT_EQ(to_string(root_hash({})), "e5189a9599e3f86205ea23ef06e28b2d");
  EXPECT_EQ(to_string(child_hash(root_hash({.salt = "s", .adapter = "a"}), tokens_of(16))),
            "bcf742e2da6ca4e867b13a9d35d35719");
}

TEST(BlockHash, PrintsHighHalfFirst) {
  EXPECT_EQ(to_string({.high = 0x1, .low = 0xAB}), "000000000000000100000000000000ab");
}

}  // namespace
}  // namespace inferno::token
