#include "engine/draft_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <map>
#include <random>

#include "engine/allocation_counter.h"
#include "engine/fake_model.h"
#include "schedule/draft_acceptance.h"

namespace inferno::engine {
namespace {

constexpr int kLetters = 27;
constexpr int kMaxTokens = 200;

// A model that counts its passes and takes time by a clock that is moved by hand.
class CountingModel final : public FakeModel {
 public:
  CountingModel(int page_count, ManualClock& clock) : FakeModel(page_count), clock_(clock) {}
  void forward(std::span<const model::ForwardPiece> pieces) override {
    FakeModel::forward(pieces);
    clock_.advance(0.001);
    ++passes;
    last_pieces = static_cast<int>(pieces.size());
  }
  int passes = 0;
  int last_pieces = 0;

 private:
  ManualClock& clock_;
};

// How the fake model goes on greedily, computed from all tokens anew.
std::vector<TokenId> guess_naively(std::vector<TokenId> tokens, int most, int candidates) {
  std::vector<TokenId> drafts;
  std::vector<uint32_t> pages(kMaxTokens / 16 + 2);
  for (size_t i = 0; i < pages.size(); ++i)
    pages[i] = static_cast<uint32_t>(i);
  while (static_cast<int>(drafts.size()) < most) {
    FakeModel model(static_cast<int>(pages.size()));
    const model::ForwardPiece piece{.tokens = tokens, .pages = pages};
    model.forward({&piece, 1});
    std::vector<float> logits(kLetters);
    const int row = static_cast<int>(tokens.size()) - 1;
    model.logits({&row, 1}, logits.data());
    const auto best = std::max_element(logits.begin(), logits.begin() + candidates);
    drafts.push_back(static_cast<TokenId>(best - logits.begin()));
    tokens.push_back(drafts.back());
  }
  return drafts;
}

struct DraftRig {
  explicit DraftRig(DraftModel::Limits limits = {})
      : model(limits.page_count, clock), draft(parts(), filled(limits)) {}

  DraftModel::Parts parts() {
    return {.model = model, .table = kernel::best_table(), .pool = pool, .clock = clock};
  }
  static DraftModel::Limits filled(DraftModel::Limits limits) {
    if (limits.max_tokens == 0) limits.max_tokens = kMaxTokens;
    if (limits.guessable_tokens == 0) limits.guessable_tokens = kLetters;
    return limits;
  }

  ManualClock clock;
  CountingModel model;
  ThreadPool pool{1};
  DraftModel draft;
};

// One sequence as the engine has it.
struct DraftedSequence {
  DraftedSequence(DraftRig& rig, std::vector<TokenId> known, int most_tokens = kMaxTokens)
      : tokens(std::move(known)), state(rig.draft.begin({.max_tokens = most_tokens})) {
    drafts.reserve(64);
  }
  DraftJob job(int most) {
    drafts.clear();
    return {.state = state.get(),
            .tokens = tokens,
            .most = most,
            .drafts = &drafts,
            .match_length = &match_length};
  }

  std::vector<TokenId> tokens;
  std::vector<TokenId> drafts;
  int match_length = -1;
  std::unique_ptr<DraftState> state;
};

void propose(DraftRig& rig, DraftedSequence& sequence, int most, int catch_up = INT_MAX) {
  DraftJob job = sequence.job(most);
  rig.draft.propose({&job, 1}, catch_up);
}

std::vector<TokenId> letters(int seed, int count) {
  std::mt19937 random(static_cast<uint32_t>(seed));
  std::vector<TokenId> tokens(static_cast<size_t>(count));
  for (TokenId& token : tokens)
    token = static_cast<TokenId>(random() % 26);
  return tokens;
}

TEST(DraftModel, GoesOnGreedily) {
  DraftRig rig({.page_count = 20});
  DraftedSequence sequence(rig, letters(1, 37));
  propose(rig, sequence, 5);
  EXPECT_EQ(sequence.drafts, guess_naively(sequence.tokens, 5, kLetters));
  EXPECT_EQ(sequence.match_length, schedule::DraftAcceptance::kModelMatch);
}

TEST(DraftModel, ReadsAcceptedDraftsNotAgain) {
  DraftRig rig({.page_count = 20});
  DraftedSequence sequence(rig, letters(1, 30));
  propose(rig, sequence, 5);
  sequence.tokens.insert(sequence.tokens.end(), sequence.drafts.begin(), sequence.drafts.end());
  sequence.tokens.push_back(3);
  // The last draft was never read, nor was the token after it.
  EXPECT_EQ(rig.draft.backlog(*sequence.state, sequence.tokens), 2);
  const int64_t before = rig.model.computed_tokens();
  propose(rig, sequence, 1);
  EXPECT_EQ(rig.model.computed_tokens() - before, 2);
  EXPECT_EQ(sequence.drafts, guess_naively(sequence.tokens, 1, kLetters));
}

TEST(DraftModel, ReadsOverWhatWasRejected) {
  DraftRig rig({.page_count = 20});
  DraftedSequence sequence(rig, letters(1, 30));
  propose(rig, sequence, 5);
  sequence.tokens.push_back(sequence.drafts[0]);
  sequence.tokens.push_back((sequence.drafts[1] + 1) % 26);
  EXPECT_EQ(rig.draft.backlog(*sequence.state, sequence.tokens), 1);
  propose(rig, sequence, 4);
  EXPECT_EQ(sequence.drafts, guess_naively(sequence.tokens, 4, kLetters));
}

TEST(DraftModel, AdvancesAllSequencesInOnePass) {
  DraftRig rig({.page_count = 40});
  std::vector<std::unique_ptr<DraftedSequence>> sequences;
  std::vector<DraftJob> jobs;
  for (int i = 0; i < 7; ++i) {  // more than the model has logits for at a time
    sequences.push_back(std::make_unique<DraftedSequence>(rig, letters(i, 5 + i)));
    jobs.push_back(sequences.back()->job(i < 5 ? 4 : 2));
  }
  rig.draft.propose(jobs, INT_MAX);
  EXPECT_EQ(rig.model.passes, 4);
  EXPECT_EQ(rig.model.last_pieces, 5);
  for (size_t i = 0; i < sequences.size(); ++i) {
    EXPECT_EQ(sequences[i]->drafts, guess_naively(sequences[i]->tokens, i < 5 ? 4 : 2, kLetters))
        << i;
  }
}

TEST(DraftModel, ReadsALongBacklogBitByBit) {
  DraftRig rig({.page_count = 20});
  DraftedSequence sequence(rig, letters(1, 100));
  DraftedSequence other(rig, letters(2, 8));
  for (int call = 0; call < 3; ++call) {
    std::vector<DraftJob> jobs = {sequence.job(2), other.job(2)};
    rig.draft.propose(jobs, 30);
    EXPECT_TRUE(sequence.drafts.empty());
    EXPECT_EQ(other.drafts, guess_naively(other.tokens, 2, kLetters));
    other.tokens.push_back(call);
    EXPECT_EQ(rig.draft.backlog(*sequence.state, sequence.tokens), 100 - 30 * (call + 1));
  }
  propose(rig, sequence, 2, 30);
  EXPECT_EQ(sequence.drafts, guess_naively(sequence.tokens, 2, kLetters));
}

TEST(DraftModel, EqualPrefixesAreReadOnce) {
  DraftRig rig({.page_count = 20});
  DraftedSequence first(rig, letters(1, 70));
  propose(rig, first, 3);
  DraftedSequence second(rig, letters(1, 70));
  EXPECT_EQ(rig.draft.backlog(*second.state, second.tokens), 70 - 64);
  propose(rig, second, 3);
  EXPECT_EQ(second.drafts, first.drafts);
  DraftRig without({.page_count = 20, .prefix_caching = false});
  DraftedSequence third(without, letters(1, 70));
  propose(without, third, 3);
  DraftedSequence fourth(without, letters(1, 70));
  EXPECT_EQ(without.draft.backlog(*fourth.state, fourth.tokens), 70);
}

TEST(DraftModel, WhoHasNotGuessedForLongestGivesItsPages) {
  DraftRig rig({.page_count = 8});
  DraftedSequence first(rig, letters(1, 40));
  DraftedSequence second(rig, letters(2, 40));
  propose(rig, first, 2);
  propose(rig, second, 2);
  DraftedSequence third(rig, letters(3, 40));
  propose(rig, third, 2);
  EXPECT_EQ(third.drafts, guess_naively(third.tokens, 2, kLetters));
  second.tokens.push_back(1);
  EXPECT_EQ(rig.draft.backlog(*second.state, second.tokens), 1);
  EXPECT_GT(*rig.draft.backlog(*first.state, first.tokens), 1);
  propose(rig, first, 2);
  EXPECT_EQ(first.drafts, guess_naively(first.tokens, 2, kLetters));
}

TEST(DraftModel, WhoDoesNotFitHasNoGuessesAndHoldsNothing) {
  DraftRig rig({.page_count = 4});
  DraftedSequence small(rig, letters(1, 20));
  DraftedSequence large(rig, letters(2, 50));
  std::vector<DraftJob> jobs = {small.job(2), large.job(2)};
  rig.draft.propose(jobs, INT_MAX);
  EXPECT_EQ(small.drafts, guess_naively(small.tokens, 2, kLetters));
  EXPECT_TRUE(large.drafts.empty());
  EXPECT_EQ(rig.draft.held_page_count(), 2);
}

TEST(DraftModel, KnowsTheLimitsOfBothModels) {
  DraftRig rig({.page_count = 20, .max_tokens = 40, .guessable_tokens = 9});
  DraftedSequence sequence(rig, letters(1, 38));
  propose(rig, sequence, 8);
  EXPECT_EQ(sequence.drafts, guess_naively(sequence.tokens, 3, 9))
      << "positions 38 and 39 can be read";
  DraftedSequence foreign(rig, {1, 2, kLetters});
  propose(rig, foreign, 2);
  EXPECT_TRUE(foreign.drafts.empty());
  EXPECT_EQ(rig.draft.backlog(*foreign.state, foreign.tokens), std::nullopt);
  sequence.tokens.resize(41);
  EXPECT_EQ(rig.draft.backlog(*sequence.state, sequence.tokens), std::nullopt);
  EXPECT_EQ(rig.draft.held_page_count(), 0);
}

TEST(DraftModel, MeasuresItsPasses) {
  DraftRig rig({.page_count = 20});
  EXPECT_EQ(rig.draft.pass_cost()->seconds(1), 0.0);
  DraftedSequence sequence(rig, letters(1, 5));
  propose(rig, sequence, 4);
  EXPECT_NEAR(rig.draft.pass_cost()->seconds(1), 0.001, 1e-5);
}

TEST(DraftModel, ACallTakesNothingFromTheHeap) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers bring a heap of their own";
#endif
  // The fake model's own notes grow with a call's tokens: the first call is the largest.
  DraftRig rig({.page_count = 20});
  DraftedSequence first(rig, letters(1, 90));
  DraftedSequence second(rig, letters(2, 20));
  std::vector<DraftJob> jobs = {first.job(4), second.job(4)};
  rig.draft.propose(jobs, INT_MAX);
  first.tokens.reserve(kMaxTokens);
  second.tokens.reserve(kMaxTokens);
  const int64_t before = heap_allocation_count();
  for (int call = 0; call < 20; ++call) {
    first.tokens.push_back(call);
    second.tokens.push_back(second.drafts[0]);
    jobs[0] = first.job(4);
    jobs[1] = second.job(4);
    rig.draft.propose(jobs, INT_MAX);
  }
  EXPECT_EQ(heap_allocation_count() - before, 0);
}

// Sequences come, grow by what was guessed or by something else, wait and go, in a pool that holds
// a part of them: what is guessed is always what reading everything anew would guess.
TEST(DraftModelProperty, GuessesAsIfItReadEverythingAnew) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&](int most) {
      return static_cast<int>(random() % static_cast<uint32_t>(most));
    };
    DraftRig rig({.page_count = 6 + below(30),
                  .batch_tokens = 16 + below(200),
                  .prefix_caching = seed % 3 != 0});
    std::vector<std::unique_ptr<DraftedSequence>> live;
    int guessed = 0;
    for (int round = 0; round < 60; ++round) {
      if (live.size() < 6 && below(3) == 0) {
        // Few texts, so that prefixes are equal.
        live.push_back(std::make_unique<DraftedSequence>(rig, letters(below(3), 1 + below(80))));
      }
      std::vector<DraftedSequence*> asked;
      std::vector<DraftJob> jobs;
      for (const auto& sequence : live) {
        if (below(4) == 0) continue;
        const auto backlog = rig.draft.backlog(*sequence->state, sequence->tokens);
        ASSERT_TRUE(backlog);
        ASSERT_GE(*backlog, 1);
        ASSERT_LE(*backlog, static_cast<int>(sequence->tokens.size()));
        asked.push_back(sequence.get());
        jobs.push_back(sequence->job(1 + below(5)));
      }
      rig.draft.propose(jobs, below(2) == 0 ? INT_MAX : below(40));
      for (size_t i = 0; i < jobs.size(); ++i) {
        DraftedSequence& sequence = *asked[i];
        ASSERT_LE(std::ssize(sequence.drafts), jobs[i].most);
        ASSERT_EQ(
            sequence.drafts,
            guess_naively(sequence.tokens, static_cast<int>(sequence.drafts.size()), kLetters));
        guessed += sequence.drafts.empty() ? 0 : 1;
        const int hits = below(static_cast<int>(sequence.drafts.size()) + 1);
        sequence.tokens.insert(sequence.tokens.end(), sequence.drafts.begin(),
                               sequence.drafts.begin() + hits);
        sequence.tokens.push_back(below(26));
      }
      std::erase_if(live, [&](const auto& sequence) {
        return sequence->tokens.size() + 8 > kMaxTokens || below(20) == 0;
      });
      const kv::BlockPool& pages = rig.draft.pages();
      ASSERT_EQ(pages.free_count() + pages.idle_count() + pages.in_use_count(), pages.capacity());
    }
    EXPECT_GT(guessed, 10);
    live.clear();
    EXPECT_EQ(rig.draft.held_page_count(), 0);
  }
}

}  // namespace
}  // namespace inferno::engine
