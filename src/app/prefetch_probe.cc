#include "app/prefetch_probe.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/check.h"
#include "base/memory.h"

namespace inferno::app {
namespace {

constexpr int kInputs = 2048;
// Of weights: half a millisecond of one thread at most, longer than any hiccup that is worth
// counting, and no more than that, as flushing them takes several times as long.
constexpr size_t kThreadBytes = size_t{4} << 20;
constexpr size_t kMostBytes = size_t{64} << 20;
constexpr int kProbeRounds = 5;
constexpr size_t kLineBytes = 64;

// Flushes that wait for none before them, as those of clflush do: several times as fast.
__attribute__((target("clflushopt"))) void flush_unordered(const uint8_t* at, const uint8_t* end) {
  for (; at < end; at += kLineBytes)
    _mm_clflushopt(const_cast<uint8_t*>(at));
}

void flush_in_order(const uint8_t* at, const uint8_t* end) {
  for (; at < end; at += kLineBytes)
    _mm_clflush(at);
}

// One row of zeros times a matrix of zeros, which take as long as any numbers.
class Trial {
 public:
  Trial(const kernel::KernelTable& table, ThreadPool& pool)
      : table_(table), pool_(pool), q_(kInputs), scale_(kInputs / 256), sum_(kInputs / 16) {
    x_ = {.q = q_.data(),
          .scale = scale_.data(),
          .sum = sum_.data(),
          .rows = 1,
          .k = kInputs,
          .block = 256};
  }

  // False where there is no memory.
  bool prepare() {
    const auto threads = static_cast<size_t>(pool_.size());
    const size_t wanted = std::min(kThreadBytes * threads, kMostBytes);
    if (!kernel::packed_shape(kernel::TensorType::kQ4_K, 16, kInputs, &matrix_)) return false;
    panels_ = static_cast<int>(wanted / matrix_.panel_bytes);
    matrix_.n = panels_ * 16;
    auto weights = Buffer::allocate(kernel::packed_bytes(matrix_), "prefetch measurement");
    auto scratch = Buffer::allocate(kernel::kMatmulScratchBytes * threads, "prefetch measurement");
    if (!weights || !scratch) return false;
    weights_ = std::move(*weights);
    scratch_ = std::move(*scratch);
    matrix_.data = weights_.data();
    y_.resize(static_cast<size_t>(matrix_.n));
    pool_.parallel_for(panels_, 1, [&](Range panels, int) {
      std::fill(weights_.data() + offset(panels.begin), weights_.data() + offset(panels.end),
                uint8_t{0});
    });
    return true;
  }

  double seconds_of(int prefetch_bytes) {
    flush();
    const kernel::MatmulInput input{.floats = nullptr,
                                    .rounded = nullptr,
                                    .quantized = &x_,
                                    .rows = 1,
                                    .prefetch_bytes = prefetch_bytes};
    const auto start = std::chrono::steady_clock::now();
    pool_.parallel_for(panels_, 1, [&](Range panels, int worker) {
      table_.matmul(matrix_, input,
                    {.y = y_.data(),
                     .stride = y_.size(),
                     .panel_begin = panels.begin,
                     .panel_end = panels.end,
                     .accumulate = false},
                    scratch_.data() + static_cast<size_t>(worker) * kernel::kMatmulScratchBytes);
    });
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  size_t offset(int panel) const { return static_cast<size_t>(panel) * matrix_.panel_bytes; }

  // Takes the weights out of all caches.
  void flush() {
    pool_.parallel_for(panels_, 1, [&](Range panels, int) {
      flush_lines_(weights_.data() + offset(panels.begin), weights_.data() + offset(panels.end));
      _mm_mfence();
    });
  }

  const kernel::KernelTable& table_;
  ThreadPool& pool_;
  void (*const flush_lines_)(const uint8_t*, const uint8_t*) = __builtin_cpu_supports("clflushopt")
                                                                   ? flush_unordered
                                                                   : flush_in_order;
  std::vector<int8_t> q_;
  std::vector<float> scale_;
  std::vector<int16_t> sum_;
  kernel::QuantizedRows x_{};
  kernel::PackedMatrix matrix_{};
  int panels_ = 0;
  Buffer weights_;
  Buffer scratch_;
  std::vector<float> y_;
};

const PrefetchTime& fastest(std::span<const PrefetchTime> times) {
  return *std::ranges::min_element(times, {}, &PrefetchTime::seconds);
}

}  // namespace

int choose_prefetch(std::span<const PrefetchTime> times) {
  const auto known = std::ranges::find(times, kernel::kDefaultPrefetchBytes, &PrefetchTime::bytes);
  CHECK(known != times.end(), "the default is not among {} candidates", times.size());
  const PrefetchTime& best = fastest(times);
  return known->seconds > kPrefetchGain * best.seconds ? best.bytes : known->bytes;
}

PrefetchChoice probe_prefetch(const kernel::KernelTable& table, ThreadPool& pool) {
  PrefetchChoice choice;
  Trial trial(table, pool);
  if (table.isa == kernel::Isa::kPlain || !trial.prepare()) return choice;
  for (const int bytes : kPrefetchCandidates) {
    choice.times.push_back({.bytes = bytes, .seconds = std::numeric_limits<double>::infinity()});
  }
  for (int round = 0; round < kProbeRounds; ++round) {
    for (PrefetchTime& time : choice.times)
      time.seconds = std::min(time.seconds, trial.seconds_of(time.bytes));
  }
  choice.chosen_bytes = choose_prefetch(choice.times);
  return choice;
}

std::string describe(const PrefetchChoice& choice) {
  if (choice.times.empty()) return {};
  const double best = fastest(choice.times).seconds;
  std::string text;
  for (const PrefetchTime& time : choice.times) {
    text +=
        fmt::format("{}{}: {:.2f}", text.empty() ? " (" : ", ", time.bytes, time.seconds / best);
  }
  return text + ")";
}

}  // namespace inferno::app
