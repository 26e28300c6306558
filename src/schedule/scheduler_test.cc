#include "schedule/scheduler.h"

#include <gtest/gtest.h>

#include <memory>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

using request::ServiceClass;

std::unique_ptr<Sequence> sequence_of(uint64_t id, int prompt_tokens, int first_token = 0) {
  return make_sequence(id, counting_tokens(first_token, prompt_tokens), {.max_new_tokens = 4000});
}

// Runs a step: computes what was scheduled and appends a token where one is due.
void run_step(Scheduler& scheduler, std::span<const ScheduledChunk> chunks) {
  scheduler.complete_step(kStart);
  for (const ScheduledChunk& chunk : chunks) {
    if (chunk.yields) chunk.sequence->tokens.push_back(1);
  }
}

TEST(Scheduler, CutsALongPromptIntoChunksOfTheBudget) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 64}, pool);
  auto sequence = sequence_of(1, 150);
  scheduler.add(*sequence, kStart);
  std::vector<int> counts;
  for (int step = 0; step < 4; ++step) {
    const auto chunks = scheduler.schedule(kStart);
    ASSERT_EQ(chunks.size(), 1u);
    counts.push_back(chunks[0].count);
    EXPECT_EQ(chunks[0].yields, step >= 2);
    run_step(scheduler, chunks);
  }
  EXPECT_EQ(counts, (std::vector<int>{64, 64, 22, 1}));
}

TEST(Scheduler, DecodesBeforeItPrefills) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 16}, pool);
  auto first = sequence_of(1, 64, 1000);
  auto second = sequence_of(2, 10, 5000);
  scheduler.add(*second, kStart);
  run_step(scheduler, scheduler.schedule(kStart));
  scheduler.add(*first, kStart);
  const auto chunks = scheduler.schedule(kStart);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].sequence, second.get());
  EXPECT_EQ(chunks[0].count, 1);
  EXPECT_EQ(chunks[1].count, 15);
}

TEST(Scheduler, AdmitsInTheOrderOfArrivalAndNoMoreThanItsLimit) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 2, .max_num_batched_tokens = 512}, pool);
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (uint64_t id = 1; id <= 3; ++id) {
    sequences.push_back(sequence_of(id, 10, static_cast<int>(id) * 100));
    scheduler.add(*sequences.back(), kStart);
  }
  const auto chunks = scheduler.schedule(kStart);
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
  scheduler.add(*first, kStart);
  scheduler.add(*second, kStart);
  run_step(scheduler, scheduler.schedule(kStart));
  run_step(scheduler, scheduler.schedule(kStart));  // both fill their second page
  const auto chunks = scheduler.schedule(kStart);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].sequence, first.get());
  EXPECT_EQ(second->state, SequenceState::kWaiting);
  EXPECT_EQ(second->token_count(), 33);
  EXPECT_EQ(scheduler.stats().preemption_count, 1);
  run_step(scheduler, chunks);
  scheduler.finish(*first, kStart);
  const auto again = scheduler.schedule(kStart);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].sequence, second.get());
  EXPECT_TRUE(again[0].yields);
}

TEST(Scheduler, ReusesACachedPrefixAndCountsIt) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 512}, pool);
  auto first = sequence_of(1, 40);
  scheduler.add(*first, kStart);
  run_step(scheduler, scheduler.schedule(kStart));
  auto second = sequence_of(2, 40);
  scheduler.add(*second, kStart);
  const auto chunks = scheduler.schedule(kStart);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].first, 32);
  EXPECT_EQ(second->cached_count, 32);
  EXPECT_EQ(scheduler.stats().prefix_hit_tokens, 32);
}

TEST(Scheduler, BeginsWithACopyOfTheTailOfASequenceThatHasEnded) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 512}, pool);
  auto first = sequence_of(1, 40);
  scheduler.add(*first, kStart);
  run_step(scheduler, scheduler.schedule(kStart));
  const PageId tail{first->table.pages()[2]};
  scheduler.finish(*first, kStart);
  auto second = sequence_of(2, 40);
  scheduler.add(*second, kStart);
  EXPECT_EQ(second->expected_cached, 39);
  const auto chunks = scheduler.schedule(kStart);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].first, 39);
  EXPECT_TRUE(chunks[0].is_decode()) << "one token, and the next is chosen";
  EXPECT_EQ(second->cached_count, 39);
  EXPECT_EQ(scheduler.stats().prefix_hit_tokens, 39);
  EXPECT_EQ(scheduler.stats().tail_copy_count, 1);
  ASSERT_EQ(scheduler.page_copies().size(), 1u);
  EXPECT_EQ(scheduler.page_copies()[0],
            (kv::PageCopy{.from = tail, .to = {second->table.pages()[2]}}));
  run_step(scheduler, chunks);
  EXPECT_TRUE(scheduler.schedule(kStart).size() == 1 && scheduler.page_copies().empty());
}

TEST(Scheduler, CopiesNothingForOneThatReadsNoCache) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 512}, pool);
  auto first = sequence_of(1, 40);
  scheduler.add(*first, kStart);
  run_step(scheduler, scheduler.schedule(kStart));
  scheduler.finish(*first, kStart);
  auto second = sequence_of(2, 40);
  second->reads_prefix_cache = false;
  scheduler.add(*second, kStart);
  const auto chunks = scheduler.schedule(kStart);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].count, 40);
  EXPECT_TRUE(scheduler.page_copies().empty());
}

TEST(Scheduler, SharesNothingWhenPrefixCachingIsOff) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_seqs = 4, .max_num_batched_tokens = 512, .prefix_caching = false},
                      pool);
  auto first = sequence_of(1, 40);
  scheduler.add(*first, kStart);
  run_step(scheduler, scheduler.schedule(kStart));
  auto second = sequence_of(2, 40);
  scheduler.add(*second, kStart);
  EXPECT_EQ(scheduler.schedule(kStart)[1].first, 0);
}

SchedulerConfig config_with(Policy policy, int seqs = 4, int tokens = 512) {
  SchedulerConfig config;
  config.max_num_seqs = seqs;
  config.max_num_batched_tokens = tokens;
  config.policy = policy;
  return config;
}

TestRequest classed(ServiceClass service_class, int prompt_tokens, int answer_tokens) {
  TestRequest request = request_of(prompt_tokens, answer_tokens);
  request.traits.service_class = service_class;
  return request;
}

TestRequest from_stream(int first_token, int prompt_tokens, int answer_tokens) {
  TestRequest request = request_of(prompt_tokens, answer_tokens);
  request.first_token = first_token;
  return request;
}

// The same, of a class that is looked at before unclassed ones that prefill.
TestRequest urgent_from_stream(int first_token, int prompt_tokens, int answer_tokens) {
  TestRequest request = from_stream(first_token, prompt_tokens, answer_tokens);
  request.traits.service_class = ServiceClass::kInteractive;
  return request;
}

TEST(SchedulerFcfs, IgnoresClassesAndPriorities) {
  TestEngine engine(config_with(Policy::kFcfs, 1), 100);
  const uint64_t first = engine.submit(classed(ServiceClass::kBatch, 10, 5));
  TestRequest urgent = classed(ServiceClass::kInteractive, 10, 5);
  urgent.traits.priority = -5;
  const uint64_t second = engine.submit(urgent);
  engine.run_until_idle();
  EXPECT_LT(engine.result(first).end, engine.result(second).first_token);
}

TEST(SchedulerFcfs, AdmitsNobodyInAStepThatPreempts) {
  TestEngine engine(config_with(Policy::kFcfs), 4);
  const uint64_t first = engine.submit(request_of(31, 20));
  const uint64_t second = engine.submit(request_of(31, 20));
  while (engine.scheduler().stats().preemption_count == 0)
    engine.step();
  EXPECT_EQ(engine.scheduler().running_count(), 1);
  EXPECT_EQ(engine.sequence(second).state, SequenceState::kWaiting);
  engine.run_until_idle();
  EXPECT_LT(engine.result(first).end, engine.result(second).end);
}

TEST(SchedulerPriority, ServesTheLowestNumberFirstAndPreemptsTheHighest) {
  TestEngine engine(config_with(Policy::kPriority), 6);
  TestRequest request = request_of(31, 40);
  request.traits.priority = 3;
  const uint64_t unimportant = engine.submit(request);
  request.traits.priority = 1;
  const uint64_t important = engine.submit(request);
  while (engine.scheduler().stats().preemption_count == 0)
    engine.step();
  EXPECT_EQ(engine.sequence(unimportant).state, SequenceState::kWaiting);
  EXPECT_EQ(engine.sequence(important).state, SequenceState::kRunning);
}

TEST(Scheduler, AdmitsOnlyWhatFitsAsAWholeAndNobodyPastIt) {
  TestEngine engine(config_with(Policy::kSlo), 10);
  engine.submit(request_of(6 * 16, 30));
  engine.step();
  const uint64_t large = engine.submit(request_of(5 * 16, 1));
  const uint64_t small = engine.submit(request_of(16, 1));
  engine.step();
  EXPECT_EQ(engine.sequence(large).state, SequenceState::kWaiting);
  EXPECT_EQ(engine.sequence(small).state, SequenceState::kWaiting) << "it would overtake for ever";
}

TEST(SchedulerSharing, TwoPromptsWithOnePrefixComputeItOnce) {
  for (const int budget : {64, 512, 2048}) {
    TestEngine engine(config_with(Policy::kSlo, 4, budget), 100);
    engine.submit(from_stream(0, 400, 2));
    engine.step();
    engine.submit(from_stream(0, 400, 2));  // while the first prefills, or just after
    engine.submit(from_stream(0, 400, 2));
    engine.run_until_idle();
    EXPECT_EQ(engine.done().size(), 3u);
    const int last = budget < 400 ? 16 : 1;  // the first may not have got so far
    EXPECT_EQ(engine.computed_tokens(), 400 + 2 * last + 3)
        << "each of the others computes its last block at most; budget " << budget;
  }
}

TEST(SchedulerSharing, PromptsThatArriveTogetherComputeTheirPrefixOnce) {
  TestEngine engine(config_with(Policy::kFcfs, 8, 2048), 200);
  for (int i = 0; i < 4; ++i)
    engine.submit(from_stream(0, 200, 1));
  engine.step();
  EXPECT_EQ(engine.scheduler().stats().deferred_count, 3);
  engine.run_until_idle();
  EXPECT_EQ(engine.computed_tokens(), 200 + 3);
}

TEST(SchedulerSharing, ADeferredSequenceDoesNotBlockThoseBehindIt) {
  TestEngine engine(config_with(Policy::kFcfs, 4, 2048), 100);
  engine.submit(from_stream(0, 400, 2));
  const uint64_t deferred = engine.submit(from_stream(0, 400, 2));
  const uint64_t behind = engine.submit(request_of(10, 2));
  const auto chunks = engine.scheduler().schedule(engine.now());
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].sequence->id.value, behind);
  EXPECT_EQ(engine.sequence(deferred).state, SequenceState::kDeferred);
  EXPECT_EQ(engine.scheduler().deferred_count(), 1);
  EXPECT_EQ(engine.scheduler().waiting_count(), 0);
}

TEST(SchedulerSharing, ADeferredSequenceComputesItselfWhenItsComputerGoes) {
  TestEngine engine(config_with(Policy::kSlo, 4, 64), 100);
  const uint64_t first = engine.submit(from_stream(0, 400, 2));
  engine.step();
  const uint64_t second = engine.submit(urgent_from_stream(0, 400, 2));
  engine.step();
  ASSERT_EQ(engine.sequence(second).state, SequenceState::kDeferred);
  engine.cancel(first);
  EXPECT_EQ(engine.sequence(second).state, SequenceState::kWaiting);
  engine.run_until_idle();
  EXPECT_EQ(engine.done().size(), 1u);
}

TEST(SchedulerSharing, ACancelledDeferredSequenceLeavesNothingBehind) {
  TestEngine engine(config_with(Policy::kSlo, 4, 64), 100);
  engine.submit(from_stream(0, 400, 2));
  engine.step();
  const uint64_t second = engine.submit(urgent_from_stream(0, 400, 2));
  engine.step();
  ASSERT_EQ(engine.scheduler().deferred_count(), 1);
  engine.cancel(second);
  EXPECT_EQ(engine.scheduler().deferred_count(), 0);
  engine.run_until_idle();
  EXPECT_EQ(engine.pool().in_use_count(), 0);
}

TEST(SchedulerSharing, AnUrgentSequenceLendsItsUrgencyToItsComputer) {
  TestEngine engine(config_with(Policy::kSlo, 8, 64), 200);
  TestRequest batch = classed(ServiceClass::kBatch, 600, 1);
  batch.first_token = 0;
  const uint64_t computer = engine.submit(batch);
  engine.step();
  const uint64_t standard = engine.submit(classed(ServiceClass::kStandard, 600, 1));
  TestRequest urgent = classed(ServiceClass::kInteractive, 600, 1);
  urgent.first_token = 0;
  engine.submit(urgent);
  engine.run_until_idle();
  EXPECT_LT(engine.result(computer).end, engine.result(standard).end);
}

// Submits a fork of a request whose prompt is the tokens from `first_token` on.
uint64_t submit_fork(TestEngine& engine, uint64_t parent, TestRequest request) {
  request.traits.fork_of = RequestId{parent};
  return engine.submit(request);
}

TEST(SchedulerFork, SharesThePagesOfItsRunningParent) {
  TestEngine engine(config_with(Policy::kSlo), 100);
  const uint64_t parent = engine.submit(from_stream(0, 40, 20));
  engine.step();
  const uint64_t child = submit_fork(engine, parent, from_stream(0, 40, 20));
  const auto chunks = engine.scheduler().schedule(engine.now());
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].sequence->id.value, child);
  EXPECT_EQ(chunks[1].first, 39);
  EXPECT_EQ(chunks[1].count, 1);
  const auto of_parent = engine.sequence(parent).table.pages();
  const auto of_child = engine.sequence(child).table.pages();
  EXPECT_EQ(of_parent[0], of_child[0]);
  EXPECT_EQ(of_parent[1], of_child[1]);
  const auto copies = engine.scheduler().page_copies();
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0], (kv::PageCopy{.from = {of_parent[2]}, .to = {of_child[2]}}));
  EXPECT_EQ(engine.scheduler().stats().fork_count, 1);
}

TEST(SchedulerFork, WaitsForAParentThatPrefills) {
  TestEngine engine(config_with(Policy::kSlo, 8, 64), 100);
  const uint64_t parent = engine.submit(from_stream(0, 200, 50));
  engine.step();
  const uint64_t child = submit_fork(engine, parent, urgent_from_stream(0, 200, 50));
  engine.step();
  EXPECT_EQ(engine.sequence(child).state, SequenceState::kDeferred);
  while (engine.sequence(child).state == SequenceState::kDeferred)
    engine.step();
  EXPECT_EQ(engine.sequence(parent).computed, 200);
  engine.step();
  EXPECT_EQ(engine.scheduler().stats().fork_count, 1);
  EXPECT_EQ(engine.sequence(child).cached_count, 199);
}

// One whose class is better than that of what is carried makes it begin anew, but not for one row.
TEST(Scheduler, WhatIsCarriedIsNotForgottenForOneWithOneTokenToCompute) {
  for (const bool is_cached : {true, false}) {
    kv::BlockPool pool(1000);
    Scheduler scheduler({.layer_count = 20}, pool);
    const auto stream = sequence_of(1, 33, 0);
    scheduler.add(*stream, kStart);
    run_step(scheduler, scheduler.schedule(kStart));
    const auto prompt = sequence_of(2, 3000, 10'000);
    prompt->traits.service_class = request::ServiceClass::kBatch;
    scheduler.add(*prompt, kStart);
    run_step(scheduler, scheduler.schedule(kStart));
    ASSERT_GT(prompt->carried_count, 0);
    const auto better = sequence_of(3, 33, is_cached ? 0 : 50'000);
    better->traits.service_class = request::ServiceClass::kInteractive;
    scheduler.add(*better, kStart);
    const auto chunks = scheduler.schedule(kStart);
    EXPECT_NE(std::ranges::find(chunks, better.get(), &ScheduledChunk::sequence), chunks.end());
    EXPECT_EQ(prompt->gave_way_at, is_cached ? -1 : prompt->computed);
    run_step(scheduler, chunks);
    if (is_cached) {
      EXPECT_EQ(better->generated_count(), 1);
    }
  }
}

// Streams beside which a long prompt is carried, and one after the other: a fork of the first, a
// prompt that is in the cache but for its last token, one that is not, and one behind it.
TEST(SchedulerFork, AndWhoeverHasOneTokenToComputeBeginsBesideWhatIsCarried) {
  kv::BlockPool pool(1000);
  Scheduler scheduler({.layer_count = 20}, pool);
  std::vector<std::unique_ptr<Sequence>> streams;
  for (int i = 0; i < 4; ++i) {
    streams.push_back(sequence_of(static_cast<uint64_t>(i + 1), 33, 1000 * i));
    scheduler.add(*streams.back(), kStart);
  }
  run_step(scheduler, scheduler.schedule(kStart));
  const auto prompt = sequence_of(5, 3000, 10'000);
  scheduler.add(*prompt, kStart);
  run_step(scheduler, scheduler.schedule(kStart));
  ASSERT_GT(prompt->carried_count, 0);
  const auto fork = sequence_of(6, 33, 0);
  fork->traits.fork_of = RequestId{1};
  const auto cached = sequence_of(7, 33, 0);
  const auto other = sequence_of(8, 33, 50'000);
  const auto behind = sequence_of(9, 33, 0);
  for (Sequence* const sequence : {fork.get(), cached.get(), other.get(), behind.get()})
    scheduler.add(*sequence, kStart);
  const auto chunks = scheduler.schedule(kStart);
  ASSERT_EQ(chunks.size(), 7u);
  EXPECT_EQ(chunks[4].sequence, fork.get());
  EXPECT_EQ(chunks[5].sequence, cached.get());
  for (const ScheduledChunk& chunk : chunks.first(6)) {
    EXPECT_EQ(chunk.count, 1);
    EXPECT_TRUE(chunk.yields);
    EXPECT_EQ(chunk.layers.end, 20);
  }
  EXPECT_EQ(chunks[6].sequence, prompt.get());
  EXPECT_TRUE(chunks[6].is_unfinished);
  run_step(scheduler, chunks);
  EXPECT_EQ(fork->generated_count(), 1);
  EXPECT_EQ(cached->generated_count(), 1);
  EXPECT_EQ(scheduler.waiting_count(), 2) << "a prompt waits, and nobody overtakes it";
}

TEST(SchedulerFork, GoesTheOrdinaryWayWhenItsParentIsGoneOrAnother) {
  TestEngine engine(config_with(Policy::kSlo), 100);
  const uint64_t parent = engine.submit(from_stream(0, 40, 1));
  engine.run_until_idle();
  const uint64_t orphan = submit_fork(engine, parent, from_stream(0, 40, 5));
  const uint64_t running = engine.submit(from_stream(5000, 40, 50));
  engine.step();
  const uint64_t stranger = submit_fork(engine, running, from_stream(7000, 40, 5));
  engine.step();
  EXPECT_EQ(engine.scheduler().stats().fork_count, 0);
  EXPECT_EQ(engine.sequence(orphan).cached_count, 39) << "from the prefix cache";
  EXPECT_EQ(engine.sequence(stranger).cached_count, 0);
}

TEST(SchedulerSlo, AnInteractiveInDangerTakesThePlaceOfABatch) {
  TestEngine engine(config_with(Policy::kSlo, 1), 100);
  const uint64_t batch = engine.submit(classed(ServiceClass::kBatch, 10, 1000));
  engine.step();
  const TimePoint arrival = engine.now();
  const uint64_t urgent = engine.submit(classed(ServiceClass::kInteractive, 10, 3));
  engine.run_until(after_seconds(arrival, 0.9));
  EXPECT_EQ(engine.sequence(urgent).state, SequenceState::kWaiting) << "there is time yet";
  while (engine.is_live(urgent))
    engine.step();
  EXPECT_LT(engine.result(urgent).ttft_s(), 2.0);
  EXPECT_EQ(engine.scheduler().stats().slack_preemptions, 1);
  engine.run_until_idle();
  EXPECT_EQ(engine.result(batch).preemption_count, 1);
}

TEST(SchedulerSlo, AFreshUnclassedSequenceTakesThePlaceOfALongRunningOneOnce) {
  TestEngine engine(config_with(Policy::kSlo, 2), 1000);
  const uint64_t first = engine.submit(request_of(10, 6000));
  const uint64_t second = engine.submit(request_of(10, 6000));
  while (engine.sequence(first).token_count() < 2200)
    engine.step();
  const uint64_t fresh = engine.submit(request_of(10, 100));
  engine.step();
  EXPECT_EQ(engine.sequence(fresh).state, SequenceState::kRunning);
  EXPECT_EQ(engine.scheduler().stats().feedback_preemptions, 1);
  engine.run_until_idle();
  EXPECT_EQ(engine.result(first).preemption_count + engine.result(second).preemption_count, 1);
}

TEST(SchedulerSlo, AnAgedSequenceMakesThoseWhoOvertookItGiveWay) {
  SchedulerConfig config = config_with(Policy::kSlo, 2);
  config.ageing_s = 1.0;
  config.aged_share = 1;
  TestEngine engine(config, 20);
  engine.submit(classed(ServiceClass::kBatch, 100, 200));
  engine.step();
  TestRequest unlucky = classed(ServiceClass::kBatch, 250, 1);
  const uint64_t aged = engine.submit(unlucky);
  TestRequest important = classed(ServiceClass::kBatch, 60, 1);
  important.traits.priority = -1;
  while (engine.is_live(aged)) {
    if (engine.scheduler().waiting_count() < 3) engine.submit(important);
    engine.step();
  }
  EXPECT_EQ(engine.scheduler().stats().aged_promotions, 1);
}

TEST(SchedulerDeadlines, AreFoundInAnyStateSoonestFirst) {
  TestEngine engine(config_with(Policy::kSlo, 1, 64), 100);
  TestRequest request = from_stream(0, 300, 50);
  request.traits.deadline = after_seconds(engine.now(), 3.0);
  const uint64_t running = engine.submit(request);
  engine.step();
  request.traits.service_class = ServiceClass::kInteractive;
  request.traits.deadline = after_seconds(engine.now(), 1.0);
  const uint64_t deferred = engine.submit(request);
  request = request_of(10, 5);
  request.traits.deadline = after_seconds(engine.now(), 2.0);
  const uint64_t waiting = engine.submit(request);
  engine.step();
  EXPECT_EQ(engine.scheduler().next_expired(engine.now()), nullptr);
  EXPECT_EQ(engine.sequence(deferred).state, SequenceState::kDeferred);
  EXPECT_EQ(engine.sequence(waiting).state, SequenceState::kWaiting);
  const TimePoint later = after_seconds(engine.now(), 10.0);
  for (const uint64_t id : {deferred, waiting, running}) {
    ASSERT_EQ(engine.scheduler().next_expired(later)->id.value, id);
    engine.cancel(id);
  }
  EXPECT_EQ(engine.scheduler().next_expired(later), nullptr);
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(engine.pool().in_use_count(), 0);
}

TEST(SchedulerStats, CountWaitsAndMissedTargetsByClass) {
  SchedulerConfig config = config_with(Policy::kFcfs, 1);
  config.targets[0] = {.ttft_s = 0.05, .tpot_s = 0.002};
  TestEngine engine(config, 100);
  engine.submit(classed(ServiceClass::kInteractive, 10, 20));
  engine.submit(classed(ServiceClass::kInteractive, 10, 20));
  engine.run_until_idle();
  const ClassStats& stats = engine.scheduler().stats().classes[0];
  EXPECT_EQ(stats.admitted, 2);
  EXPECT_EQ(stats.first_tokens, 2);
  EXPECT_EQ(stats.ttft_misses, 1) << "the second waited for the first";
  EXPECT_EQ(stats.finished, 2);
  EXPECT_EQ(stats.tpot_misses, 2) << "no step takes so little";
  EXPECT_GT(stats.wait_max_s, 0.05);
  EXPECT_DOUBLE_EQ(stats.wait_sum_s, stats.wait_max_s);
}

TEST(SchedulerStats, PredictStepsAndAnswersTheyHaveSeenTheLikeOf) {
  TestEngine engine(config_with(Policy::kSlo), 200);
  for (int i = 0; i < 60; ++i)
    engine.submit(request_of(100, 20));
  engine.run_until_idle();
  const SchedulerStats& stats = engine.scheduler().stats();
  EXPECT_LT(stats.step_time_error, 0.05);
  EXPECT_EQ(stats.output_length_error, 0.0) << "all answers are as long as they may be";
  EXPECT_GT(stats.last_step_s, 0.0);
  EXPECT_NEAR(stats.last_step_predicted_s, stats.last_step_s, 0.1 * stats.last_step_s);
}

}  // namespace
}  // namespace inferno::schedule
