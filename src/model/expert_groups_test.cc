#include "model/expert_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace inferno::model {
namespace {

using ::testing::ElementsAre;

std::vector<int> rows_of(const ExpertGroups& groups, const ExpertGroups::Group& group) {
  std::vector<int> rows;
  for (const ExpertGroups::Slot& slot : groups.slots_of(group))
    rows.push_back(slot.row);
  return rows;
}

TEST(ExpertGroups, GroupsRowsByExpert) {
  ExpertGroups groups;
  groups.reserve({.expert_count = 6, .choices = 8});
  const std::vector<ExpertChoice> choices = {{2, 0.7f}, {5, 0.3f}, {5, 0.6f},
                                             {0, 0.4f}, {5, 0.9f}, {2, 0.1f}};
  groups.assign(choices, 2, 4);
  ASSERT_EQ(groups.groups().size(), 3u);
  const auto& found = groups.groups();
  EXPECT_EQ(found[0].expert, 0);
  EXPECT_THAT(rows_of(groups, found[0]), ElementsAre(1));
  EXPECT_EQ(found[1].expert, 2);
  EXPECT_THAT(rows_of(groups, found[1]), ElementsAre(0, 2));
  EXPECT_EQ(found[2].expert, 5);
  EXPECT_THAT(rows_of(groups, found[2]), ElementsAre(0, 1, 2));
  EXPECT_EQ(groups.slots_of(found[2])[1].weight, 0.6f);
  groups.assign({}, 2, 4);
  EXPECT_TRUE(groups.groups().empty());
  EXPECT_EQ(groups.unit_count(), 0);
}

// Random choices of different experts for each row.
std::vector<ExpertChoice> random_choices(int rows, int experts, int used, std::mt19937& random) {
  std::vector<int> all(static_cast<size_t>(experts));
  std::iota(all.begin(), all.end(), 0);
  std::vector<ExpertChoice> choices;
  for (int row = 0; row < rows; ++row) {
    std::ranges::shuffle(all, random);
    for (int i = 0; i < used; ++i)
      choices.push_back({all[static_cast<size_t>(i)], static_cast<float>(choices.size())});
  }
  return choices;
}

TEST(ExpertGroups, EveryChoiceIsInItsExpertsGroupOnceAndRowsAscend) {
  std::mt19937 random(11);
  ExpertGroups groups;
  groups.reserve({.expert_count = 40, .choices = 64 * 8});
  for (int round = 0; round < 200; ++round) {
    const int used = 1 + static_cast<int>(random() % 8);
    const int rows = static_cast<int>(random() % 65);
    const auto choices = random_choices(rows, 40, used, random);
    groups.assign(choices, used, 5);
    size_t seen = 0;
    int last_expert = -1;
    for (const ExpertGroups::Group& group : groups.groups()) {
      EXPECT_GT(group.expert, last_expert);
      last_expert = group.expert;
      int last_row = -1;
      for (const ExpertGroups::Slot& slot : groups.slots_of(group)) {
        EXPECT_GT(slot.row, last_row);
        last_row = slot.row;
        const auto choice = static_cast<size_t>(slot.weight);
        ASSERT_EQ(choices[choice].expert, group.expert);
        ASSERT_EQ(static_cast<int>(choice) / used, slot.row);
        ++seen;
      }
    }
    ASSERT_EQ(seen, choices.size());
  }
}

TEST(ExpertGroups, RangesOfUnitsCoverEveryPanelOnceInWholePairs) {
  std::mt19937 random(5);
  ExpertGroups groups;
  groups.reserve({.expert_count = 12, .choices = 200});
  for (int round = 0; round < 200; ++round) {
    const int panel_count = 1 + static_cast<int>(random() % 9);
    groups.assign(random_choices(1 + static_cast<int>(random() % 50), 12, 3, random), 3,
                  panel_count);
    std::vector<std::vector<int>> seen(12, std::vector<int>(static_cast<size_t>(panel_count)));
    int begin = 0;
    while (begin < groups.unit_count()) {
      const int end = std::min(begin + 1 + static_cast<int>(random() % 40), groups.unit_count());
      for (const ExpertGroups::Group& group : groups.groups()) {
        const Range panels = groups.panels_in(group, {begin, end});
        if (panels.begin >= panels.end) continue;
        EXPECT_EQ(panels.begin % 2, 0);
        EXPECT_TRUE(panels.end % 2 == 0 || panels.end == panel_count);
        for (int panel = panels.begin; panel < panels.end; ++panel)
          ++seen[static_cast<size_t>(group.expert)][static_cast<size_t>(panel)];
      }
      begin = end;
    }
    for (const ExpertGroups::Group& group : groups.groups())
      ASSERT_THAT(seen[static_cast<size_t>(group.expert)], ::testing::Each(1)) << round;
  }
}

TEST(ExpertGroups, EachGroupBeginsWithATileOfItsOwn) {
  std::mt19937 random(4);
  for (int round = 0; round < 200; ++round) {
    const unsigned experts = 1 + random() % 9;
    std::vector<ExpertChoice> choices(1 + random() % 100);
    for (ExpertChoice& choice : choices)
      choice = {static_cast<int>(random() % experts), 1.0f};
    const ExpertGroups::Limits limits{.expert_count = 9,
                                      .choices = static_cast<int>(choices.size())};
    ExpertGroups groups;
    groups.reserve(limits);
    groups.assign(choices, 1, 4);
    int free_row = 0;
    for (const ExpertGroups::Group& group : groups.groups()) {
      const int first = groups.slots_of(group).front().tile_row;
      ASSERT_EQ(first % 16, 0);
      ASSERT_GE(first, free_row);
      for (const ExpertGroups::Slot& slot : groups.slots_of(group))
        free_row = std::max(free_row, slot.tile_row + 1);
      ASSERT_EQ(free_row, first + group.count);
    }
    ASSERT_LE(free_row, ExpertGroups::most_tile_rows(limits));
  }
}

// One expert with most of the rows: two halves of the units hold about as many rows times panels.
TEST(ExpertGroups, HalvesOfTheUnitsCostTheSameWhateverTheRows) {
  ExpertGroups groups;
  groups.reserve({.expert_count = 8, .choices = 1000});
  std::vector<ExpertChoice> choices;
  for (int row = 0; row < 400; ++row)
    choices.push_back({row < 300 ? 0 : 1 + row % 7, 1.0f});
  groups.assign(choices, 1, 64);
  const int middle = groups.unit_count() / 2;
  double first = 0.0, second = 0.0;
  for (const ExpertGroups::Group& group : groups.groups()) {
    const Range low = groups.panels_in(group, {0, middle});
    const Range high = groups.panels_in(group, {middle, groups.unit_count()});
    first += (low.end - low.begin) * group.count;
    second += (high.end - high.begin) * group.count;
  }
  EXPECT_NEAR(first / (first + second), 0.5, 0.12);
}

TEST(ExpertGroups, UnitsStayWithinAnIntForTheLargestModels) {
  ExpertGroups groups;
  const int rows = 65'536;
  groups.reserve({.expert_count = 64, .choices = rows * 4});
  std::vector<ExpertChoice> choices;
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < 4; ++i)
      choices.push_back({(row + i * 16) % 64, 1.0f});
  }
  groups.assign(choices, 4, 1 << 16);
  EXPECT_GT(groups.unit_count(), 0);
  const ExpertGroups::Group last = groups.groups().back();
  const Range panels = groups.panels_in(last, {last.first_unit, groups.unit_count()});
  EXPECT_EQ(panels.begin, 0);
  EXPECT_EQ(panels.end, 1 << 16);
}

}  // namespace
}  // namespace inferno::model
