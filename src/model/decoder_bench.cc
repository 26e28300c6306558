// Where the time of a decode step of one stream goes: how much of it the calling thread spends
// outside of kernels, and how many barriers there are at what price.
//
//   us_per_step      a whole step: forward pass and logits
//   kernels_us       of that, inside functions of the kernel table, as the calling thread sees it
//   outside_us_per_layer   the rest: barriers with the wait for the other threads, and the
//                    decoder's own code. Reading the clock around each kernel is in it.
//   barriers         of a step; barrier_us: one barrier around nothing, measured here
//
// The model is the SmolLM2 of the cache, or INFERNO_BENCH_MODEL, a GGUF file. The argument is the
// number of threads.
#include <benchmark/benchmark.h>
#include <immintrin.h>

#include <chrono>
#include <cstdlib>
#include <numeric>

#include "model/decoder.h"
#include "model/model_cache.h"

namespace inferno::model {
namespace {

constexpr int kPositions = 192;  // decoded again and again: no step is deep

const kernel::KernelTable* timed_table = nullptr;
thread_local uint64_t kernel_ticks = 0;

// Replaces a function of `table` by one that calls that of timed_table and adds up the time.
template <auto kFunction, typename Answer, typename... Args>
void time_function(kernel::KernelTable& table, Answer (*kernel::KernelTable::*)(Args...)) {
  table.*kFunction = [](Args... args) -> Answer {
    struct Span {
      uint64_t begin = __rdtsc();
      ~Span() { kernel_ticks += __rdtsc() - begin; }
    };
    const Span span;
    return (timed_table->*kFunction)(args...);
  };
}

kernel::KernelTable with_clocks(const kernel::KernelTable& inner) {
  using Table = kernel::KernelTable;
  timed_table = &inner;
  Table table = inner;
  time_function<&Table::matmul>(table, &Table::matmul);
  time_function<&Table::quantize_rows>(table, &Table::quantize_rows);
  time_function<&Table::attend>(table, &Table::attend);
  time_function<&Table::attend_spans>(table, &Table::attend_spans);
  time_function<&Table::merge_spans>(table, &Table::merge_spans);
  time_function<&Table::store_kv>(table, &Table::store_kv);
  time_function<&Table::rms_norm>(table, &Table::rms_norm);
  time_function<&Table::rope_neox>(table, &Table::rope_neox);
  time_function<&Table::rope_interleaved>(table, &Table::rope_interleaved);
  time_function<&Table::silu_multiply>(table, &Table::silu_multiply);
  time_function<&Table::clamped_swiglu>(table, &Table::clamped_swiglu);
  return table;
}

double microseconds(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

double barrier_us(ThreadPool& pool) {
  constexpr int kCalls = 20000;
  return microseconds([&] {
           for (int i = 0; i < kCalls; ++i)
             pool.parallel_for(pool.size(), 1, [](Range, int) {});
         }) /
         kCalls;
}

std::string model_path() {
  if (const char* path = std::getenv("INFERNO_BENCH_MODEL")) return path;
  return model_cache() / "SmolLM2-135M-Instruct.Q4_1.gguf";
}

void decode(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  auto opened = Checkpoint::open(model_path());
  if (!opened) return state.SkipWithError(opened.error().message.c_str());
  const std::shared_ptr<const Checkpoint> checkpoint = std::move(*opened);
  auto weights = Weights::load(checkpoint, pool, {});
  if (!weights) return state.SkipWithError(weights.error().message.c_str());
  const int page_count = kPositions / kernel::kPagePositions;
  auto store = kv::PageStore::create(Decoder::kv_shape(checkpoint->config(), kernel::KvType::kF16),
                                     page_count);
  const kernel::KernelTable table = with_clocks(kernel::best_table());
  auto decoder =
      Decoder::create({.weights = **weights, .table = table, .pool = pool, .store = *store}, {});
  if (!decoder) return state.SkipWithError(decoder.error().message.c_str());
  std::vector<uint32_t> pages(static_cast<size_t>(page_count));
  std::iota(pages.begin(), pages.end(), 0U);
  std::vector<float> logits(static_cast<size_t>((*decoder)->vocab_size()));
  int position = 0;
  const auto step = [&] {
    const TokenId token = 17 + position;
    const ForwardPiece piece{.tokens = {&token, 1}, .first_position = position, .pages = pages};
    const int row = 0;
    (*decoder)->forward({&piece, 1});
    (*decoder)->logits({&row, 1}, logits.data());
    position = (position + 1) % kPositions;
  };
  step();
  kernel_ticks = 0;
  const int64_t barriers = pool.barrier_count();
  const uint64_t begin_ticks = __rdtsc();
  const double total_us = microseconds([&] {
    for (auto _ : state)
      step();
  });
  const double us_per_tick = total_us / static_cast<double>(__rdtsc() - begin_ticks);
  const auto steps = static_cast<double>(state.iterations());
  const double kernels_us = static_cast<double>(kernel_ticks) * us_per_tick / steps;
  state.counters["us_per_step"] = total_us / steps;
  state.counters["kernels_us"] = kernels_us;
  state.counters["outside_us_per_layer"] =
      (total_us / steps - kernels_us) / checkpoint->config().layer_count;
  state.counters["barriers"] = static_cast<double>(pool.barrier_count() - barriers) / steps;
  state.counters["barrier_us"] = barrier_us(pool);
}

BENCHMARK(decode)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace inferno::model
