#include "model/expert_groups.h"

#include <algorithm>

#include "base/check.h"
#include "base/sizes.h"
#include "kernel/formats.h"

namespace inferno::model {
namespace {

using kernel::layout::kPanelPair;
using kernel::layout::kRoundedTileRows;

// Reading a panel costs as much as multiplying it with so many rows.
constexpr int kReadingRows = 8;

// Far below what an int holds, so that sums of ranges do not overflow either.
constexpr int64_t kMostUnits = int64_t{1} << 28;

}  // namespace

int ExpertGroups::most_tile_rows(const Limits& limits) {
  const int groups = std::min(limits.expert_count, limits.choices);
  return (limits.choices / kRoundedTileRows + groups) * kRoundedTileRows;
}

void ExpertGroups::reserve(const Limits& limits) {
  counts_.assign(as_size(limits.expert_count), 0);
  groups_.reserve(as_size(limits.expert_count));
  slots_.reserve(as_size(limits.choices));
}

void ExpertGroups::assign(std::span<const ExpertChoice> choices, int per_row, int panel_count) {
  CHECK(choices.size() <= slots_.capacity(), "{} choices, room for {}", choices.size(),
        slots_.capacity());
  std::ranges::fill(counts_, 0);
  for (const ExpertChoice& choice : choices)
    ++counts_[as_size(choice.expert)];
  groups_.clear();
  int next_slot = 0;
  for (int expert = 0; expert < static_cast<int>(counts_.size()); ++expert) {
    int& count = counts_[as_size(expert)];
    if (count == 0) continue;
    groups_.push_back({.expert = expert,
                       .first_slot = next_slot,
                       .count = count,
                       .first_unit = 0,
                       .pair_units = 0});
    next_slot += count;
    count = groups_.back().first_slot;  // from here on: the expert's next free slot
  }
  slots_.resize(choices.size());
  for (size_t i = 0; i < choices.size(); ++i) {
    const int slot = counts_[as_size(choices[i].expert)]++;
    slots_[as_size(slot)] = {
        .row = static_cast<int>(i) / per_row, .weight = choices[i].weight, .tile_row = 0};
  }
  lay_out_tiles();
  panel_count_ = panel_count;
  share_out();
}

void ExpertGroups::lay_out_tiles() {
  int tile_row = 0;
  for (const Group& group : groups_) {
    for (int i = 0; i < group.count; ++i)
      slots_[as_size(group.first_slot + i)].tile_row = tile_row + i;
    tile_row += (group.count + kRoundedTileRows - 1) / kRoundedTileRows * kRoundedTileRows;
  }
}

void ExpertGroups::share_out() {
  const int pairs = (panel_count_ + kPanelPair - 1) / kPanelPair;
  const int64_t rows = int64_t{kReadingRows} * static_cast<int64_t>(groups_.size()) +
                       static_cast<int64_t>(slots_.size());
  const int64_t coarseness = 1 + rows * pairs / kMostUnits;
  unit_count_ = 0;
  for (Group& group : groups_) {
    group.first_unit = unit_count_;
    group.pair_units =
        static_cast<int>(std::max(int64_t{1}, (kReadingRows + group.count) / coarseness));
    unit_count_ += group.pair_units * pairs;
  }
}

Range ExpertGroups::panels_in(const Group& group, Range units) const {
  const int pairs = (panel_count_ + kPanelPair - 1) / kPanelPair;
  // A pair belongs where its first unit lies.
  const auto first_pair_from = [&](int unit) {
    const int within = unit - group.first_unit;
    if (within <= 0) return 0;
    return std::min((within + group.pair_units - 1) / group.pair_units, pairs);
  };
  return {std::min(first_pair_from(units.begin) * kPanelPair, panel_count_),
          std::min(first_pair_from(units.end) * kPanelPair, panel_count_)};
}

}  // namespace inferno::model
