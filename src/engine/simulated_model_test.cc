#include "engine/simulated_model.h"

#include <gtest/gtest.h>

#include <vector>

namespace inferno::engine {
namespace {

TEST(SimulatedModel, TakesTheTimeThatItsCostSays) {
  ManualClock clock;
  SimulatedModel model({.fixed_s = 1,
                        .decode_row_s = 0.1,
                        .prefill_token_s = 0.01,
                        .kv_position_s = 0.5,
                        .noise = 0},
                       clock, 1);
  const std::vector<TokenId> tokens(4, 0);
  const std::vector<model::ForwardPiece> pieces = {
      {.tokens = std::span(tokens).first(1), .first_position = 9, .pages = {}},
      {.tokens = tokens, .first_position = 0, .pages = {}}};
  const TimePoint start = clock.now();
  model.forward(pieces);
  // 10 positions for the single token, 1 + 2 + 3 + 4 for the prompt.
  EXPECT_NEAR(seconds_between(start, clock.now()), 1 + 0.1 + 4 * 0.01 + 0.5 * 20, 1e-6);
  EXPECT_EQ(model.computed_tokens(), 5);
  EXPECT_EQ(model.step_count(), 1);
}

TEST(SimulatedModel, NoiseFollowsTheSeed) {
  const std::vector<TokenId> tokens(1, 0);
  const model::ForwardPiece piece{.tokens = tokens, .first_position = 0, .pages = {}};
  std::vector<TimePoint> ends;
  for (const uint64_t seed : {1, 1, 2}) {
    ManualClock clock;
    SimulatedModel model({}, clock, seed);
    model.forward({&piece, 1});
    ends.push_back(clock.now());
  }
  EXPECT_EQ(ends[0], ends[1]);
  EXPECT_NE(ends[0], ends[2]);
}

TEST(SimulatedModel, AlwaysChoosesTheTokenThatIsText) {
  ManualClock clock;
  SimulatedModel model({}, clock, 1);
  float logits[2] = {};
  const int row = 0;
  model.logits({&row, 1}, logits);
  EXPECT_GT(logits[0], logits[1]);
  EXPECT_EQ(simulated_tokenizer()->piece_bytes(0, {}), "a");
}

}  // namespace
}  // namespace inferno::engine
