// Attention on one thread, beside what this CPU can do at most: decoding over long contexts, and
// prefill.
//
//   GB/s     bytes of keys and values read per second        read%  of reading memory in a row
//   FLOP/s   4 * pairs * positions * head width per second   fma%   of float fma on registers
//
// Arguments: table, query heads per key/value head, head width, positions, rows (1: decoding), KV
// type. The peaks are measured before the first benchmark. When decoding, calls take turns over the
// heads of a store that no cache holds, as the layers of a model do.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "base/memory.h"
#include "kernel/kernels.h"

namespace inferno::kernel {
namespace {

constexpr size_t kUncachedBytes = size_t{300} << 20;  // beyond the L3 of most server cores

struct Shape {
  int group, width, positions, rows;
  KvType kv_type;

  size_t page_bytes() const { return kv_page_bytes(kv_type, width); }
  size_t pages() const { return static_cast<size_t>(positions / kPagePositions); }
  size_t head_bytes() const { return page_bytes() * pages(); }
  size_t heads() const { return rows > 1 ? 8 : std::max<size_t>(8, kUncachedBytes / head_bytes()); }
};

// Time this thread had on a CPU: other processes do not count.
double seconds_now() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Work per second of the best of several runs; run() returns the work it did.
template <typename Run>
double best_rate(Run run) {
  double best = 0;
  for (int attempt = 0; attempt < 6; ++attempt) {
    const double begin = seconds_now();
    const double work = run();
    best = std::max(best, work / (seconds_now() - begin));
  }
  return best;
}

struct Peak {
  double read = 0;  // bytes per second
  double fma = 0;   // float operations per second; 0: not known
};

const Peak& peak_of(const KernelTable& t) {
  static std::map<Isa, Peak> peaks;
  const auto [found, fresh] = peaks.try_emplace(t.isa);
  Peak& peak = found->second;
  if (!fresh) return peak;
  auto bytes = Buffer::allocate(kUncachedBytes, "bench");
  if (!bytes) return peak;
  std::memset(bytes->data(), 1, kUncachedBytes);
  peak.read = best_rate([&] {
    uint64_t sum = t.read_stream(bytes->data(), kUncachedBytes);
    benchmark::DoNotOptimize(sum);
    return static_cast<double>(kUncachedBytes);
  });
  if (t.isa == Isa::kAvx2 || t.isa == Isa::kAvx512) {  // bf16 is multiplied with float fma there
    peak.fma = best_rate([&] {
      float sink = 0.0f;
      const uint64_t operations = t.bf16_products(1'000'000, &sink);
      benchmark::DoNotOptimize(sink);
      return static_cast<double>(operations);
    });
  }
  return peak;
}

// Pages in random order, as after a while of serving; each holds all heads side by side.
struct Cache {
  Buffer store;
  std::vector<uint32_t> pages;
  size_t stride = 0;
};

Cache fill_cache(const KernelTable& t, const Shape& shape) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  Cache cache;
  cache.pages.resize(shape.pages());
  std::iota(cache.pages.begin(), cache.pages.end(), 0U);
  std::shuffle(cache.pages.begin(), cache.pages.end(), generator);
  cache.stride = shape.page_bytes() * shape.heads();
  auto store = Buffer::allocate(cache.stride * shape.pages(), "bench");
  if (!store) return cache;
  cache.store = std::move(*store);
  const auto width = static_cast<size_t>(shape.width);
  std::vector<float> row(width * kPagePositions);
  for (float& x : row)
    x = normal(generator);
  for (size_t head = 0; head < shape.heads(); ++head) {
    for (int p = 0; p < shape.positions; p += kPagePositions) {
      t.store_kv({row.data(), row.data(), width, kPagePositions, p, shape.width, shape.kv_type,
                  cache.store.data() + head * shape.page_bytes(), cache.stride,
                  cache.pages.data()});
    }
  }
  return cache;
}

void attend(benchmark::State& state) {
  const KernelTable* t = table(static_cast<Isa>(state.range(0)));
  if (t == nullptr) return state.SkipWithError("this CPU does not have the table");
  const Shape shape = {static_cast<int>(state.range(1)), static_cast<int>(state.range(2)),
                       static_cast<int>(state.range(3)), static_cast<int>(state.range(4)),
                       static_cast<KvType>(state.range(5))};
  const Peak& peak = peak_of(*t);
  const Cache cache = fill_cache(*t, shape);
  if (cache.store.size() == 0) return state.SkipWithError("there is not enough memory");
  const size_t stride = static_cast<size_t>(shape.group * shape.width);
  std::vector<float> q(stride * static_cast<size_t>(shape.rows), 0.1f), out(q.size());
  std::vector<float> scratch(kAttentionScratchBytes / sizeof(float));
  AttentionInput in{};
  in.q = q.data();
  in.out = out.data();
  in.q_row_stride = in.out_row_stride = stride;
  in.rows = shape.rows;
  in.first_position = shape.positions - shape.rows;
  in.group = shape.group;
  in.head_width = shape.width;
  in.scale = 0.1f;
  in.kv_type = shape.kv_type;
  in.page_stride = cache.stride;
  in.page_table = cache.pages.data();
  size_t head = 0;
  const double begin = seconds_now();
  for (auto _ : state) {
    in.kv_base = cache.store.data() + head * shape.page_bytes();
    head = (head + 1) % shape.heads();
    t->attend(in, reinterpret_cast<uint8_t*>(scratch.data()));
    benchmark::DoNotOptimize(out.data());
  }
  const double seconds = seconds_now() - begin;
  const double runs = static_cast<double>(state.iterations());
  const double mean_positions = shape.positions - (shape.rows - 1) / 2.0;
  const double flop = 4.0 * shape.group * shape.width * shape.rows * mean_positions * runs;
  const double bytes = static_cast<double>(shape.head_bytes()) * runs;
  state.SetLabel(std::string(name_of(t->isa)) + " " + name_of(shape.kv_type));
  state.counters["FLOP/s"] = flop / seconds;
  if (peak.fma > 0) state.counters["fma%"] = 100 * flop / seconds / peak.fma;
  if (shape.rows == 1) {
    state.counters["B/s"] = bytes / seconds;
    state.counters["read%"] = 100 * bytes / seconds / peak.read;
  }
}

// Groups and widths of SmolLM2 (3 of 64), the Llama 1B shape (4 of 64), Qwen2.5 1.5B (6 of 128) and
// gemma3 270M (4 of 256).
void shapes_to_measure(benchmark::internal::Benchmark* bench) {
  constexpr struct {
    int64_t group, width;
  } kShapes[] = {{3, 64}, {4, 64}, {6, 128}, {4, 256}};
  for (int64_t isa : {1, 2}) {
    for (int64_t kv_type : {0, 1, 2, 3}) {
      for (const auto& shape : kShapes) {
        for (int64_t positions : {512, 4096, 8192}) {
          for (int64_t rows : {1, 2, 4, 8, 16, 64, 512})
            bench->Args({isa, shape.group, shape.width, positions, rows, kv_type});
        }
      }
    }
  }
}

BENCHMARK(attend)->Apply(shapes_to_measure);

}  // namespace
}  // namespace inferno::kernel
