// Byte-pair merging: neighbours of a word are joined, best rank first, leftmost first among equals,
// until no rule applies (Sennrich et al. 2016, section 3.2; the order of GPT-2's encoder).
//
//   symbols  h e l l o   ranks of neighbours: he 4, el -, ll 2, lo 9
//   -> h e ll o -> he ll o -> ...
//
// One loop serves both families; what differs is how two neighbours' rank is found: by their ids
// (MergeRules), or by their joined text (sentencepiece.cc).
//
// Threads:   MergeRules is immutable once built; a Merger is scratch of one thread.
// Cost:      O(n log n) for n symbols: a heap of candidates and a linked list.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/ids.h"

namespace inferno::token {

// A part of the word being merged.
struct Symbol {
  TokenId id = 0;      // kNoToken: no token spells it (yet)
  uint32_t begin = 0;  // in the word, bytes
  uint32_t size = 0;
};

inline constexpr TokenId kNoToken = -1;

// What joining two neighbours gives, and how early it happens: the lowest rank first.
struct Joined {
  uint32_t rank = 0;
  TokenId id = 0;
};

// The merge rules of a vocabulary: (left id, right id) -> rank and result.
class MergeRules {
 public:
  // Room for `count` rules.
  explicit MergeRules(size_t count = 0);

  // Adds a rule; the first of two for the same pair stays. Requires: no more rules than there is
  // room for.
  void add(TokenId left, TokenId right, Joined joined);

  // None if the two are not merged.
  std::optional<Joined> find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    uint64_t key;
    Joined joined;
  };
  size_t slot_of(uint64_t key) const;

  std::vector<Slot> slots_;
};

// The merge loop, with its scratch memory: the caller fills `symbols`, merge() leaves what they
// became.
class Merger {
 public:
  std::vector<Symbol> symbols;

  // Joins neighbours in `symbols` until join(left, right) is none for all of them.
  // `join(const Symbol&, const Symbol&) -> std::optional<Joined>`.
  template <typename Join>
  void merge(Join&& join);

 private:
  struct Node {
    uint32_t previous;
    uint32_t next;
    uint32_t rank;  // of joining with the next; kNever if they do not join
    TokenId joined;
  };
  static constexpr uint32_t kNever = UINT32_MAX;

  std::vector<Node> nodes_;
  std::vector<uint64_t>
      heap_;  // rank << 32 | index: the smallest is the next to join; stale ones are skipped
};

template <typename Join>
void Merger::merge(Join&& join) {
  const auto count = static_cast<uint32_t>(symbols.size());
  if (count < 2) return;
  nodes_.resize(count);
  heap_.clear();
  const auto rank_at = [&](uint32_t index) {
    Node& node = nodes_[index];
    node.rank = kNever;
    if (node.next == count) return;
    const std::optional<Joined> joined = join(symbols[index], symbols[node.next]);
    if (!joined) return;
    node.rank = joined->rank;
    node.joined = joined->id;
    heap_.push_back(uint64_t{node.rank} << 32 | index);
  };
  for (uint32_t i = 0; i < count; ++i) {
    nodes_[i] = {i - 1, i + 1, kNever,
                 kNoToken};  // the first has no previous: UINT32_MAX, never followed
    rank_at(i);
  }
  std::ranges::make_heap(heap_, std::greater<>());
  while (!heap_.empty()) {
    std::ranges::pop_heap(heap_, std::greater<>());
    const auto index = static_cast<uint32_t>(heap_.back());
    const auto rank = static_cast<uint32_t>(heap_.back() >> 32);
    heap_.pop_back();
    Node& node = nodes_[index];
    if (node.rank != rank) continue;  // joined with something else since, or gone
    Symbol& symbol = symbols[index];
    const uint32_t right = node.next;
    symbol.id = node.joined;
    symbol.size += symbols[right].size;
    node.next = nodes_[right].next;
    nodes_[right].rank = kNever;
    symbols[right].size = 0;
    if (node.next != count) nodes_[node.next].previous = index;
    const auto refresh = [&](uint32_t at) {
      const size_t before = heap_.size();
      rank_at(at);
      if (heap_.size() > before) std::ranges::push_heap(heap_, std::greater<>());
    };
    refresh(index);
    if (index != 0) refresh(node.previous);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.size == 0; });
}

}  // namespace inferno::token
