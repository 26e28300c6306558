// How the attention of one step is cut into pieces for the threads.
//
//   pieces of sequences  --begin()-->  items, largest first, each (rows, key/value head, spans)
//                                      |  take(): threads help themselves
//                                      v
//   computed  --finish()-->  the last item of a group that shares rows merges their spans
//
// Rows come in runs that share what is read of the cache. A long context of few rows and few heads
// would leave threads idle, or wait for one: its spans (kernel/types.h, span_positions) become
// several items. Where items begin and end has no influence on the bits of the result.
//
// Threads: begin() and restart() belong to one thread while no other uses the plan; take() and
//          finish() to all.
// Cost:    begin() sorts the items, once a step; no allocation after reserve().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernel/types.h"
#include "model/forward_pass.h"

namespace inferno::model {

class AttentionPlan {
 public:
  struct Shape {
    int kv_head_count = 1;
    int group = 1;  // query heads per key/value head
    int thread_count = 1;
    int window = 0;  // as in AttentionInput
  };

  // Items of the same rows and head, each with a part of the spans.
  struct Group {
    kernel::SpanRange spans;  // of all its items
    int first_state = 0;      // where their states begin, in states of one row and query head
  };

  struct Item {
    int piece = 0;
    int row = 0;    // of the batch
    int count = 0;  // rows
    int position = 0;
    int head = 0;                // key/value head
    kernel::SpanRange spans{};   // to compute; all of the rows' where there is no group
    std::optional<int> group{};  // whose results have to be merged
    int64_t cost = 0;            // query rows times positions
  };

  // Room for steps of up to `rows` rows, and for `states` states of split rows in all.
  void reserve(const Shape& shape, int rows, int states);

  // Cuts a step. Requires: at most the rows of reserve().
  void begin(std::span<const ForwardPiece> pieces);

  // Makes all items available again.
  void restart();

  // The next item, or null when all are taken.
  const Item* take();

  // Says that an item is computed; true for the last one of its group.
  // Requires: the item has a group.
  bool finish(const Item& item);

  std::span<const Item> items() const { return items_; }
  const Group& group(int index) const { return groups_[static_cast<size_t>(index)]; }

 private:
  int64_t cost_of(int position, int count) const;
  void cut_piece(const Item& rows, int64_t target);
  void add_rows(Item rows, int64_t target);

  Shape shape_;
  int most_states_ = 0;
  int used_states_ = 0;
  std::vector<Item> items_;
  std::vector<Group> groups_;
  std::unique_ptr<std::atomic<int>[]> open_items_;  // of group i
  std::vector<int> group_items_;                    // of group i
  std::atomic<size_t> next_{0};
};

}  // namespace inferno::model
