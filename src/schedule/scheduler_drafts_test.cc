#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "schedule/scheduler.h"
#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

constexpr DraftLimits kLongest = {.most_tokens = 8, .rule = DraftLengthRule::kLongest};

std::unique_ptr<Sequence> drafted_sequence(uint64_t id, int prompt_tokens,
                                           int answer_tokens = 1000) {
  return make_sequence(id, counting_tokens(static_cast<int>(id) * 10'000, prompt_tokens),
                       {.max_new_tokens = answer_tokens});
}

// Runs steps until the sequence has a token of its answer, and offers drafts for the next.
void begin(Scheduler& scheduler, Sequence& sequence, std::vector<TokenId> offer) {
  scheduler.add(sequence, kStart);
  while (sequence.generated_count() == 0) {
    const auto chunks = scheduler.schedule(kStart);
    scheduler.complete_step(kStart);
    for (const ScheduledChunk& chunk : chunks) {
      if (chunk.yields) chunk.sequence->tokens.push_back(1);
    }
  }
  sequence.draft_offer = std::move(offer);
}

TEST(SchedulerDrafts, FollowTheLastTokenKnownForOneStep) {
  kv::BlockPool pool(100);
  Scheduler scheduler({}, pool, kLongest);
  const auto sequence = drafted_sequence(1, 20);
  begin(scheduler, *sequence, {5, 6, 7});
  const auto chunks = scheduler.schedule(kStart);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].first, 20);
  EXPECT_EQ(chunks[0].count, 4);
  EXPECT_EQ(chunks[0].draft_count, 3);
  EXPECT_TRUE(chunks[0].yields);
  EXPECT_EQ(sequence->token_count(), 21);
  EXPECT_EQ(std::vector<TokenId>(sequence->tokens.end() - 4, sequence->tokens.end()),
            (std::vector<TokenId>{1, 5, 6, 7}));
  scheduler.complete_step(kStart);
  EXPECT_EQ(sequence->tokens.size(), 21u);
  EXPECT_EQ(sequence->computed, 21);
}

TEST(SchedulerDrafts, AnAcceptedOneIsAsGoodAsAStep) {
  kv::BlockPool pool(100);
  Scheduler scheduler({}, pool, kLongest);
  const auto sequence = drafted_sequence(1, 29);
  begin(scheduler, *sequence, {5, 6, 7, 8});
  scheduler.schedule(kStart);
  scheduler.complete_step(kStart);
  EXPECT_EQ(pool.stats().in_use_named_pages, 1);
  for (const TokenId draft : {5, 6}) {
    sequence->tokens.push_back(draft);
    scheduler.accept_draft(*sequence, kStart);
    EXPECT_EQ(sequence->pending_count(), 0);
  }
  EXPECT_EQ(sequence->computed, 32);
  EXPECT_EQ(pool.stats().in_use_named_pages, 2);  // its second page is full now
  sequence->tokens.push_back(9);
  sequence->draft_offer.clear();
  const auto chunks = scheduler.schedule(kStart);
  EXPECT_EQ(chunks[0].first, 32);
  EXPECT_EQ(chunks[0].count, 1);
}

TEST(SchedulerDrafts, NeverReachTheLastTokenOfAnAnswer) {
  kv::BlockPool pool(100);
  Scheduler scheduler({}, pool, kLongest);
  const auto sequence = drafted_sequence(1, 20, 3);
  begin(scheduler, *sequence, {5, 6, 7});
  EXPECT_EQ(scheduler.schedule(kStart)[0].draft_count, 1);
}

TEST(SchedulerDrafts, TakePagesThatAreLeftOverAndNobodysPlace) {
  kv::BlockPool pool(4);
  Scheduler scheduler({.prefix_caching = false}, pool, kLongest);
  const auto first = drafted_sequence(1, 14, 40);
  const auto second = drafted_sequence(2, 29, 20);
  begin(scheduler, *first, {});
  begin(scheduler, *second, {});  // the two hold three pages; one is left
  first->draft_offer = {5, 6, 7, 8};
  second->draft_offer = {5, 6, 7, 8};
  const auto chunks = scheduler.schedule(kStart);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].draft_count, 4);
  EXPECT_EQ(chunks[1].draft_count, 2);  // up to the end of its own page
  EXPECT_EQ(scheduler.stats().preemption_count, 0);
}

TEST(SchedulerDrafts, CountAgainstTheBudgetAndLeaveHalfOfItToPrompts) {
  kv::BlockPool pool(100);
  Scheduler scheduler({.max_num_batched_tokens = 9}, pool, kLongest);
  const auto decoding = drafted_sequence(1, 4);
  begin(scheduler, *decoding, {5, 6, 7, 8, 9, 10, 11, 12});
  EXPECT_EQ(scheduler.schedule(kStart)[0].draft_count, 8);
  scheduler.complete_step(kStart);
  decoding->tokens.push_back(1);
  const auto prompt = drafted_sequence(2, 64);
  scheduler.add(*prompt, kStart);
  const auto chunks = scheduler.schedule(kStart);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].draft_count, 4);
  EXPECT_EQ(chunks[1].count, 4);
}

TEST(SchedulerDrafts, APreemptedSequenceHasNone) {
  kv::BlockPool pool(4);
  Scheduler scheduler({.prefix_caching = false, .policy = Policy::kFcfs}, pool, kLongest);
  const auto first = drafted_sequence(1, 32, 32);
  const auto second = drafted_sequence(2, 15, 32);
  begin(scheduler, *second, {5, 6});
  begin(scheduler, *first, {5, 6, 7, 8});  // three pages with its first token
  ASSERT_EQ(scheduler.running_count(), 2);
  for (int step = 0; step < 40 && scheduler.stats().preemption_count == 0; ++step) {
    const auto chunks = scheduler.schedule(kStart);
    scheduler.complete_step(kStart);
    for (const ScheduledChunk& chunk : chunks) {
      if (chunk.yields) chunk.sequence->tokens.push_back(1);
    }
  }
  ASSERT_GT(scheduler.stats().preemption_count, 0);
  for (const Sequence* sequence : {first.get(), second.get()}) {
    EXPECT_EQ(sequence->draft_count, 0);
    EXPECT_EQ(static_cast<int>(sequence->tokens.size()), sequence->token_count());
  }
}

// Steps of a machine on which eight rows cost as much as one, and further ones their arithmetic.
double seconds_of(std::span<const ScheduledChunk> chunks) {
  int rows = 0;
  for (const ScheduledChunk& chunk : chunks)
    rows += chunk.count;
  return 0.1 + 0.0125 * std::max(0, rows - 8);
}

enum class Guesses : uint8_t { kRight, kWrong };

// Tokens a second of sequences whose every guess is right, or wrong, after the rows were learned.
double speed_of(int sequences, const DraftLimits& limits, Guesses guesses) {
  const bool guesses_are_right = guesses == Guesses::kRight;
  kv::BlockPool pool(4000);
  Scheduler scheduler({.max_num_seqs = sequences, .ageing_s = kNoTarget}, pool, limits);
  ManualClock clock;
  std::vector<std::unique_ptr<Sequence>> live;
  for (int i = 1; i <= sequences; ++i) {
    live.push_back(drafted_sequence(static_cast<uint64_t>(i), 4, 5000));
    scheduler.add(*live.back(), clock.now());
  }
  constexpr int kWarmUp = 100;
  int tokens = 0;
  TimePoint begin_time;
  for (int step = 0; step < 2 * kWarmUp; ++step) {
    if (step == kWarmUp) begin_time = clock.now();
    const auto chunks = scheduler.schedule(clock.now());
    clock.advance(seconds_of(chunks));
    scheduler.complete_step(clock.now());
    for (const ScheduledChunk& chunk : chunks) {
      if (!chunk.yields) continue;
      Sequence& sequence = *chunk.sequence;
      const int hits = guesses_are_right ? chunk.draft_count : 0;
      for (int i = 0; i <= hits; ++i) {
        sequence.tokens.push_back(1);
        if (i < hits) scheduler.accept_draft(sequence, clock.now());
      }
      tokens += step >= kWarmUp ? hits + 1 : 0;
      if (!sequence.draft_offer.empty()) {
        scheduler.learn_drafts(
            sequence, {.hits = guesses_are_right ? hits + 1 : 0, .has_missed = !guesses_are_right});
      }
      sequence.draft_offer.assign(7, 1);
      sequence.draft_match_length = 4;
    }
  }
  return tokens / seconds_between(begin_time, clock.now());
}

TEST(SchedulerDrafts, GrowWherePayingAndVanishWhereNot) {
  constexpr DraftLimits kMeasured = {.most_tokens = 7};
  EXPECT_GT(speed_of(1, kMeasured, Guesses::kRight), 7.5 * speed_of(1, {}, Guesses::kRight));
  EXPECT_GT(speed_of(1, kMeasured, Guesses::kWrong), 0.97 * speed_of(1, {}, Guesses::kWrong));
  EXPECT_GT(speed_of(40, kMeasured, Guesses::kWrong), 0.97 * speed_of(40, {}, Guesses::kWrong));
  EXPECT_LT(speed_of(40, kLongest, Guesses::kWrong), 0.6 * speed_of(40, {}, Guesses::kWrong));
}

// Tokens a second of one sequence whose drafts are made by a model, passes of `pass_s` seconds
// each, beside a step of seconds_of(); with a prompt of so many tokens that the model has not seen.
double drafted_speed(double pass_s, Guesses guesses, int prompt_tokens = 4) {
  kv::BlockPool pool(4000);
  Scheduler scheduler({.max_num_seqs = 1, .ageing_s = kNoTarget}, pool, {.most_tokens = 7});
  ManualClock clock;
  RowCost pass_cost;
  const auto sequence = drafted_sequence(1, prompt_tokens, 5000);
  scheduler.add(*sequence, clock.now());
  int unseen = prompt_tokens;
  int tokens = 0;
  TimePoint begin_time;
  for (int step = 0; step < 300; ++step) {
    if (step == 100) begin_time = clock.now();
    const auto chunks = scheduler.schedule(clock.now());
    clock.advance(seconds_of(chunks));
    scheduler.complete_step(clock.now());
    if (!chunks[0].yields) continue;
    const int hits = guesses == Guesses::kRight ? chunks[0].draft_count : 0;
    for (int i = 0; i <= hits; ++i) {
      sequence->tokens.push_back(1);
      if (i < hits) scheduler.accept_draft(*sequence, clock.now());
    }
    unseen += 1 + (hits == 7 ? 1 : 0);
    tokens += step >= 100 ? hits + 1 : 0;
    if (!sequence->draft_offer.empty()) {
      const bool is_right = guesses == Guesses::kRight;
      scheduler.learn_drafts(*sequence, {.hits = is_right ? hits + 1 : 0, .has_missed = !is_right});
    }
    DraftCandidate candidate{.sequence = sequence.get(), .most = 7, .backlog = unseen};
    const int rows = scheduler.choose_offers({&candidate, 1}, pass_cost);
    sequence->draft_offer.clear();
    if (candidate.chosen > 0) {
      const int read = unseen <= kSettledBacklog ? unseen : std::min(unseen, rows);
      unseen -= read;
      const int passes = unseen > 0 ? 1 : candidate.chosen;
      for (int pass = 0; pass < passes; ++pass)
        pass_cost.learn(pass == 0 ? read : 1, pass_s);
      clock.advance(passes * pass_s);
      scheduler.record_drafting(passes * pass_s);
      if (unseen == 0) sequence->draft_offer.assign(static_cast<size_t>(candidate.chosen), 1);
    }
    sequence->draft_match_length = DraftAcceptance::kModelMatch;
  }
  return tokens / seconds_between(begin_time, clock.now());
}

// A stream whose every guess comes true, and a prompt beside it, on the machine above.
int drafts_beside_a_prompt(double max_itl_stretch) {
  kv::BlockPool pool(4000);
  Scheduler scheduler({.max_num_batched_tokens = 64, .max_itl_stretch = max_itl_stretch}, pool,
                      {.most_tokens = 7});
  ManualClock clock;
  const auto stream = drafted_sequence(1, 4, 5000);
  const auto prompt = drafted_sequence(2, 3000, 1);
  scheduler.add(*stream, clock.now());
  int drafts = 0;
  for (int step = 0; step < 120; ++step) {
    if (step == 100) scheduler.add(*prompt, clock.now());
    const auto chunks = scheduler.schedule(clock.now());
    clock.advance(seconds_of(chunks));
    scheduler.complete_step(clock.now());
    if (step == 99) {
      EXPECT_EQ(chunks[0].draft_count, 7);
    }
    const int hits = chunks[0].draft_count;
    drafts += step >= 100 ? hits : 0;
    for (int i = 0; i <= hits; ++i) {
      stream->tokens.push_back(1);
      if (i < hits) scheduler.accept_draft(*stream, clock.now());
    }
    scheduler.learn_drafts(*stream, {.hits = hits + 1});
    stream->draft_offer.assign(7, 1);
    stream->draft_match_length = 4;
  }
  return drafts;
}

TEST(SchedulerDrafts, GiveWayToAPromptWhereStreamsAreToKeepTheirPace) {
  EXPECT_EQ(drafts_beside_a_prompt(1.7), 0);
  EXPECT_GT(drafts_beside_a_prompt(0.0), 0);
}

// Only one of two streams has drafts, and a class of its own; the other one is to keep its pace.
// What is offered and what is computed follow one rule.
TEST(SchedulerDrafts, OfOneStreamGiveWayForTheSakeOfAnother) {
  kv::BlockPool pool(4000);
  Scheduler scheduler({.max_num_batched_tokens = 64}, pool, {.most_tokens = 7});
  ManualClock clock;
  auto drafting = drafted_sequence(1, 4, 5000);
  drafting->traits.service_class = request::ServiceClass::kBatch;
  const auto stream = drafted_sequence(2, 4, 5000);
  const auto prompt = drafted_sequence(3, 3000, 1);
  scheduler.add(*drafting, clock.now());
  scheduler.add(*stream, clock.now());
  int drafts = 0;
  for (int step = 0; step < 130; ++step) {
    if (step == 100) scheduler.add(*prompt, clock.now());
    const auto chunks = scheduler.schedule(clock.now());
    clock.advance(seconds_of(chunks));
    scheduler.complete_step(clock.now());
    int hits = 0;
    for (const ScheduledChunk& chunk : chunks) {
      if (!chunk.yields) continue;
      for (int i = 0; i <= chunk.draft_count; ++i) {
        chunk.sequence->tokens.push_back(1);
        if (i < chunk.draft_count) scheduler.accept_draft(*chunk.sequence, clock.now());
      }
      if (chunk.sequence == drafting.get()) hits = chunk.draft_count;
    }
    drafts += step < 100 ? hits : 0;
    EXPECT_TRUE(step < 100 || hits == 0) << "step " << step;
    scheduler.learn_drafts(*drafting, {.hits = hits + 1});
    drafting->draft_offer.assign(7, 1);
    drafting->draft_match_length = DraftAcceptance::kModelMatch;
    RowCost pass_cost;
    pass_cost.learn(1, 0.001);
    DraftCandidate candidate{.sequence = drafting.get(), .most = 7, .backlog = 1};
    scheduler.choose_offers({&candidate, 1}, pass_cost);
    EXPECT_TRUE(step < 100 || candidate.chosen == 0) << "step " << step;
  }
  EXPECT_GT(drafts, 100);
}

TEST(SchedulerDrafts, OfAModelAreMadeWherePayingAndNotWhereNot) {
  const double plain = speed_of(1, {}, Guesses::kRight);
  EXPECT_GT(drafted_speed(0.005, Guesses::kRight), 4.0 * plain);
  EXPECT_GT(drafted_speed(0.005, Guesses::kRight, 600), 4.0 * plain);
  EXPECT_GT(drafted_speed(0.02, Guesses::kRight), 2.0 * plain);
  EXPECT_GT(drafted_speed(0.005, Guesses::kWrong), 0.96 * plain);
  EXPECT_GT(drafted_speed(0.05, Guesses::kWrong), 0.96 * plain);
  EXPECT_GT(drafted_speed(0.1, Guesses::kRight), 0.96 * plain);
}

}  // namespace
}  // namespace inferno::schedule
