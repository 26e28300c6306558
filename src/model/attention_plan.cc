#include "model/attention_plan.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace inferno::model {
namespace {

// (Row, query head) pairs of an item: as many as the kernel takes at once, so that it reads and
// converts the cache once for them.
constexpr int kMostPairs = 128;

// Items are cut down to this many rows when there are few; fewer would read the cache more often
// than the balance is worth.
constexpr int kFewRows = 16;

// Items per thread to aim for: the last to finish is then late by an eighth at most.
constexpr int kItemsPerThread = 8;

// What an item costs besides its positions, in positions of one query head.
constexpr int64_t kItemCost = 64;

}  // namespace

void AttentionPlan::reserve(const Shape& shape, int rows, int states) {
  shape_ = shape;
  most_states_ = states;
  const auto heads = static_cast<size_t>(shape.kv_head_count);
  const size_t splits = static_cast<size_t>(shape.thread_count) * kItemsPerThread;
  const size_t uncut = static_cast<size_t>(rows) * heads;
  items_.reserve(2 * uncut + splits);
  groups_.reserve(uncut);
  group_items_.reserve(uncut);
  open_items_ = std::make_unique<std::atomic<int>[]>(uncut);
}

int64_t AttentionPlan::cost_of(int position, int count) const {
  const int64_t seen = int64_t{position} + (count + 1) / 2;
  const int64_t positions = shape_.window > 0 ? std::min<int64_t>(seen, shape_.window) : seen;
  return (positions + kItemCost) * count * shape_.group;
}

void AttentionPlan::begin(std::span<const ForwardPiece> pieces) {
  items_.clear();
  groups_.clear();
  group_items_.clear();
  used_states_ = 0;
  int64_t total = 0;
  for (const ForwardPiece& piece : pieces) {
    total += cost_of(piece.first_position, static_cast<int>(piece.tokens.size()));
  }
  total *= shape_.kv_head_count;
  const int64_t target = total / (int64_t{shape_.thread_count} * kItemsPerThread) + 1;
  int row = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto count = static_cast<int>(pieces[i].tokens.size());
    cut_piece({.piece = static_cast<int>(i),
               .row = row,
               .count = count,
               .position = pieces[i].first_position},
              target);
    row += count;
  }
  std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
    return std::tuple(-a.cost, a.row, a.head, a.spans.begin) <
           std::tuple(-b.cost, b.row, b.head, b.spans.begin);
  });
  restart();
}

// Runs of rows that end where pages do.
void AttentionPlan::cut_piece(const Item& rows, int64_t target) {
  int most = std::max(kFewRows, kMostPairs / shape_.group);
  const int last = rows.position + rows.count;
  while (most > kFewRows && cost_of(last - std::min(most, rows.count), most) > target)
    most = std::max(kFewRows, most / 2);
  most -= most % kernel::kPagePositions;
  for (int done = 0; done < rows.count;) {
    Item run = rows;
    run.row += done;
    run.position += done;
    const int room = most - run.position % kernel::kPagePositions;
    run.count = std::min(rows.count - done, room);
    for (run.head = 0; run.head < shape_.kv_head_count; ++run.head)
      add_rows(run, target);
    done += run.count;
  }
}

// One item, or several with parts of the spans.
void AttentionPlan::add_rows(Item rows, int64_t target) {
  const int length = kernel::span_positions(rows.position);
  const int last = rows.position + rows.count - 1;
  const int seen = shape_.window > 0 ? std::max(0, rows.position - shape_.window + 1) : 0;
  const kernel::SpanRange all = {seen / length, last / length + 1};
  const int span_count = all.end - all.begin;
  rows.cost = cost_of(rows.position, rows.count);
  rows.spans = all;
  const int states = span_count * rows.count * shape_.group;
  const auto wanted =
      static_cast<int>(std::min<int64_t>((rows.cost + target - 1) / target, span_count));
  const bool have_equal_spans = kernel::span_positions(last) == length;
  if (shape_.thread_count == 1 || wanted <= 1 || rows.count > kFewRows || !have_equal_spans ||
      states > most_states_ - used_states_) {
    items_.push_back(rows);
    return;
  }
  rows.group = static_cast<int>(groups_.size());
  groups_.push_back({.spans = all, .first_state = used_states_});
  group_items_.push_back(wanted);
  used_states_ += states;
  const int64_t cost = rows.cost;
  for (int part = 0; part < wanted; ++part) {
    rows.spans = {all.begin + span_count * part / wanted,
                  all.begin + span_count * (part + 1) / wanted};
    rows.cost = cost * (rows.spans.end - rows.spans.begin) / span_count;
    items_.push_back(rows);
  }
}

void AttentionPlan::restart() {
  next_.store(0, std::memory_order_relaxed);
  for (size_t i = 0; i < groups_.size(); ++i)
    open_items_[i].store(group_items_[i], std::memory_order_relaxed);
}

const AttentionPlan::Item* AttentionPlan::take() {
  const size_t index = next_.fetch_add(1, std::memory_order_relaxed);
  return index < items_.size() ? &items_[index] : nullptr;
}

bool AttentionPlan::finish(const Item& item) {
  CHECK(item.group.has_value(), "an item of row {} has no group", item.row);
  auto& open = open_items_[static_cast<size_t>(*item.group)];
  return open.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

}  // namespace inferno::model
