// What scheduling costs a step: 256 running and 10,000 waiting requests of 100 clients, no forward
// pass. Ended requests are replaced at once, so the queue stays as long as it is.
//
//   step      next_expired, schedule, page_copies, complete_step, forecast: what every step pays
//   request   add + finish: what every request pays once
//
// The step column is the benchmark's time; request_us is printed beside it.
#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

#include "schedule/scheduler.h"

namespace inferno::schedule {
namespace {

constexpr int kRunning = 256;
constexpr int kWaiting = 10'000;
constexpr int kClients = 100;
constexpr int kPromptTokens = 200;
constexpr int kMeanAnswer = 60;

// Virtual seconds of a step: a model of about a billion parameters on a small server.
double step_seconds(std::span<const ScheduledChunk> chunks) {
  double seconds = 0.03;
  for (const ScheduledChunk& chunk : chunks)
    seconds += chunk.count == 1 ? 0.0005 : 0.0002 * chunk.count;
  return seconds;
}

using SystemTime = std::chrono::steady_clock;

double seconds_since(SystemTime::time_point start) {
  return std::chrono::duration<double>(SystemTime::now() - start).count();
}

// Limits on the length of a step are computed but too wide to bind, so that all places are taken.
SchedulerConfig config_with(Policy policy) {
  SchedulerConfig config;
  config.max_num_seqs = kRunning;
  config.max_num_batched_tokens = 2048;
  config.policy = policy;
  config.max_itl_stretch = 100.0;
  for (ServiceTarget& target : config.targets)
    target.tpot_s = 100.0;
  return config;
}

class Load {
 public:
  explicit Load(Policy policy) : pool_(kRunning * 24), scheduler_(config_with(policy), pool_) {
    while (static_cast<int>(sequences_.size()) < kRunning + kWaiting)
      add();
    for (int i = 0; i < 2000; ++i)  // fills the running ones and teaches the models
      step();
  }

  // Seconds of one step's scheduling.
  double step() {
    const auto start = SystemTime::now();
    benchmark::DoNotOptimize(scheduler_.next_expired(clock_.now()));
    const std::span<const ScheduledChunk> chunks = scheduler_.schedule(clock_.now());
    benchmark::DoNotOptimize(scheduler_.page_copies().data());
    double seconds = seconds_since(start);
    clock_.advance(step_seconds(chunks));
    const auto rest = SystemTime::now();
    scheduler_.complete_step(clock_.now());
    benchmark::DoNotOptimize(scheduler_.forecast(clock_.now()));
    seconds += seconds_since(rest);
    for (const ScheduledChunk& chunk : chunks) {
      if (chunk.yields) take_token(*chunk.sequence);
    }
    return seconds;
  }

  double request_us() const { return request_s_ / static_cast<double>(request_count_) * 1e6; }
  const Scheduler& scheduler() const { return scheduler_; }

 private:
  void add() {
    const uint64_t id = next_id_++;
    SequenceTraits traits;
    traits.client = random_() % kClients;
    if (random_() % 4 != 0) traits.service_class = request::ServiceClass(random_() % 3);
    traits.arrival = clock_.now();
    traits.deadline = after_seconds(clock_.now(), 1e6);
    traits.max_new_tokens = 1 + static_cast<int>(random_() % (2 * kMeanAnswer));
    std::vector<TokenId> prompt;
    for (int i = 0; i < kPromptTokens; ++i)
      prompt.push_back(static_cast<TokenId>(i < 32 ? i : random_() % 50'000));
    auto sequence = std::make_unique<Sequence>(RequestId{id}, std::move(prompt), token::BlockHash{},
                                               kPromptTokens + traits.max_new_tokens, traits);
    const auto start = SystemTime::now();
    scheduler_.add(*sequence, clock_.now());
    request_s_ += seconds_since(start);
    ++request_count_;
    sequences_.emplace(id, std::move(sequence));
  }

  void take_token(Sequence& sequence) {
    sequence.tokens.push_back(1);
    if (sequence.generated_count() < sequence.traits.max_new_tokens) return;
    const auto start = SystemTime::now();
    scheduler_.finish(sequence, clock_.now());
    request_s_ += seconds_since(start);
    sequences_.erase(sequence.id.value);
    add();
  }

  std::mt19937_64 random_{1};
  ManualClock clock_;
  kv::BlockPool pool_;
  Scheduler scheduler_;
  std::unordered_map<uint64_t, std::unique_ptr<Sequence>> sequences_;
  uint64_t next_id_ = 1;
  double request_s_ = 0.0;
  int64_t request_count_ = 0;
};

void run(benchmark::State& state, Policy policy) {
  Load load(policy);
  double worst = 0.0;
  for (auto _ : state) {
    const double seconds = load.step();
    worst = std::max(worst, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["worst_us"] = worst * 1e6;
  state.counters["request_us"] = load.request_us();
  state.counters["running"] = load.scheduler().running_count();
  state.counters["waiting"] = load.scheduler().waiting_count();
  state.counters["preemptions"] = static_cast<double>(load.scheduler().stats().preemption_count);
}

void BM_Fcfs(benchmark::State& state) {
  run(state, Policy::kFcfs);
}
void BM_Priority(benchmark::State& state) {
  run(state, Policy::kPriority);
}
void BM_Slo(benchmark::State& state) {
  run(state, Policy::kSlo);
}
BENCHMARK(BM_Fcfs)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Priority)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Slo)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace inferno::schedule
