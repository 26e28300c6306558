// Attention: against a double-precision reference, every table against the plain one to the bit,
// and rows in company against rows alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernel/test_tables.h"

namespace inferno::kernel {
namespace {

constexpr KvType kKvTypes[] = {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kInt8};

struct Shape {
  int group = 2;
  int width = 32;
  int positions = 100;  // of the sequence
  int window = 0;
  float softcap = 0.0f;
  bool with_sinks = false;
  KvType kv_type = KvType::kF32;

  std::string name() const {
    return "group " + std::to_string(group) + " width " + std::to_string(width) + " positions " +
           std::to_string(positions) + " window " + std::to_string(window) + " softcap " +
           std::to_string(softcap) + (with_sinks ? " sinks " : " ") + name_of(kv_type);
  }
};

// A sequence of random queries, keys and values, and a paged store that starts as NaN everywhere.
class Sequence {
 public:
  static constexpr int kHeadBegin = 1;  // a head before and one after the group must stay untouched

  explicit Sequence(const Shape& shape, float spread = 1.0f) : shape_(shape) {
    std::mt19937 generator(static_cast<unsigned>(shape.group * 1000 + shape.width));
    // Numbers of a pool, picked at random: drawing each anew took longer than attending to them.
    std::normal_distribution<float> normal(0.0f, spread);
    std::vector<float> pool(1 << 12);
    for (float& x : pool)
      x = normal(generator);
    std::minstd_rand pick(generator());
    const auto fill = [&](std::vector<float>& v, int count) {
      v.resize(static_cast<size_t>(count));
      for (float& x : v)
        x = pool[pick() % pool.size()];
    };
    fill(q_, shape.positions * row_width());
    fill(k_, shape.positions * shape.width);
    fill(v_, shape.positions * shape.width);
    fill(sinks_, shape.group);
    pages_.resize(static_cast<size_t>((shape.positions + kPagePositions - 1) / kPagePositions));
    std::iota(pages_.begin(), pages_.end(), 0u);
    std::shuffle(pages_.begin(), pages_.end(), generator);
    forget();
  }

  int row_width() const { return (shape_.group + 2) * shape_.width; }
  std::vector<float>& keys() { return k_; }
  std::vector<float>& values() { return v_; }

  // Every byte of the store becomes part of a NaN.
  void forget() { store_.assign(page_bytes() * pages_.size(), 0xFF); }

  void remember(const KernelTable& t, int begin, int end) {
    const size_t from = static_cast<size_t>(begin) * static_cast<size_t>(shape_.width);
    t.store_kv({k_.data() + from, v_.data() + from, static_cast<size_t>(shape_.width), end - begin,
                begin, shape_.width, shape_.kv_type, store_.data(), page_bytes(), pages_.data()});
  }

  // The outputs of positions [begin, end): [end - begin, group + 2, E].
  std::vector<float> attend(const KernelTable& t, int begin, int end) {
    std::vector<float> out(output_size(begin, end), kUntouched);
    t.attend(input(begin, end, out.data()), scratch());
    return out;
  }

  // The same through attend_spans(), called for `spans_at_once` spans at a time, last ones first,
  // and merge_spans().
  std::vector<float> attend_by_spans(const KernelTable& t, int begin, int end, int spans_at_once) {
    std::vector<float> out(output_size(begin, end), kUntouched);
    const AttentionInput in = input(begin, end, out.data());
    const int length = span_positions(begin);
    const int seen = shape_.window > 0 ? std::max(0, begin - shape_.window + 1) : 0;
    const SpanRange all = {seen / length, (end - 1) / length + 1};
    const size_t state = static_cast<size_t>(kStateHeaderFloats + shape_.width);
    const size_t span = state * static_cast<size_t>((end - begin) * shape_.group);
    std::vector<float> states(span * static_cast<size_t>(all.end - all.begin), kNan);
    int last = all.end;
    while (last > all.begin) {
      const int first = std::max(all.begin, last - spans_at_once);
      t.attend_spans(in, {first, last},
                     states.data() + span * static_cast<size_t>(first - all.begin), scratch());
      last = first;
    }
    t.merge_spans(in, all, states.data(), scratch());
    return out;
  }

  std::vector<float> attend_after_remembering(const KernelTable& t, int begin, int end) {
    forget();
    remember(t, 0, end);
    return attend(t, begin, end);
  }

  // What head `head` of the group puts out at `position`, in double precision.
  std::vector<double> reference(int position, int head) const {
    const auto width = static_cast<size_t>(shape_.width);
    const float* q = q_.data() + static_cast<size_t>(position * row_width()) +
                     static_cast<size_t>(kHeadBegin + head) * width;
    const int begin = shape_.window > 0 ? std::max(0, position - shape_.window + 1) : 0;
    std::vector<double> scores;
    for (int j = begin; j <= position; j++) {
      double dot = 0;
      for (size_t e = 0; e < width; e++) {
        dot += static_cast<double>(q[e]) * k_[static_cast<size_t>(j) * width + e];
      }
      dot *= scale();
      scores.push_back(shape_.softcap > 0 ? shape_.softcap * std::tanh(dot / shape_.softcap) : dot);
    }
    const double sink = sinks_[static_cast<size_t>(head)];
    double top = *std::max_element(scores.begin(), scores.end());
    if (shape_.with_sinks) top = std::max(top, sink);
    double total = shape_.with_sinks ? std::exp(sink - top) : 0.0;
    std::vector<double> out(width, 0.0);
    for (size_t j = 0; j < scores.size(); j++) {
      const double p = std::exp(scores[j] - top);
      total += p;
      for (size_t e = 0; e < width; e++) {
        out[e] += p * v_[(static_cast<size_t>(begin) + j) * width + e];
      }
    }
    for (double& x : out)
      x /= total;
    return out;
  }

  static constexpr float kUntouched = 4321.0f;

 private:
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.width)); }
  size_t page_bytes() const { return kv_page_bytes(shape_.kv_type, shape_.width); }
  size_t output_size(int begin, int end) const {
    return static_cast<size_t>(end - begin) * static_cast<size_t>(row_width());
  }

  AttentionInput input(int begin, int end, float* out) const {
    const auto stride = static_cast<size_t>(row_width());
    AttentionInput in{};
    in.q = q_.data() + static_cast<size_t>(begin) * stride;
    in.q_row_stride = in.out_row_stride = stride;
    in.out = out;
    in.rows = end - begin;
    in.first_position = begin;
    in.head_begin = kHeadBegin;
    in.group = shape_.group;
    in.head_width = shape_.width;
    in.scale = scale();
    in.softcap = shape_.softcap;
    in.window = shape_.window;
    in.sinks = shape_.with_sinks ? sinks_.data() : nullptr;
    in.kv_type = shape_.kv_type;
    in.kv_base = store_.data();
    in.page_stride = page_bytes();
    in.page_table = pages_.data();
    return in;
  }

  // Of NaN (all bits set) at the start of each call.
  uint8_t* scratch() {
    std::memset(scratch_.data(), 0xFF, kAttentionScratchBytes);
    return reinterpret_cast<uint8_t*>(scratch_.data());
  }

  Shape shape_;
  std::vector<float> q_, k_, v_, sinks_;
  std::vector<float> scratch_ = std::vector<float>(kAttentionScratchBytes / sizeof(float));
  std::vector<uint8_t> store_;
  std::vector<uint32_t> pages_;
};

std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (int group = 1; group <= 9; group++)
    all.push_back({.group = group});
  for (int width : {16, 48, 64, 80, 96, 128, 256, 512}) {
    all.push_back({.width = width});
    all.push_back({.group = 5, .width = width, .positions = 70, .kv_type = KvType::kF16});
  }
  for (int window : {1, 5, 16, 63, 64, 65, 90, 200}) {
    all.push_back({.group = 1, .positions = 150, .window = window});
    all.push_back({.group = 3, .window = window, .softcap = 5.0f, .with_sinks = true});
  }
  for (int positions : {1, 15, 16, 17, 63, 64, 65, 127, 129, 300}) {
    all.push_back({.positions = positions, .softcap = 20.0f});
    all.push_back({.positions = positions, .with_sinks = true, .kv_type = KvType::kF16});
  }
  all.push_back({.group = 130, .width = 16, .positions = 40});
  all.push_back({.group = 70, .width = 512, .positions = 20, .with_sinks = true});
  for (const KvType type : kKvTypes) {
    for (int group : {1, 3, 7, 8, 9, 20})
      all.push_back({.group = group, .width = 64, .positions = 130, .kv_type = type});
    for (int width : {16, 48, 80, 128, 512})
      all.push_back({.group = 3, .width = width, .positions = 50, .kv_type = type});
    for (int window : {1, 40, 64, 100})
      all.push_back({.positions = 180, .window = window, .with_sinks = true, .kv_type = type});
    all.push_back({.group = 4, .softcap = 10.0f, .kv_type = type});
  }
  return all;
}

// What rounding normally distributed keys and values to a type changes at most; queries of int8 are
// rounded too.
double bound_of(KvType type) {
  switch (type) {
    case KvType::kF32:
      return 5e-6;
    case KvType::kF16:
      return 4e-3;
    case KvType::kBF16:
      return 3e-2;
    case KvType::kInt8:
      return 8e-2;
  }
  return 0;
}

TEST(Attend, AgreesWithDoublePrecision) {
  for (const Shape& shape : shapes()) {
    Sequence sequence(shape);
    const double bound = bound_of(shape.kv_type);
    const auto out = sequence.attend_after_remembering(best_table(), 0, shape.positions);
    for (int row = 0; row < shape.positions; row++) {
      for (int head = 0; head < shape.group; head++) {
        const auto expected = sequence.reference(row, head);
        const size_t at = static_cast<size_t>(row * sequence.row_width()) +
                          static_cast<size_t>((Sequence::kHeadBegin + head) * shape.width);
        for (size_t e = 0; e < expected.size(); e++) {
          ASSERT_NEAR(out[at + e], expected[e], bound)
              << shape.name() << " row " << row << " head " << head;
        }
      }
    }
  }
}

TEST(Attend, IsTheSameInEveryTable) {
  if (tables_of_this_cpu().size() == 1) GTEST_SKIP() << "this CPU has the plain table only";
  for (const Shape& shape : shapes()) {
    Sequence sequence(shape);
    const auto expected =
        sequence.attend_after_remembering(*table(Isa::kPlain), 0, shape.positions);
    for (const KernelTable* t : tables_of_this_cpu()) {
      if (t->isa == Isa::kPlain) continue;
      const auto got = sequence.attend_after_remembering(*t, 0, shape.positions);
      EXPECT_EQ(first_difference(got, expected), -1) << name_of(t->isa) << " " << shape.name();
    }
  }
}

// Alone, a row sees a store that holds NaN in every position after its own.
TEST(Attend, ComputesARowOfAChunkAsTheRowAlone) {
  for (const Shape& shape : shapes()) {
    Sequence sequence(shape);
    const auto together = sequence.attend_after_remembering(best_table(), 0, shape.positions);
    sequence.forget();
    const auto stride = static_cast<size_t>(sequence.row_width());
    for (int row = 0; row < shape.positions; row++) {
      sequence.remember(best_table(), row, row + 1);
      const auto alone = sequence.attend(best_table(), row, row + 1);
      ASSERT_EQ(first_difference(alone, {&together[static_cast<size_t>(row) * stride], stride}), -1)
          << shape.name() << " row " << row;
    }
  }
}

TEST(Attend, DoesNotDependOnWhereChunksBegin) {
  std::mt19937 generator(5);
  for (const Shape& shape : shapes()) {
    Sequence sequence(shape);
    const auto together = sequence.attend_after_remembering(best_table(), 0, shape.positions);
    sequence.forget();
    std::vector<float> pieces;
    for (int begin = 0; begin < shape.positions;) {
      const int end = std::min(shape.positions, begin + 1 + static_cast<int>(generator() % 70));
      sequence.remember(best_table(), begin, end);
      const auto piece = sequence.attend(best_table(), begin, end);
      pieces.insert(pieces.end(), piece.begin(), piece.end());
      begin = end;
    }
    EXPECT_EQ(first_difference(pieces, together), -1) << shape.name();
  }
}

TEST(Attend, IsNotTouchedByWhatLaterRowsHold) {
  for (const KvType type : kKvTypes) {
    const Shape shape = {.group = 3, .positions = 130, .kv_type = type};
    Sequence sequence(shape);
    const auto clean = sequence.attend_after_remembering(best_table(), 0, 130);
    const auto at = [](int position) { return static_cast<size_t>(position * 32 + 7); };
    sequence.keys()[at(90)] = kNan;
    sequence.values()[at(100)] = kInfinity;
    sequence.values()[at(101)] = kNan;
    for (const KernelTable* t : tables_of_this_cpu()) {
      const auto soiled = sequence.attend_after_remembering(*t, 0, 130);
      const size_t untouched = static_cast<size_t>(90 * sequence.row_width());
      EXPECT_EQ(first_difference({soiled.data(), untouched}, {clean.data(), untouched}), -1);
      const float after = soiled[static_cast<size_t>(101 * sequence.row_width() + 32 + 7)];
      EXPECT_EQ(std::isnan(after), type != KvType::kInt8) << name_of(type);
    }
  }
}

TEST(Attend, LeavesOtherHeadsAlone) {
  const Shape shape = {.group = 4, .width = 16, .positions = 20};
  Sequence sequence(shape);
  for (const KernelTable* t : tables_of_this_cpu()) {
    const auto out = sequence.attend_after_remembering(*t, 0, 20);
    for (int row = 0; row < 20; row++) {
      for (int e = 0; e < 16; e++) {
        const auto first = static_cast<size_t>(row * sequence.row_width() + e);
        EXPECT_EQ(out[first], Sequence::kUntouched);
        EXPECT_EQ(out[first + 5 * 16], Sequence::kUntouched);
      }
    }
  }
}

TEST(Attend, GivesTheValueItselfThroughAWindowOfOne) {
  Shape shape = {.group = 2, .width = 48, .positions = 90, .window = 1};
  Sequence sequence(shape);
  for (const KernelTable* t : tables_of_this_cpu()) {
    const auto out = sequence.attend_after_remembering(*t, 0, 90);
    for (int row = 0; row < 90; row++) {
      const float* head = &out[static_cast<size_t>(row * sequence.row_width() + 48)];
      const float* value = &sequence.values()[static_cast<size_t>(row * 48)];
      EXPECT_EQ(first_difference({head, 48}, {value, 48}), -1) << row;
    }
  }
}

TEST(Attend, SurvivesScoresOfAnySize) {
  for (float spread : {1e-30f, 1e5f, 1e9f, 1e15f}) {
    const Shape shape = {.group = 2, .width = 64, .positions = 100};
    Sequence sequence(shape, spread);
    const auto plain = sequence.attend_after_remembering(*table(Isa::kPlain), 0, 100);
    for (const KernelTable* t : tables_of_this_cpu()) {
      const auto out = sequence.attend_after_remembering(*t, 0, 100);
      EXPECT_EQ(first_difference(out, plain), -1);
      for (float x : out)
        ASSERT_TRUE(std::isfinite(x)) << spread;
    }
  }
}

// Depths around the ends of pages, blocks and spans, in shapes drawn at random.
TEST(Attend, IsTheSameInEveryTableForRandomShapes) {
  std::mt19937 generator(11);
  const auto below = [&](int count) { return static_cast<int>(generator() % unsigned(count)); };
  const int bounds[] = {16, 64, 128, 512, 576, 1024, 1536};
  for (int i = 0; i < 60; i++) {
    const Shape shape = {.group = 1 + below(10),
                         .width = 16 * (1 + below(9)),
                         .positions = bounds[below(7)] + below(5) - 2,
                         .window = below(3) == 0 ? 1 + below(700) : 0,
                         .softcap = below(4) == 0 ? 8.0f : 0.0f,
                         .with_sinks = below(3) == 0,
                         .kv_type = kKvTypes[below(4)]};
    const int begin = std::max(0, shape.positions - 1 - below(9));
    Sequence sequence(shape);
    const auto plain =
        sequence.attend_after_remembering(*table(Isa::kPlain), begin, shape.positions);
    for (const KernelTable* t : tables_of_this_cpu()) {
      const auto got = sequence.attend_after_remembering(*t, begin, shape.positions);
      EXPECT_EQ(first_difference(got, plain), -1) << name_of(t->isa) << " " << shape.name();
      for (int row = begin; row < shape.positions; row++) {
        const auto stride = static_cast<size_t>(sequence.row_width());
        const auto alone = sequence.attend(*t, row, row + 1);
        const float* together = &plain[static_cast<size_t>(row - begin) * stride];
        EXPECT_EQ(first_difference(alone, {together, stride}), -1) << shape.name() << row;
      }
    }
  }
}

TEST(Attend, GivesTheSameBitsSpanBySpan) {
  for (const KvType type : kKvTypes) {
    for (const Shape& shape :
         {Shape{.group = 3, .width = 16, .positions = 2060, .kv_type = type},
          Shape{.group = 2, .width = 32, .positions = 1540, .window = 600, .kv_type = type},
          Shape{.group = 3, .width = 16, .positions = 1034, .with_sinks = true, .kv_type = type},
          Shape{.group = 66, .width = 256, .positions = 520, .window = 7, .kv_type = type}}) {
      Sequence sequence(shape);
      const int begin = shape.positions - 11;  // windows of the rows begin in different spans
      for (const KernelTable* t : tables_of_this_cpu()) {
        const auto whole = sequence.attend_after_remembering(*t, begin, shape.positions);
        for (int spans_at_once : {1, 2, 3}) {
          const auto parts = sequence.attend_by_spans(*t, begin, shape.positions, spans_at_once);
          EXPECT_EQ(first_difference(parts, whole), -1) << name_of(t->isa) << " " << shape.name();
        }
      }
    }
  }
}

TEST(Attend, HasLongerSpansBeyondTheMostOfTheShortest) {
  EXPECT_EQ(span_positions(0), kSpanPositions);
  constexpr int kFirstLong = kSpanPositions * kMaxSpans;
  EXPECT_EQ(span_positions(kFirstLong - 1), kSpanPositions);
  EXPECT_EQ(span_positions(kFirstLong), 2 * kSpanPositions);
  EXPECT_EQ(span_positions((1 << 30) - 1) * kMaxSpans, 1 << 30);
  const Shape shape = {.group = 2, .width = 16, .positions = kFirstLong + 6};
  Sequence sequence(shape);
  const auto stride = static_cast<size_t>(sequence.row_width());
  const int begin = kFirstLong - 5;
  for (const KernelTable* t : tables_of_this_cpu()) {
    const auto together = sequence.attend_after_remembering(*t, begin, shape.positions);
    for (int row = begin; row < shape.positions; row++) {
      const auto alone = sequence.attend(*t, row, row + 1);
      const float* expected = &together[static_cast<size_t>(row - begin) * stride];
      EXPECT_EQ(first_difference(alone, {expected, stride}), -1) << row;
    }
  }
}

TEST(Attend, FollowsALongContext) {
  const Shape shape = {.group = 2, .width = 16, .positions = 20000, .kv_type = KvType::kF32};
  Sequence sequence(shape, 2.0f);
  const auto out = sequence.attend_after_remembering(best_table(), 19990, 20000);
  for (int row = 0; row < 10; row++) {
    const auto expected = sequence.reference(19990 + row, 1);
    for (size_t e = 0; e < 16; e++) {
      const size_t at = static_cast<size_t>(row * sequence.row_width() + 2 * 16) + e;
      EXPECT_NEAR(out[at], expected[e], 1e-5);
    }
  }
}

}  // namespace
}  // namespace inferno::kernel
