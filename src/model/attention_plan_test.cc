// Plans cover every row, head and span exactly once, stay within their memory, and are balanced.
#include "model/attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

namespace inferno::model {
namespace {

// Pieces of sequences: how many rows at which position.
class Step {
 public:
  void add(int position, int rows) {
    tokens_.push_back(std::vector<TokenId>(static_cast<size_t>(rows)));
    positions_.push_back(position);
  }
  std::vector<ForwardPiece> pieces() const {
    std::vector<ForwardPiece> all;
    for (size_t i = 0; i < tokens_.size(); i++)
      all.push_back({.tokens = tokens_[i], .first_position = positions_[i], .pages = {}});
    return all;
  }

 private:
  std::vector<std::vector<TokenId>> tokens_;
  std::vector<int> positions_;
};

// Every (row, head, span) that a row sees, as often as the items have it.
std::map<std::tuple<int, int, int>, int> covered(const AttentionPlan& plan) {
  std::map<std::tuple<int, int, int>, int> times;
  for (const auto& item : plan.items()) {
    for (int row = item.row; row < item.row + item.count; row++) {
      for (int span = item.spans.begin; span < item.spans.end; span++)
        times[{row, item.head, span}]++;
    }
  }
  return times;
}

TEST(AttentionPlan, CoversEveryRowHeadAndSpanOnce) {
  std::mt19937 generator(3);
  const auto below = [&](int count) { return static_cast<int>(generator() % unsigned(count)); };
  for (int round = 0; round < 300; round++) {
    const AttentionPlan::Shape shape = {.kv_head_count = 1 + below(8),
                                        .group = 1 + below(9),
                                        .thread_count = 1 + below(16),
                                        .window = below(3) == 0 ? 1 + below(3000) : 0};
    AttentionPlan plan;
    plan.reserve(shape, 600, 2000);
    Step step;
    const int sequences = 1 + below(10);
    for (int i = 0; i < sequences; i++)
      step.add(below(2) == 0 ? below(100) : below(70000), 1 + (below(3) == 0 ? below(50) : 0));
    plan.begin(step.pieces());
    std::set<std::tuple<int, int, int>> expected;
    int row = 0;
    for (const ForwardPiece& piece : step.pieces()) {
      const auto count = static_cast<int>(piece.tokens.size());
      for (int r = 0; r < count; r++, row++) {
        const int position = piece.first_position + r;
        const int length = kernel::span_positions(position);
        const int first = shape.window > 0 ? std::max(0, position - shape.window + 1) : 0;
        for (int span = first / length; span <= position / length; span++) {
          for (int head = 0; head < shape.kv_head_count; head++)
            expected.insert({row, head, span});
        }
      }
    }
    const auto times = covered(plan);
    for (const auto& [key, count] : times)
      EXPECT_EQ(count, 1);
    for (const auto& key : expected)
      EXPECT_TRUE(times.contains(key)) << std::get<0>(key) << " " << std::get<2>(key);
  }
}

TEST(AttentionPlan, GivesStatesOfGroupsTheirOwnPlace) {
  const AttentionPlan::Shape shape = {.kv_head_count = 3, .group = 3, .thread_count = 2};
  constexpr int kStates = 3 * 3 * 20;
  AttentionPlan plan;
  plan.reserve(shape, 8, kStates);
  Step step;
  step.add(9000, 1);  // 18 spans, 54 states for each of 3 heads
  step.add(300, 1);
  plan.begin(step.pieces());
  std::set<int> taken;
  std::set<int> groups;
  for (const auto& item : plan.items()) {
    if (!item.group || !groups.insert(*item.group).second) continue;
    const auto& group = plan.group(*item.group);
    const int states = (group.spans.end - group.spans.begin) * item.count * shape.group;
    for (int i = 0; i < states; i++)
      EXPECT_TRUE(taken.insert(group.first_state + i).second);
  }
  EXPECT_EQ(groups.size(), 3U);
  EXPECT_LE(*taken.rbegin(), kStates - 1);
}

TEST(AttentionPlan, DoesNotSplitWhereThereIsNoRoomForStates) {
  AttentionPlan plan;
  plan.reserve({.kv_head_count = 3, .group = 3, .thread_count = 2}, 8, 53);
  Step step;
  step.add(9000, 1);
  plan.begin(step.pieces());
  EXPECT_EQ(plan.items().size(), 3U);
  for (const auto& item : plan.items())
    EXPECT_FALSE(item.group.has_value());
}

TEST(AttentionPlan, BalancesOneLongStreamOverManyThreads) {
  for (const int threads : {2, 3, 8, 16}) {
    const AttentionPlan::Shape shape = {.kv_head_count = 3, .group = 3, .thread_count = threads};
    AttentionPlan plan;
    plan.reserve(shape, 1, 3 * 3 * kernel::kMaxSpans);
    Step step;
    step.add(32000, 1);
    plan.begin(step.pieces());
    std::vector<int64_t> load(static_cast<size_t>(threads));
    int64_t total = 0;
    for (const auto& item : plan.items()) {
      *std::min_element(load.begin(), load.end()) += item.cost;
      total += item.cost;
    }
    const int64_t worst = *std::max_element(load.begin(), load.end());
    EXPECT_LT(worst * threads, total * 5 / 4) << threads;
  }
}

TEST(AttentionPlan, HandsOutTheLargestFirst) {
  AttentionPlan plan;
  plan.reserve({.kv_head_count = 2, .group = 4, .thread_count = 4}, 600, 1000);
  Step step;
  step.add(10, 1);
  step.add(5000, 512);
  step.add(8000, 1);
  plan.begin(step.pieces());
  const AttentionPlan::Item* before = plan.take();
  int taken = 1;
  while (const AttentionPlan::Item* item = plan.take()) {
    EXPECT_GE(before->cost, item->cost);
    before = item;
    taken++;
  }
  EXPECT_EQ(taken, static_cast<int>(plan.items().size()));
  plan.restart();
  EXPECT_EQ(plan.take(), plan.items().data());
}

TEST(AttentionPlan, LetsOneThreadMergeEachGroup) {
  AttentionPlan plan;
  plan.reserve({.kv_head_count = 4, .group = 2, .thread_count = 4}, 4, 4 * 2 * 64);
  Step step;
  step.add(20000, 1);
  plan.begin(step.pieces());
  ASSERT_TRUE(plan.items().front().group.has_value());
  for (int layer = 0; layer < 50; layer++) {
    plan.restart();
    std::atomic<int> merges{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
      threads.emplace_back([&] {
        while (const AttentionPlan::Item* item = plan.take()) {
          if (plan.finish(*item)) merges++;
        }
      });
    }
    for (std::thread& thread : threads)
      thread.join();
    EXPECT_EQ(merges, 4);
  }
}

}  // namespace
}  // namespace inferno::model
