// Random operations on a pool and on a model of it that is written down without caring for cost:
// every victim must be the model's, and the counts must agree after every operation.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "kv/block_pool.h"
#include "kv/greedy_dual_policy.h"
#include "kv/property_ops.h"

namespace inferno::kv {
namespace {

// A chain of blocks over an alphabet of three, as a number: the path from the root in base 4. Up to
// 31 blocks deep.
using Path = uint64_t;
constexpr Path kRootPath = 0;  // as a name: none
constexpr int kMaxDepth = 12;

Path child_of(Path parent, uint64_t symbol) {
  return parent * 4 + 1 + symbol;
}

Path parent_of(Path path) {
  return path / 4;
}

token::BlockHash hash_at(Path path) {
  return {.high = path * 31, .low = path * 0x9E3779B97F4A7C15ULL};
}

using Tokens = std::vector<TokenId>;

// The blocks behind one block begin with the same four tokens.
Tokens tokens_of(Path path) {
  Tokens tokens(4, 9);
  tokens.resize(kPageTokens, static_cast<TokenId>((path - 1) % 4));
  return tokens;
}

int agreeing_tokens(const Tokens& held, const Tokens& wanted) {
  return static_cast<int>(std::ranges::mismatch(held, wanted).in1 - held.begin());
}

int depth_of(Path path) {
  int blocks = 0;
  for (; parent_of(path) != kRootPath; path = parent_of(path))
    ++blocks;
  return blocks;
}

struct NaivePool {
  struct Page {
    int references = 0;
    Path name = kRootPath;
    Tokens tail{};  // in place of a name
    Path after = kRootPath;
    uint64_t uses = 0;
    uint64_t used_last = 0;
    uint64_t rank = 0;
    uint64_t arrival = 0;

    bool is_named() const { return name != kRootPath || !tail.empty(); }
    Tokens tokens() const { return name != kRootPath ? tokens_of(name) : tail; }
    int depth() const {
      return name != kRootPath ? depth_of(name) : after ? depth_of(after) + 1 : 0;
    }
  };
  EvictionPolicyKind kind{};
  std::map<uint32_t, Page> pages;
  uint64_t clock = 0;
  uint64_t arrivals = 0;
  uint64_t time = 0;

  uint64_t value(const Page& page) const {
    switch (kind) {
      case EvictionPolicyKind::kLfu:
        return page.uses;
      case EvictionPolicyKind::kCost:
        return page.uses * (CostAwarePolicy::kParityDepth + static_cast<uint64_t>(page.depth()));
      default:
        return 0;
    }
  }
  enum class State { kFree, kIdle, kInUseNamed, kInUseUnnamed };
  static State state_of(const Page& page) {
    if (page.references == 0) return page.is_named() ? State::kIdle : State::kFree;
    return page.is_named() ? State::kInUseNamed : State::kInUseUnnamed;
  }
  int count(State state) const {
    int sum = 0;
    for (const auto& [id, page] : pages)
      sum += state_of(page) == state;
    return sum;
  }
  std::optional<uint32_t> holder(Path name) const {
    for (const auto& [id, page] : pages) {
      if (page.name == name) return id;
    }
    return std::nullopt;
  }
  bool has_child(Path name) const {
    for (const auto& [id, page] : pages) {
      if (page.is_named() && page.name != name && page.after == name) return true;
    }
    return false;
  }
  // What find_continuation() must find.
  std::optional<BlockTree::Match> continuation(Path after, const Tokens& wanted) const {
    std::optional<BlockTree::Match> best;
    for (const auto& [id, page] : pages) {
      if (!page.is_named() || page.after != after) continue;
      const int agreeing = agreeing_tokens(page.tokens(), wanted);
      if (agreeing == 0) continue;
      if (best && agreeing < best->tokens) continue;
      if (best && agreeing == best->tokens && page.used_last < pages.at(best->page.value).used_last)
        continue;
      best = {.page = {id}, .tokens = agreeing};
    }
    return best;
  }
  void drop_tails_within(Path after, const Tokens& tokens) {
    for (auto& [id, page] : pages) {
      if (page.tail.empty() || page.after != after) continue;
      if (agreeing_tokens(page.tail, tokens) == static_cast<int>(page.tail.size())) page = {};
    }
  }
  void adopt(uint32_t id) {
    Page& page = pages.at(id);
    ++page.references;
    ++page.uses;
    page.used_last = ++time;
  }
  // The page that acquire() must take when none is free. Of the longest idle it is found, not
  // demanded, that it is a leaf.
  std::optional<uint32_t> victim() const {
    std::optional<uint32_t> best;
    for (const auto& [id, page] : pages) {
      if (page.references > 0 || !page.is_named()) continue;
      if (kind != EvictionPolicyKind::kLru && page.name != kRootPath && has_child(page.name))
        continue;
      if (best) {
        const Page& other = pages.at(*best);
        const bool by_rank = kind != EvictionPolicyKind::kLru && page.rank != other.rank;
        if (by_rank ? page.rank > other.rank : page.arrival > other.arrival) continue;
      }
      best = id;
    }
    return best;
  }
  void release(uint32_t id) {
    Page& page = pages.at(id);
    if (--page.references > 0 || !page.is_named()) return;
    page.rank = clock + value(page);
    page.arrival = arrivals++;
  }
};

// One user of pages, as a block table is: whole chains, given back tail first.
struct Holder {
  struct Held {
    uint32_t page = 0;
    Path name = kRootPath;  // not published
  };
  std::vector<Held> held;

  Path published_path() const {
    for (auto it = held.rbegin(); it != held.rend(); ++it) {
      if (it->name != kRootPath) return it->name;
    }
    return kRootPath;
  }
  size_t published_count() const {
    size_t count = 0;
    while (count < held.size() && held[count].name != kRootPath)
      ++count;
    return count;
  }
};

class Comparison {
 public:
  Comparison(EvictionPolicyKind kind, uint64_t seed)
      : random_(seed),
        capacity_(1 + static_cast<int>(random_() % 24)),
        pool_(capacity_, kind),
        holders_(1 + random_() % 5) {
    naive_.kind = kind;
    for (uint32_t page = 0; page < static_cast<uint32_t>(capacity_); ++page)
      naive_.pages[page] = {};
  }

  void run(int64_t operations) {
    for (int64_t done = 0; done < operations && !testing::Test::HasFatalFailure(); ++done) {
      Holder& holder = holders_[random_() % holders_.size()];
      switch (random_() % 10) {
        case 0:
        case 1:
          acquire(holder);
          break;
        case 2:
        case 3:
          publish(holder);
          break;
        case 4:
          adopt(holder);
          break;
        case 5:
          fork(holder);
          break;
        case 6:
          release_last(holder);
          break;
        case 7:
          keep_tail(holder);
          break;
        case 8:
          copy(holder);
          break;
        default:
          if (random_() % 4 == 0) {
            while (!holder.held.empty())
              release_last(holder);
          }
      }
      ASSERT_EQ(pool_.free_count() + pool_.idle_count() + pool_.in_use_count(), capacity_);
      if (done % 16 == 0) audit();
    }
    audit();
    evictions_total += evictions_;
    adoptions_total += adoptions_;
    merges_total += pool_.stats().duplicate_blocks;
    tails_total += tails_;
    copies_total += copies_;
  }

  // Of all runs, so that a test can see that it tested something.
  static inline int64_t evictions_total = 0;
  static inline int64_t adoptions_total = 0;
  static inline int64_t merges_total = 0;
  static inline int64_t tails_total = 0;
  static inline int64_t copies_total = 0;

 private:
  // Takes a page as acquire() should, and says which.
  std::optional<uint32_t> take_page() {
    const bool had_free = pool_.free_count() > 0;
    const std::optional<uint32_t> victim = naive_.victim();
    const auto page = pool_.acquire();
    EXPECT_EQ(page.has_value(), had_free || victim.has_value());
    if (!page) return std::nullopt;
    NaivePool::Page& entry = naive_.pages[page->value];
    EXPECT_EQ(entry.references, 0);
    if (had_free) {
      EXPECT_FALSE(entry.is_named());
    } else {
      EXPECT_EQ(page->value, *victim);
      EXPECT_FALSE(entry.name != kRootPath && naive_.has_child(entry.name))
          << "evicted before the blocks behind it";
      naive_.clock = std::max(naive_.clock, entry.rank);
      ++evictions_;
    }
    entry = {.references = 1};
    return page->value;
  }

  void acquire(Holder& holder) {
    if (holder.held.size() >= kMaxDepth) return;
    if (const auto page = take_page()) holder.held.push_back({.page = *page});
  }

  void publish(Holder& holder) {
    const size_t block = holder.published_count();
    if (block == holder.held.size()) return;
    const Path name = child_of(holder.published_path(), random_() % 3);
    const uint32_t own = holder.held[block].page;
    const Tokens tokens = tokens_of(name);
    const std::optional<uint32_t> known = naive_.holder(name);
    ASSERT_EQ(naive_.pages[own].name, kRootPath);
    const PageId result =
        pool_.publish({own}, hash_at(name), {.after = end_of(holder, block), .tokens = tokens});
    ASSERT_EQ(result.value, known.value_or(own));
    holder.held[block].name = name;
    if (!known) {
      naive_.drop_tails_within(parent_of(name), tokens);
      naive_.pages[own].name = name;
      naive_.pages[own].after = parent_of(name);
      naive_.pages[own].uses = 1;
      naive_.pages[own].used_last = ++naive_.time;
      return;
    }
    pool_.merge({own}, result);
    naive_.adopt(*known);
    naive_.release(own);
    holder.held[block].page = *known;
  }

  void adopt(Holder& holder) {
    if (holder.published_count() != holder.held.size() || holder.held.size() >= kMaxDepth) return;
    const Path name = child_of(holder.published_path(), random_() % 3);
    const auto found = pool_.find(hash_at(name));
    const auto expected = naive_.holder(name);
    ASSERT_EQ(found.has_value(), expected.has_value());
    if (!found) return;
    ASSERT_EQ(found->value, *expected);
    pool_.adopt(*found);
    ++adoptions_;
    naive_.adopt(*expected);
    holder.held.push_back({.page = *expected, .name = name});
  }

  // What the page after the first `blocks` of a holder continues.
  static Predecessor end_of(const Holder& holder, size_t blocks) {
    Predecessor after;
    if (blocks > 0) after.page = PageId{holder.held[blocks - 1].page};
    return after;
  }

  // Tokens of some page behind a block, with another one among them now and then.
  Tokens random_tokens(Path after, size_t count) {
    Tokens tokens = tokens_of(child_of(after, random_() % 3));
    tokens.resize(count);
    if (random_() % 4 == 0) tokens[random_() % count] = static_cast<TokenId>(random_() % 3);
    return tokens;
  }

  // Gives back the last page of a holder, if nobody else has it and all before it are published.
  void keep_tail(Holder& holder) {
    const size_t blocks = holder.published_count();
    if (blocks + 1 != holder.held.size()) return;
    const uint32_t own = holder.held.back().page;
    if (naive_.pages[own].references != 1) return;
    const Path after = holder.published_path();
    const Tokens tokens = random_tokens(after, 1 + random_() % (kPageTokens - 1));
    pool_.keep_tail({own}, {.after = end_of(holder, blocks), .tokens = tokens});
    const auto other = naive_.continuation(after, tokens);
    if (other && other->tokens == static_cast<int>(tokens.size())) {
      naive_.adopt(other->page.value);
      naive_.release(other->page.value);
    } else {
      naive_.drop_tails_within(after, tokens);
      NaivePool::Page& page = naive_.pages[own];
      page.tail = tokens;
      page.after = after;
      page.uses = 1;
      page.used_last = ++naive_.time;
      ++tails_;
    }
    naive_.release(own);
    holder.held.pop_back();
  }

  void copy(Holder& holder) {
    const size_t blocks = holder.published_count();
    if (blocks != holder.held.size() || blocks >= kMaxDepth) return;
    const Path after = holder.published_path();
    const Tokens tokens = random_tokens(after, 1 + random_() % kPageTokens);
    const auto found = pool_.find_continuation(end_of(holder, blocks), tokens);
    ASSERT_EQ(found, naive_.continuation(after, tokens));
    if (!found) return;
    pool_.adopt(found->page);
    naive_.adopt(found->page.value);
    if (const auto page = take_page()) holder.held.push_back({.page = *page});
    pool_.release(found->page);
    naive_.release(found->page.value);
    ++copies_;
  }

  void fork(Holder& holder) {
    const Holder& other = holders_[random_() % holders_.size()];
    if (!holder.held.empty() || other.held.empty()) return;
    // Published pages only: two that publish one page agree on its name (block_table_test.cc).
    const size_t count = 1 + random_() % other.held.size();
    for (size_t block = 0; block < std::min(count, other.published_count()); ++block) {
      const Holder::Held held = other.held[block];
      pool_.share({held.page});
      ++naive_.pages[held.page].references;
      ++naive_.pages[held.page].uses;
      holder.held.push_back(held);
    }
  }

  void release_last(Holder& holder) {
    if (holder.held.empty()) return;
    pool_.release({holder.held.back().page});
    naive_.release(holder.held.back().page);
    holder.held.pop_back();
  }

  void audit() {
    ASSERT_EQ(pool_.stats().free_pages, naive_.count(NaivePool::State::kFree));
    ASSERT_EQ(pool_.stats().idle_pages, naive_.count(NaivePool::State::kIdle));
    ASSERT_EQ(pool_.stats().in_use_named_pages, naive_.count(NaivePool::State::kInUseNamed));
    ASSERT_EQ(pool_.stats().in_use_unnamed_pages, naive_.count(NaivePool::State::kInUseUnnamed));
    ASSERT_EQ(pool_.eviction_count(), evictions_);
    for (const auto& [id, page] : naive_.pages) {
      ASSERT_EQ(pool_.reference_count({id}), page.references);
      ASSERT_EQ(pool_.is_named({id}), page.is_named());
      if (!page.is_named()) continue;
      if (page.name != kRootPath) {
        ASSERT_EQ(pool_.find(hash_at(page.name)), PageId{id});
      }
      ASSERT_TRUE(page.after == kRootPath || naive_.holder(page.after)) << id << " is orphaned";
    }
  }

  std::mt19937_64 random_;
  int capacity_;
  BlockPool pool_;
  NaivePool naive_;
  std::vector<Holder> holders_;
  int64_t evictions_ = 0;
  int64_t adoptions_ = 0;
  int64_t tails_ = 0;
  int64_t copies_ = 0;
};

class BlockPoolOf : public testing::TestWithParam<EvictionPolicyKind> {};

TEST_P(BlockPoolOf, AgreesWithANaiveModelUnderRandomOperations) {
  constexpr int64_t kOperationsOfASeed = 4000;
  const int64_t operations = property_ops(400000);
  Comparison::evictions_total = Comparison::adoptions_total = Comparison::merges_total = 0;
  Comparison::tails_total = Comparison::copies_total = 0;
  for (uint64_t seed = 1; static_cast<int64_t>(seed - 1) * kOperationsOfASeed < operations;
       ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Comparison(GetParam(), seed).run(kOperationsOfASeed);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }

  EXPECT_GT(Comparison::evictions_total, operations / 1000);
  EXPECT_GT(Comparison::adoptions_total, operations / 1000);
  EXPECT_GT(Comparison::merges_total, operations / 1000);
  EXPECT_GT(Comparison::tails_total, operations / 1000);
  EXPECT_GT(Comparison::copies_total, operations / 1000);
}

INSTANTIATE_TEST_SUITE_P(EveryPolicy, BlockPoolOf,
                         testing::Values(EvictionPolicyKind::kLru, EvictionPolicyKind::kLfu,
                                         EvictionPolicyKind::kCost),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

}  // namespace
}  // namespace inferno::kv
