// Random lives of many sequences in a pool that is too small for them: prompts that share prefixes,
// chunks, forks, copied tails, preemption, eviction. The naive model is that every sequence
// computes alone: whatever pages a table holds, each position must contain what the sequence itself
// would have computed there.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "kv/block_table.h"
#include "kv/property_ops.h"

namespace inferno::kv {
namespace {

constexpr int kMaxTokens = 100;
constexpr size_t kSequences = 6;

// The "KV" of a position: depends on the salt and on all tokens up to it, as the real one does.
uint64_t cell(uint64_t before, TokenId token) {
  return (before ^ static_cast<uint64_t>(token)) * 0x9E3779B97F4A7C15ULL + 1;
}

struct Life {
  Life(uint64_t salt_number, std::vector<TokenId> prompt)
      : salt(salt_number),
        tokens(std::move(prompt)),
        table(token::root_hash({.salt = salt_number == 0 ? "a" : "b", .adapter = {}}), kMaxTokens) {
    table.hash_prompt(tokens);
  }
  int token_count() const { return static_cast<int>(tokens.size()); }

  uint64_t salt;
  std::vector<TokenId> tokens;
  BlockTable table;
  int computed = 0;
  bool running = false;
};

class Lives {
 public:
  Lives(EvictionPolicyKind kind, uint64_t seed)
      : random_(seed),
        capacity_(pages_for(kMaxTokens) + 1 + static_cast<int>(random_() % 16)),
        pool_(capacity_, kind),
        bytes_(static_cast<size_t>(capacity_) * kPageTokens),
        lives_(kSequences) {}

  void run(int64_t operations) {
    for (int64_t done = 0; done < operations && !testing::Test::HasFatalFailure(); ++done) {
      std::unique_ptr<Life>& life = lives_[random_() % kSequences];
      if (!life) {
        begin(life);
      } else if (!life->running) {
        admit(*life);
      } else {
        switch (random_() % 8) {
          case 0:
            preempt(*life);
            break;
          case 1:
            fork(*life);
            break;
          case 2:
            if (life->computed == life->token_count()) end(life);
            break;
          default:
            compute(*life);
        }
      }
      ASSERT_EQ(pool_.free_count() + pool_.idle_count() + pool_.in_use_count(), capacity_);
      if (done % 32 == 0) audit();
    }
    for (auto& life : lives_) {
      if (life) end(life);
    }
    EXPECT_EQ(pool_.in_use_count(), 0);
    const BlockPoolStats& stats = pool_.stats();
    int64_t hits = 0;
    for (int64_t tokens : stats.hit_tokens_by_cause)
      hits += tokens;
    EXPECT_EQ(hits, stats.hit_tokens);
    EXPECT_EQ(hits, hit_tokens_);
    EXPECT_EQ(hits + stats.miss_tokens, query_tokens_);
    forks_total += forks_;
    copies_total += copies_;
    evictions_total += stats.evicted_blocks;
    duplicates_total += stats.duplicate_blocks;
  }

  // Of all runs, so that a test can see that it tested something.
  static inline int64_t forks_total = 0;
  static inline int64_t copies_total = 0;
  static inline int64_t evictions_total = 0;
  static inline int64_t duplicates_total = 0;

 private:
  void begin(std::unique_ptr<Life>& life) {
    std::vector<TokenId> prompt(1 + random_() % 70);
    // Blocks of one token each out of two: many prompts share some blocks and then part.
    for (size_t begin = 0; begin < prompt.size(); begin += kPageTokens) {
      const size_t end = std::min(prompt.size(), begin + kPageTokens);
      std::fill(prompt.begin() + static_cast<ptrdiff_t>(begin),
                prompt.begin() + static_cast<ptrdiff_t>(end), static_cast<TokenId>(random_() % 2));
    }
    // Others part within a block.
    if (random_() % 2 == 0) prompt[random_() % prompt.size()] = 2;
    life = std::make_unique<Life>(random_() % 4 == 0 ? 1 : 0, std::move(prompt));
  }

  void admit(Life& life) {
    life.table.hash_prompt(life.tokens);
    const int promised = life.table.cached_prefix_tokens(pool_);
    const int adopted = life.table.adopt_prefix(pool_, life.tokens, 0);
    ASSERT_EQ(adopted, promised);
    ASSERT_LT(adopted, life.token_count());
    life.computed = adopted;
    if (random_() % 4 != 0) copy_tail(life);
    ASSERT_LT(life.computed, life.token_count());
    life.table.record_admission(pool_, Admission::kFirst);
    hit_tokens_ += life.computed;
    query_tokens_ += life.token_count();
    life.running = true;
    verify(life);
  }

  void copy_tail(Life& life) {
    const int available = pool_.available_count();
    const int found = life.table.cached_tail_tokens(pool_, life.tokens);
    const auto copied = life.table.copy_tail(pool_, life.tokens);
    if (!copied) {
      ASSERT_TRUE(found == 0 || available < 2);
      ASSERT_EQ(pool_.available_count(), available);
      return;
    }
    ASSERT_EQ(copied->tokens, found);
    copy_page(copied->copy);
    life.computed += found;
    ++copies_;
  }

  void copy_page(const PageCopy& copy) {
    const auto page_bytes = [this](PageId page) {
      return bytes_.begin() + static_cast<ptrdiff_t>(page.value) * kPageTokens;
    };
    std::copy_n(page_bytes(copy.from), kPageTokens, page_bytes(copy.to));
  }

  void compute(Life& life) {
    if (life.computed == life.token_count()) {
      if (life.token_count() == kMaxTokens) return;
      life.tokens.push_back(static_cast<TokenId>(random_() % 2));
    }
    const int pending = life.token_count() - life.computed;
    const int until =
        life.computed + 1 + static_cast<int>(random_() % static_cast<uint64_t>(pending));
    if (!life.table.grow(pool_, until)) {
      preempt(life);
      return;
    }
    uint64_t before = value_before(life, life.computed);
    for (int position = life.computed; position < until; ++position) {
      const PageId page{life.table.pages()[static_cast<size_t>(position / kPageTokens)]};
      ASSERT_EQ(pool_.reference_count(page), 1) << "writes to a shared page";
      ASSERT_FALSE(pool_.is_named(page)) << "writes to a page that others may find";
      before = cell(before, life.tokens[static_cast<size_t>(position)]);
      at(life, position) = before;
    }
    life.computed = until;
    // Some publish late, as sequences of one step do after each other.
    if (random_() % 4 != 0) life.table.publish_full(pool_, life.tokens, life.computed);
    verify(life);
  }

  void fork(Life& parent) {
    const auto empty = std::ranges::find_if(lives_, [](const auto& life) { return !life; });
    if (empty == lives_.end() || parent.computed == 0) return;
    const int tokens =
        1 + static_cast<int>(random_() % static_cast<uint64_t>(std::min(parent.computed, 90)));
    std::vector<TokenId> known(parent.tokens.begin(), parent.tokens.begin() + tokens);
    known.push_back(static_cast<TokenId>(random_() % 2));
    auto child = std::make_unique<Life>(parent.salt, std::move(known));
    const int available = pool_.available_count();
    const auto forked = child->table.fork_prefix(pool_, parent.table, tokens);
    ASSERT_EQ(forked.has_value(), tokens % kPageTokens == 0 || available > 0);
    if (!forked) {
      ASSERT_EQ(pool_.available_count(), available);
      ASSERT_EQ(child->table.page_count(), 0);
      return;
    }
    ASSERT_EQ(forked->copy.has_value(), tokens % kPageTokens != 0);
    if (forked->copy) copy_page(*forked->copy);
    child->table.record_admission(pool_, Admission::kForked);
    hit_tokens_ += tokens;
    query_tokens_ += tokens + 1;
    child->computed = tokens;
    child->running = true;
    verify(*child);
    verify(parent);
    *empty = std::move(child);
    ++forks_;
  }

  void preempt(Life& life) {
    leave(life);
    life.computed = 0;
    life.running = false;
  }

  void end(std::unique_ptr<Life>& life) {
    leave(*life);
    life.reset();
  }

  void leave(Life& life) {
    if (random_() % 4 == 0) {
      life.table.release(pool_);
    } else {
      life.table.retire(pool_, life.tokens, life.computed);
    }
  }

  uint64_t& at(const Life& life, int position) {
    const uint32_t page = life.table.pages()[static_cast<size_t>(position / kPageTokens)];
    return bytes_[static_cast<size_t>(page) * kPageTokens +
                  static_cast<size_t>(position % kPageTokens)];
  }

  // What the sequence alone would have at the position before `position`.
  static uint64_t value_before(const Life& life, int position) {
    uint64_t value = life.salt;
    for (int i = 0; i < position; ++i)
      value = cell(value, life.tokens[static_cast<size_t>(i)]);
    return value;
  }

  void verify(const Life& life) {
    ASSERT_GE(life.table.page_count(), pages_for(life.computed));
    uint64_t value = life.salt;
    for (int position = 0; position < life.computed; ++position) {
      value = cell(value, life.tokens[static_cast<size_t>(position)]);
      ASSERT_EQ(at(life, position), value) << "position " << position << " of " << life.computed;
    }
  }

  // Every reference is held by a table, and every sequence still has its own contents.
  void audit() {
    std::vector<int> references(static_cast<size_t>(capacity_));
    for (const auto& life : lives_) {
      if (!life) continue;
      verify(*life);
      for (uint32_t page : life->table.pages())
        ++references[page];
    }
    int used = 0;
    for (uint32_t page = 0; page < references.size(); ++page) {
      ASSERT_EQ(pool_.reference_count({page}), references[page]);
      used += references[page] > 0;
    }
    ASSERT_EQ(pool_.in_use_count(), used);
  }

  std::mt19937_64 random_;
  int capacity_;
  BlockPool pool_;
  std::vector<uint64_t> bytes_;  // of page p: [16 p, 16 p + 16)
  std::vector<std::unique_ptr<Life>> lives_;
  int64_t hit_tokens_ = 0;
  int64_t query_tokens_ = 0;
  int64_t forks_ = 0;
  int64_t copies_ = 0;
};

class BlockTableUnder : public testing::TestWithParam<EvictionPolicyKind> {};

TEST_P(BlockTableUnder, RandomOperationsEachSequenceKeepsWhatItWouldHaveComputedAlone) {
  constexpr int64_t kOperationsOfASeed = 5000;
  const int64_t operations = property_ops(1000000);
  Lives::forks_total = Lives::copies_total = 0;
  Lives::evictions_total = Lives::duplicates_total = 0;
  for (uint64_t seed = 1; static_cast<int64_t>(seed - 1) * kOperationsOfASeed < operations;
       ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Lives(GetParam(), seed).run(kOperationsOfASeed);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(Lives::forks_total, operations / 1000);
  EXPECT_GT(Lives::copies_total, operations / 1000);
  EXPECT_GT(Lives::evictions_total, operations / 1000);
  EXPECT_GT(Lives::duplicates_total, operations / 1000);
}

INSTANTIATE_TEST_SUITE_P(EveryPolicy, BlockTableUnder,
                         testing::Values(EvictionPolicyKind::kLru, EvictionPolicyKind::kLfu,
                                         EvictionPolicyKind::kCost),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

}  // namespace
}  // namespace inferno::kv
