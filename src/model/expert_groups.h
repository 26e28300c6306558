// The rows of a batch grouped by the experts they go to, and the experts' panels cut into shares of
// equal cost.
//
//   choices of rows   0: 2 5   1: 5 0   2: 5 2
//   slots             row 1 | rows 0 2 | rows 0 1 2      one slot for each choice
//   groups            expert 0, expert 2, expert 5       experts without rows have none
//   tile rows         0 | 16 17 | 32 33 34               groups share no tile of 16 rows
//
// Invariant: groups ascend by expert, slots within a group ascend by row.
// Threads:   assign() belongs to one thread; the rest may then be read by any.
// Cost:      assign() is O(choices + experts); nothing is allocated after reserve().
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "model/router.h"

namespace inferno::model {

class ExpertGroups {
 public:
  struct Slot {
    int row;
    float weight;
    int tile_row;  // its place in RoundedRows of all slots
  };

  struct Group {
    int expert;
    int first_slot;
    int count;  // at least 1
    // In units of cost: a pair of panels takes `pair_units`, the group's first begins at
    // `first_unit`.
    int first_unit;
    int pair_units;
  };

  struct Limits {
    int expert_count;
    int choices;  // of all rows together
  };

  // Tile rows that the slots of any assignment within the limits have at most.
  static int most_tile_rows(const Limits& limits);

  // Makes room. Requires: experts in choices are below limits.expert_count.
  void reserve(const Limits& limits);

  // Groups the rows of which each has `per_row` choices of different experts, one row after the
  // other. `panel_count` panels of each expert are to be shared out. Requires: at most
  // limits.choices.
  void assign(std::span<const ExpertChoice> choices, int per_row, int panel_count);

  std::span<const Group> groups() const { return groups_; }
  std::span<const Slot> slots() const { return slots_; }
  std::span<const Slot> slots_of(const Group& group) const {
    return std::span(slots_).subspan(static_cast<size_t>(group.first_slot),
                                     static_cast<size_t>(group.count));
  }

  // Units of cost of all panels: what is to be cut into ranges.
  int unit_count() const { return unit_count_; }

  // The panels of `group` that belong to a range of units: ranges that cover all units cover every
  // panel once. Pairs of panels stay together.
  Range panels_in(const Group& group, Range units) const;

 private:
  void lay_out_tiles();
  void share_out();

  int panel_count_ = 0;
  int unit_count_ = 0;
  std::vector<int> counts_;  // by expert
  std::vector<Group> groups_;
  std::vector<Slot> slots_;
};

}  // namespace inferno::model
