// Attention: decoding over long contexts in GB/s of keys and values, prefill in FLOP/s.
//
// Arguments: table, query heads per key/value head, head width, positions, rows (1: decoding), KV
// type.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "kernel/kernels.h"

namespace inferno::kernel {
namespace {

struct Shape {
  int group, width, positions, rows;
  KvType kv_type;
};

size_t page_bytes(const Shape& shape) {
  return kv_page_bytes(shape.kv_type, shape.width);
}

struct Cache {
  std::vector<uint8_t> store;
  std::vector<uint32_t> pages;
};

// Pages in random order, as after a while of serving.
Cache fill_cache(const KernelTable& t, const Shape& shape) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  Cache cache;
  cache.pages.resize(static_cast<size_t>(shape.positions / kPagePositions));
  std::iota(cache.pages.begin(), cache.pages.end(), 0u);
  std::shuffle(cache.pages.begin(), cache.pages.end(), generator);
  cache.store.resize(cache.pages.size() * page_bytes(shape));
  std::vector<float> row(static_cast<size_t>(shape.width) * kPagePositions);
  for (float& x : row)
    x = normal(generator);
  for (int p = 0; p < shape.positions; p += kPagePositions) {
    t.store_kv({row.data(), row.data(), static_cast<size_t>(shape.width), kPagePositions, p,
                shape.width, shape.kv_type, cache.store.data(), page_bytes(shape),
                cache.pages.data()});
  }
  return cache;
}

void attend(benchmark::State& state) {
  const KernelTable* t = table(static_cast<Isa>(state.range(0)));
  if (t == nullptr) return state.SkipWithError("this CPU does not have the table");
  const Shape shape = {static_cast<int>(state.range(1)), static_cast<int>(state.range(2)),
                       static_cast<int>(state.range(3)), static_cast<int>(state.range(4)),
                       static_cast<KvType>(state.range(5))};
  const Cache cache = fill_cache(*t, shape);
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
  in.kv_base = cache.store.data();
  in.page_stride = page_bytes(shape);
  in.page_table = cache.pages.data();
  for (auto _ : state) {
    t->attend(in, reinterpret_cast<uint8_t*>(scratch.data()));
    benchmark::DoNotOptimize(out.data());
  }
  const double runs = static_cast<double>(state.iterations());
  const double mean_positions = shape.positions - (shape.rows - 1) / 2.0;
  const double flop = 4.0 * shape.group * shape.width * shape.rows * mean_positions;
  state.SetLabel(name_of(t->isa));
  state.counters["FLOP/s"] = benchmark::Counter(flop * runs, benchmark::Counter::kIsRate);
  state.SetBytesProcessed(static_cast<int64_t>(runs * static_cast<double>(cache.store.size())));
}

void shapes_to_measure(benchmark::internal::Benchmark* bench) {
  for (int64_t isa : {1, 2}) {
    for (int64_t kv_type : {0, 1}) {
      for (int64_t group : {1, 4, 8}) {
        for (int64_t positions : {1024, 65536, 524288}) {
          bench->Args({isa, group, 128, positions, 1, kv_type});
        }
      }
      bench->Args({isa, 3, 64, 65536, 1, kv_type});
      for (int64_t group : {1, 4}) {
        for (int64_t positions : {512, 8192}) {
          bench->Args({isa, group, 128, positions, 512, kv_type});
        }
      }
    }
  }
}

BENCHMARK(attend)->Apply(shapes_to_measure);

}  // namespace
}  // namespace inferno::kernel
