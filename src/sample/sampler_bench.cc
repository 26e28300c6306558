// Choosing tokens from 32 rows of 150,000 logits, the way an engine step does: time per step of one
// thread.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "sample/sampler.h"

namespace inferno::sample {
namespace {

constexpr int kRows = 32;
constexpr int kVocabulary = 150'000;

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

// Steps begin with a fresh copy of the rows where sampling overwrites them; the copy is not timed.
void run(benchmark::State& state, const request::SamplingParams& params) {
  const std::vector<float> rows = make_rows();
  std::vector<float> scratch = rows;
  Sampler sampler(kernel::best_table(), kVocabulary);
  const SamplingState sampling(params, {}, {});
  int position = 0;
  for (auto _ : state) {
    if (!sampling.is_greedy()) {
      state.PauseTiming();
      scratch = rows;
      state.ResumeTiming();
    }
    for (size_t row = 0; row < kRows; row++) {
      const std::span<float> logits(&scratch[row * kVocabulary], kVocabulary);
      benchmark::DoNotOptimize(sampler.sample(logits, sampling, position++));
    }
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

BENCHMARK(greedy)->Unit(benchmark::kMillisecond);
BENCHMARK(whole_distribution)->Unit(benchmark::kMillisecond);
BENCHMARK(top_k)->Unit(benchmark::kMillisecond);
BENCHMARK(top_p_of_few)->Unit(benchmark::kMillisecond);
BENCHMARK(top_p_of_many)->Unit(benchmark::kMillisecond);
BENCHMARK(top_k_and_top_p)->Unit(benchmark::kMillisecond);
BENCHMARK(min_p)->Unit(benchmark::kMillisecond);
BENCHMARK(greedy_with_logprobs)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace inferno::sample
