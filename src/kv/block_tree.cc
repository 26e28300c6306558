#include "kv/block_tree.h"

#include <algorithm>

#include "base/check.h"

namespace inferno::kv {

BlockTree::BlockTree(int capacity) : nodes_(static_cast<size_t>(capacity)), roots_(capacity) {}

void BlockTree::insert(PageId page, const Predecessor& after, std::span<const TokenId> tokens) {
  CHECK(tokens.size() <= kPageTokens, "{} tokens in a page", tokens.size());
  Node& node = nodes_[page.value];
  node.parent = after.page ? after.page->value : kNone;
  node.root = after.root;
  node.token_count = static_cast<int32_t>(tokens.size());
  std::ranges::copy(tokens, node.tokens.begin());
  link(page.value);
}

void BlockTree::erase(PageId page) {
  CHECK(nodes_[page.value].first_child == kNone, "page {} goes before its child {}", page.value,
        nodes_[page.value].first_child);
  unlink(page.value);
}

void BlockTree::bring_forward(PageId page) {
  if (nodes_[page.value].newer == kNone) return;
  unlink(page.value);
  link(page.value);
}

std::optional<PageId> BlockTree::parent_of(PageId page) const {
  const uint32_t parent = nodes_[page.value].parent;
  return parent == kNone ? std::nullopt : std::optional(PageId{parent});
}

bool BlockTree::is_tail(PageId page) const {
  const int32_t count = nodes_[page.value].token_count;
  return count > 0 && count < kPageTokens;
}

std::optional<BlockTree::Match> BlockTree::longest_match(const Predecessor& after,
                                                         std::span<const TokenId> tokens) const {
  std::optional<Match> longest;
  uint32_t page = first_child(after);
  for (int looked = 0; page != kNone && looked < kMostLooked; ++looked) {
    const int agreeing = agreeing_tokens(nodes_[page], tokens);
    if (agreeing > (longest ? longest->tokens : 0)) longest = {.page = {page}, .tokens = agreeing};
    page = nodes_[page].older;
  }
  return longest;
}

std::optional<PageId> BlockTree::tail_within(const Predecessor& after,
                                             std::span<const TokenId> tokens) const {
  uint32_t page = first_child(after);
  for (int looked = 0; page != kNone && looked < kMostLooked; ++looked) {
    const Node& node = nodes_[page];
    if (is_tail({page}) && agreeing_tokens(node, tokens) == node.token_count) return PageId{page};
    page = node.older;
  }
  return std::nullopt;
}

uint32_t BlockTree::first_child(const Predecessor& after) const {
  if (after.page) return nodes_[after.page->value].first_child;
  return roots_.find(after.root).value_or(PageId{kNone}).value;
}

// Of what a node continues.
void BlockTree::set_first_child(const Node& node, uint32_t page) {
  if (node.parent != kNone) {
    nodes_[node.parent].first_child = page;
    return;
  }
  if (roots_.find(node.root)) roots_.erase(node.root);
  if (page != kNone) roots_.insert(node.root, {page});
}

void BlockTree::link(uint32_t page) {
  Node& node = nodes_[page];
  node.newer = kNone;
  node.older = first_child({.page = parent_of({page}), .root = node.root});
  if (node.older != kNone) nodes_[node.older].newer = page;
  set_first_child(node, page);
}

void BlockTree::unlink(uint32_t page) {
  const Node& node = nodes_[page];
  if (node.older != kNone) nodes_[node.older].newer = node.newer;
  if (node.newer != kNone) {
    nodes_[node.newer].older = node.older;
  } else {
    set_first_child(node, node.older);
  }
}

int BlockTree::agreeing_tokens(const Node& node, std::span<const TokenId> tokens) {
  const auto held = std::span(node.tokens).first(static_cast<size_t>(node.token_count));
  return static_cast<int>(std::ranges::mismatch(held, tokens).in1 - held.begin());
}

}  // namespace inferno::kv
