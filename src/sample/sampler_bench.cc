// Choosing tokens from 32 rows of 151,936 logits, the way an engine step does: rows spread over the
// threads of a pool, time per step. The argument is the number of threads.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <vector>

#include "base/thread_pool.h"
#include "sample/sampler.h"

namespace inferno::sample {
namespace {

constexpr int kRows = 32;
constexpr int kVocabulary = 151'936;  // Qwen 2.5's

// Rows shaped like a language model's: most logits far below a few that stand out.
std::vector<float> make_rows() {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0.0f, 2.5f);
  std::vector<float> rows(static_cast<size_t>(kRows) * kVocabulary);
  for (float& x : rows)
    x = normal(generator);
  for (size_t row = 0; row < kRows; row++) {
    for (size_t i = 0; i < 20; i++)
      rows[row * kVocabulary + generator() % kVocabulary] += 12.0f;
  }
  return rows;
}

// Sampling may overwrite rows: steps take turns on a few copies, as fresh logits would be, and each
// copy is restored out of time.
void run(benchmark::State& state, const request::SamplingParams& params) {
  const std::vector<float> rows = make_rows();
  std::vector<float> scratch = rows;
  ThreadPool pool(static_cast<int>(state.range(0)));
  std::vector<Sampler> samplers;
  for (int worker = 0; worker < pool.size(); worker++)
    samplers.emplace_back(kernel::best_table(), kVocabulary);
  const SamplingState sampling(params, {}, {});
  int position = 0;
  const auto restore = [&](Range range, int) {
    std::copy(rows.begin() + range.begin * int64_t{kVocabulary},
              rows.begin() + range.end * int64_t{kVocabulary},
              scratch.begin() + range.begin * int64_t{kVocabulary});
  };
  const auto sample = [&](Range range, int worker) {
    for (int row = range.begin; row < range.end; row++) {
      const auto begin = static_cast<size_t>(row) * kVocabulary;
      benchmark::DoNotOptimize(samplers[static_cast<size_t>(worker)].sample(
          std::span<float>(scratch).subspan(begin, kVocabulary), sampling, position + row));
    }
  };
  for (auto _ : state) {
    state.PauseTiming();
    pool.parallel_for(kRows, 1, restore);
    state.ResumeTiming();
    pool.parallel_for(kRows, 1, sample);
    position += kRows;
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(rows.size()) * 4);
}

request::SamplingParams params_of(float temperature, int top_k, float top_p, float min_p) {
  request::SamplingParams params;
  params.temperature = temperature;
  params.top_k = top_k;
  params.top_p = top_p;
  params.min_p = min_p;
  params.seed = 1;
  return params;
}

void greedy(benchmark::State& state) {
  run(state, params_of(0.0f, 0, 1.0f, 0.0f));
}
void whole_distribution(benchmark::State& state) {
  run(state, params_of(1.0f, 0, 1.0f, 0.0f));
}
void top_k(benchmark::State& state) {
  run(state, params_of(0.7f, 50, 1.0f, 0.0f));
}
void top_p_of_few(benchmark::State& state) {
  run(state, params_of(0.7f, 0, 0.9f, 0.0f));
}
void top_p_of_many(benchmark::State& state) {
  run(state, params_of(3.0f, 0, 0.9f, 0.0f));
}
void top_k_and_top_p(benchmark::State& state) {
  run(state, params_of(0.7f, 20, 0.8f, 0.0f));
}
void top_k_top_p_and_min_p(benchmark::State& state) {
  run(state, params_of(0.7f, 50, 0.9f, 0.05f));
}
void min_p(benchmark::State& state) {
  run(state, params_of(1.0f, 0, 1.0f, 0.1f));
}

void greedy_with_logprobs(benchmark::State& state) {
  request::SamplingParams params = params_of(0.0f, 0, 1.0f, 0.0f);
  params.logprobs = 5;
  run(state, params);
}

void top_k_and_top_p_with_logprobs(benchmark::State& state) {
  request::SamplingParams params = params_of(0.7f, 20, 0.8f, 0.0f);
  params.logprobs = 5;
  run(state, params);
}

void one_and_two_threads(benchmark::internal::Benchmark* bench) {
  bench->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
}

BENCHMARK(greedy)->Apply(one_and_two_threads);
BENCHMARK(whole_distribution)->Apply(one_and_two_threads);
BENCHMARK(top_k)->Apply(one_and_two_threads);
BENCHMARK(top_p_of_few)->Apply(one_and_two_threads);
BENCHMARK(top_p_of_many)->Apply(one_and_two_threads);
BENCHMARK(top_k_and_top_p)->Apply(one_and_two_threads);
BENCHMARK(top_k_top_p_and_min_p)->Apply(one_and_two_threads);
BENCHMARK(min_p)->Apply(one_and_two_threads);
BENCHMARK(greedy_with_logprobs)->Apply(one_and_two_threads);
BENCHMARK(top_k_and_top_p_with_logprobs)->Apply(one_and_two_threads);

}  // namespace
}  // namespace inferno::sample
