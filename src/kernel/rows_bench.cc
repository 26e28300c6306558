// Row kernels in GB/s of what they read and write, per table; rows that fit in the cache and logits
// that do not.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "kernel/kernels.h"

namespace inferno::kernel {
namespace {

// Runs f(table, x, y, count) on two rows of `count` floats, of which it moves `moved` floats per
// element.
template <typename Function>
void measure(benchmark::State& state, int moved, Function f) {
  const KernelTable* t = table(static_cast<Isa>(state.range(0)));
  if (t == nullptr) return state.SkipWithError("this CPU does not have the table");
  const int count = static_cast<int>(state.range(1));
  std::vector<float> x(static_cast<size_t>(count), 0.5f), y(x);
  for (int i = 0; i < count; i++)
    x[static_cast<size_t>(i)] = static_cast<float>(i % 17) * 0.1f;
  for (auto _ : state) {
    std::copy(x.begin(), x.end(), y.begin());  // else y would shrink to subnormals, run after run
    f(*t, x.data(), y.data(), count);
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  state.SetLabel(name_of(t->isa));
  state.SetBytesProcessed(state.iterations() * moved * count * 4);
}

void rms_norm(benchmark::State& state) {
  measure(state, 2,
          [](const KernelTable& t, float* x, float* y, int n) { t.rms_norm(x, x, 1e-5f, n, y); });
}

void add(benchmark::State& state) {
  measure(state, 3, [](const KernelTable& t, float* x, float* y, int n) { t.add(y, x, n); });
}

void silu_multiply(benchmark::State& state) {
  measure(state, 3,
          [](const KernelTable& t, float* x, float* y, int n) { t.silu_multiply(y, x, n); });
}

void gelu_tanh_multiply(benchmark::State& state) {
  measure(state, 3,
          [](const KernelTable& t, float* x, float* y, int n) { t.gelu_tanh_multiply(y, x, n); });
}

void clamped_swiglu(benchmark::State& state) {
  measure(state, 3, [](const KernelTable& t, float* x, float* y, int n) {
    t.clamped_swiglu(y, x, n, {1.702f, 7.0f});
  });
}

void argmax(benchmark::State& state) {
  measure(state, 1, [](const KernelTable& t, float* x, float* y, int n) {
    int index;
    t.argmax(x, n, &index, y);
  });
}

void block_maxima(benchmark::State& state) {
  measure(state, 1,
          [](const KernelTable& t, float* x, float* y, int n) { t.block_maxima(x, n, y); });
}

void sum_exp(benchmark::State& state) {
  measure(state, 1,
          [](const KernelTable& t, float* x, float* y, int n) { *y = t.sum_exp(x, n, 1.6f); });
}

void rows_and_logits(benchmark::internal::Benchmark* bench) {
  for (int64_t isa : {0, 1, 2}) {
    for (int64_t count : {4096, 150000})
      bench->Args({isa, count});
  }
}

BENCHMARK(rms_norm)->Apply(rows_and_logits);
BENCHMARK(add)->Apply(rows_and_logits);
BENCHMARK(silu_multiply)->Apply(rows_and_logits);
BENCHMARK(gelu_tanh_multiply)->Apply(rows_and_logits);
BENCHMARK(clamped_swiglu)->Apply(rows_and_logits);
BENCHMARK(argmax)->Apply(rows_and_logits);
BENCHMARK(block_maxima)->Apply(rows_and_logits);
BENCHMARK(sum_exp)->Apply(rows_and_logits);

}  // namespace
}  // namespace inferno::kernel
