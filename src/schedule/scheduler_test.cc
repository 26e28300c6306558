#include "schedule/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>

namespace inferno::schedule {
namespace {

std::unique_ptr<Sequence> sequence_of(uint64_t id, int prompt_tokens, int first_token = 0) {
  std::vector<TokenId> prompt;
  for (int i = 0; i < prompt_tokens; ++i)
    prompt.push_back(first_token + i);
  return std::make_unique<Sequence>(RequestId{id}, std::move(prompt), token::BlockHash{}, 4096);
}

// Runs a step: computes what was scheduled and appends a token where one is due.
void run_step(Scheduler& scheduler, std::span<const ScheduledChunk> chunks) {
  scheduler.complete_step();
  for (const ScheduledChunk& chunk : chunks) {
    if (chunk.yields) chunk.sequence->tokens.push_back(1);
  }
}

TEST(Scheduler, CutsALongPromptIntoChunksOfTheBudget) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 64}, pool);
  auto sequence = sequence_of(1, 150);
  scheduler.add(*sequence);
  std::vector<int> counts;
  for (int step = 0; step < 4; ++step) {
    const auto chunks = scheduler.schedule();
    ASSERT_EQ(chunks.size(), 1u);
    counts.push_back(chunks[0].count);
    EXPECT_EQ(chunks[0].yields, step >= 2);
    run_step(scheduler, chunks);
  }
  EXPECT_EQ(counts, (std::vector<int>{64, 64, 22, 1}));
}

TEST(Scheduler, DecodesBeforeItPrefills) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 32}, pool);
  auto first = sequence_of(1, 64, 1000);
  auto second = sequence_of(2, 20, 5000);
  scheduler.add(*second);
  run_step(scheduler, scheduler.schedule());
  scheduler.add(*first);
  const auto chunks = scheduler.schedule();
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].sequence, second.get());
  EXPECT_EQ(chunks[0].count, 1);
  EXPECT_EQ(chunks[1].count, 31);
}

TEST(Scheduler, AdmitsInTheOrderOfArrivalAndNoMoreThanItsLimit) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 2, .max_num_batched_tokens = 512}, pool);
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (uint64_t id = 1; id <= 3; ++id) {
    sequences.push_back(sequence_of(id, 10, static_cast<int>(id) * 100));
    scheduler.add(*sequences.back());
  }
  const auto chunks = scheduler.schedule();
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].sequence->id.value, 1u);
  EXPECT_EQ(chunks[1].sequence->id.value, 2u);
  EXPECT_EQ(scheduler.waiting_count(), 1);
}

TEST(Scheduler, PreemptsTheYoungestWhenPagesRunOutAndRunsItAgain) {
  kv::BlockPool pool(4);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 512}, pool);
  auto first = sequence_of(1, 31, 1000);
  auto second = sequence_of(2, 31, 5000);
  scheduler.add(*first);
  scheduler.add(*second);
  run_step(scheduler, scheduler.schedule());
  run_step(scheduler, scheduler.schedule());  // both fill their second page
  const auto chunks = scheduler.schedule();
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].sequence, first.get());
  EXPECT_EQ(second->state, SequenceState::kPreempted);
  EXPECT_EQ(second->token_count(), 33);
  EXPECT_EQ(scheduler.stats().preemption_count, 1);
  run_step(scheduler, chunks);
  scheduler.finish(*first);
  const auto again = scheduler.schedule();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].sequence, second.get());
  EXPECT_TRUE(again[0].yields);
}

TEST(Scheduler, ReusesACachedPrefixAndCountsIt) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 512}, pool);
  auto first = sequence_of(1, 40);
  scheduler.add(*first);
  run_step(scheduler, scheduler.schedule());
  auto second = sequence_of(2, 40);
  scheduler.add(*second);
  const auto chunks = scheduler.schedule();
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].first, 32);
  EXPECT_EQ(second->cached_count, 32);
  EXPECT_EQ(scheduler.stats().prefix_hit_tokens, 32);
}

TEST(Scheduler, SharesNothingWhenPrefixCachingIsOff) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 512, .prefix_caching = false},
                      pool);
  auto first = sequence_of(1, 40);
  scheduler.add(*first);
  run_step(scheduler, scheduler.schedule());
  auto second = sequence_of(2, 40);
  scheduler.add(*second);
  EXPECT_EQ(scheduler.schedule()[1].first, 0);
}

// Random arrivals, ends and cancellations in a small pool: every sequence gets all its tokens,
// budgets hold, and no page is lost.
TEST(Scheduler, LosesNoSequenceAndNoPageUnderRandomLoad) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const int pages = 8 + static_cast<int>(random() % 40);
    kv::BlockPool pool(pages);
    const SchedulerConfig config{.max_num_seqs = 1 + static_cast<int>(random() % 8),
                                 .max_num_batched_tokens = 1 + static_cast<int>(random() % 100),
                                 .prefix_caching = random() % 2 == 0};
    Scheduler scheduler(config, pool);
    struct Work {
      std::unique_ptr<Sequence> sequence;
      int wanted = 0;  // tokens in the end
    };
    std::vector<Work> works;
    int finished = 0;
    uint64_t next_id = 1;
    const int most_tokens = pages * kv::kPageTokens;
    for (int step = 0; step < 4000 && (next_id <= 60 || !works.empty()); ++step) {
      if (next_id <= 60 && random() % 4 == 0) {
        const int prompt = 1 + static_cast<int>(random() % static_cast<uint64_t>(most_tokens - 1));
        const int answer = 1 + static_cast<int>(random() % 40);
        // Few distinct first tokens, so that prefixes are shared.
        works.push_back({sequence_of(next_id++, prompt, static_cast<int>(random() % 3)),
                         std::min(prompt + answer, most_tokens)});
        scheduler.add(*works.back().sequence);
      }
      if (!works.empty() && random() % 50 == 0) {
        const size_t victim = random() % works.size();
        scheduler.finish(*works[victim].sequence);
        works.erase(works.begin() + static_cast<ptrdiff_t>(victim));
      }
      if (scheduler.idle()) continue;
      const auto chunks = scheduler.schedule();
      ASSERT_FALSE(chunks.empty());
      int tokens = 0;
      std::set<Sequence*> distinct;
      for (const ScheduledChunk& chunk : chunks) {
        ASSERT_GT(chunk.count, 0);
        ASSERT_EQ(chunk.first, chunk.sequence->computed);
        ASSERT_GE(chunk.sequence->table.page_count(), kv::pages_for(chunk.first + chunk.count));
        tokens += chunk.count;
        distinct.insert(chunk.sequence);
      }
      ASSERT_EQ(distinct.size(), chunks.size());
      ASSERT_LE(tokens, config.max_num_batched_tokens);
      ASSERT_LE(static_cast<int>(chunks.size()), config.max_num_seqs);
      run_step(scheduler, chunks);
      std::erase_if(works, [&](Work& work) {
        if (work.sequence->token_count() < work.wanted) return false;
        scheduler.finish(*work.sequence);
        ++finished;
        return true;
      });
      ASSERT_EQ(pool.free_count() + pool.idle_count() + pool.in_use_count(), pages);
    }
    EXPECT_TRUE(works.empty()) << works.size() << " sequences did not finish";
    EXPECT_GT(finished, 10);
    EXPECT_EQ(pool.in_use_count(), 0);
  }
}

}  // namespace
}  // namespace inferno::schedule
