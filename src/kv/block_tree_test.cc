#include "kv/block_tree.h"

#include <gtest/gtest.h>

namespace inferno::kv {
namespace {

using Tokens = std::vector<TokenId>;

constexpr token::BlockHash kRoot{.high = 1, .low = 1};
constexpr token::BlockHash kOtherRoot{.high = 2, .low = 2};

Predecessor under(token::BlockHash root) {
  return {.page = std::nullopt, .root = root};
}

Predecessor behind(uint32_t page) {
  return {.page = PageId{page}, .root = kRoot};
}

// 16 tokens that count up but for the last ones, which are `end`.
Tokens block(int first, const Tokens& end = {}) {
  Tokens tokens;
  for (int i = 0; i < kPageTokens - static_cast<int>(end.size()); ++i)
    tokens.push_back(first + i);
  tokens.insert(tokens.end(), end.begin(), end.end());
  return tokens;
}

TEST(BlockTree, FindsTheChildThatAgreesLongest) {
  BlockTree tree(8);
  tree.insert({0}, under(kRoot), block(100));
  tree.insert({1}, behind(0), block(0, {7, 8}));
  tree.insert({2}, behind(0), block(0, {9, 9, 9, 9}));
  EXPECT_EQ(tree.longest_match(behind(0), block(0)), (BlockTree::Match{{1}, 14}));
  EXPECT_EQ(tree.longest_match(behind(0), block(0, {9, 9, 9, 9})), (BlockTree::Match{{2}, 16}));
  EXPECT_EQ(tree.longest_match(behind(0), Tokens{0, 1, 2}), (BlockTree::Match{{2}, 3}))
      << "of equals the first, which came last";
  EXPECT_FALSE(tree.longest_match(behind(0), block(1)));
  EXPECT_FALSE(tree.longest_match(behind(1), block(0)));
}

TEST(BlockTree, RootsShareNothing) {
  BlockTree tree(8);
  tree.insert({3}, under(kRoot), block(0));
  EXPECT_EQ(tree.longest_match(under(kRoot), block(0)), (BlockTree::Match{{3}, 16}));
  EXPECT_FALSE(tree.longest_match(under(kOtherRoot), block(0)));
  EXPECT_FALSE(tree.parent_of({3}));
  tree.insert({4}, behind(3), block(0));
  EXPECT_EQ(tree.parent_of({4}), PageId{3});
}

TEST(BlockTree, KnowsNothingOfErasedPages) {
  BlockTree tree(8);
  for (const Predecessor& after : {under(kRoot), behind(7)}) {
    for (uint32_t page = 0; page < 3; ++page)
      tree.insert({page}, after, block(static_cast<int>(page)));
    for (const uint32_t gone : {1u, 2u, 0u}) {  // one in the middle, the first, the last one left
      tree.erase({gone});
      EXPECT_FALSE(tree.longest_match(after, block(static_cast<int>(gone))));
    }
    EXPECT_FALSE(tree.tail_within(after, block(0)));
  }
  EXPECT_FALSE(tree.longest_match(under(kRoot), block(0)));
}

TEST(BlockTree, LooksAtTheChildrenUsedLastOnly) {
  BlockTree tree(100);
  for (uint32_t page = 0; page <= BlockTree::kMostLooked; ++page)
    tree.insert({page}, under(kRoot), block(static_cast<int>(page) * 100));
  EXPECT_FALSE(tree.longest_match(under(kRoot), block(0)));
  EXPECT_TRUE(tree.longest_match(under(kRoot), block(100)));
  tree.bring_forward({0});
  EXPECT_TRUE(tree.longest_match(under(kRoot), block(0)));
  EXPECT_FALSE(tree.longest_match(under(kRoot), block(100)));
  tree.bring_forward({0});
  EXPECT_TRUE(tree.longest_match(under(kRoot), block(0)));
}

TEST(BlockTree, FindsTailsThatSayNothingMore) {
  BlockTree tree(8);
  tree.insert({0}, under(kRoot), Tokens{1, 2, 3, 4});
  tree.insert({1}, under(kRoot), Tokens{1, 2, 5});
  tree.insert({2}, under(kRoot), Tokens{});
  tree.insert({3}, under(kRoot), block(1));
  EXPECT_TRUE(tree.is_tail({0}));
  EXPECT_FALSE(tree.is_tail({2})) << "its tokens are not known";
  EXPECT_FALSE(tree.is_tail({3}));
  EXPECT_EQ(tree.tail_within(under(kRoot), block(1)), PageId{0});
  EXPECT_EQ(tree.tail_within(under(kRoot), Tokens{1, 2, 5, 9}), PageId{1});
  EXPECT_FALSE(tree.tail_within(under(kRoot), Tokens{1, 2, 3}));
  EXPECT_EQ(tree.longest_match(under(kRoot), Tokens{1, 2, 5, 9}), (BlockTree::Match{{1}, 3}));
}

TEST(BlockTreeDeath, AParentCannotGoBeforeItsChildren) {
  BlockTree tree(8);
  tree.insert({0}, under(kRoot), block(0));
  tree.insert({1}, behind(0), block(16));
  EXPECT_DEATH(tree.erase({0}), "goes before its child 1");
}

}  // namespace
}  // namespace inferno::kv
