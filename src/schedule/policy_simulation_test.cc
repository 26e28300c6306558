// What the policies do to people: whole loads played through the scheduler in virtual time, with a
// simple cost of steps, and the outcome of each kind of request compared.
//
// Capacity is measured, not assumed: how many requests a second the same mix gets through when all
// of it is there at once. The figures are printed, first-come order beside ours.
#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <vector>

#include "schedule/test_engine.h"

namespace inferno::schedule {
namespace {

using request::ServiceClass;

struct Arrival {
  double at_s = 0.0;
  TestRequest request;
};

struct Mix {
  double interactive_share = 0.7;
  int interactive_prompt = 150, interactive_answer = 30;
  int batch_prompt = 600, batch_answer = 120;
  ServiceClass other_class = ServiceClass::kBatch;  // of those that are not interactive
};

SchedulerConfig simulated_config(Policy policy) {
  SchedulerConfig config;
  config.max_num_seqs = 32;
  config.max_num_batched_tokens = 512;
  config.policy = policy;
  return config;
}

constexpr int kPages = 32 * 60;

// Poisson arrivals of a mix: `per_s` a second for `seconds`.
std::vector<Arrival> poisson(const Mix& mix, double per_s, double seconds, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap(per_s);
  std::uniform_real_distribution<double> share(0.0, 1.0);
  std::uniform_real_distribution<double> spread(0.5, 1.5);
  std::vector<Arrival> arrivals;
  for (double at = gap(random); at < seconds; at += gap(random)) {
    const bool interactive = share(random) < mix.interactive_share;
    TestRequest request;
    request.prompt_tokens = static_cast<int>(
        spread(random) * (interactive ? mix.interactive_prompt : mix.batch_prompt));
    request.answer_tokens = static_cast<int>(
        spread(random) * (interactive ? mix.interactive_answer : mix.batch_answer));
    request.traits.service_class = interactive ? ServiceClass::kInteractive : mix.other_class;
    arrivals.push_back({at, request});
  }
  return arrivals;
}

void play(TestEngine& engine, const std::vector<Arrival>& arrivals) {
  const TimePoint start = engine.now();
  for (const Arrival& arrival : arrivals) {
    engine.run_until(after_seconds(start, arrival.at_s));
    engine.submit(arrival.request);
  }
}

// Requests a second of a mix under saturation.
double capacity_per_s(const Mix& mix) {
  TestEngine engine(simulated_config(Policy::kFcfs), kPages);
  const TimePoint start = engine.now();
  for (const Arrival& arrival : poisson(mix, 1.0, 400.0, 99))
    engine.submit(arrival.request);
  engine.run_until_idle();
  return static_cast<double>(engine.done().size()) / seconds_between(start, engine.now());
}

struct Outcome {
  double interactive_met = 0.0;  // share that met both targets
  int batch_count = 0;
  double batch_worst_s = 0.0;
};

Outcome outcome_of(const TestEngine& engine, const SchedulerConfig& config) {
  Outcome outcome;
  int interactive = 0;
  int met = 0;
  for (const auto& [id, result] : engine.done()) {
    if (result.request.traits.service_class == ServiceClass::kInteractive) {
      ++interactive;
      met += result.ttft_s() <= config.targets[0].ttft_s &&
             result.tpot_s() <= config.targets[0].tpot_s;
    } else {
      ++outcome.batch_count;
      outcome.batch_worst_s =
          std::max(outcome.batch_worst_s, seconds_between(result.arrival, result.end));
    }
  }
  outcome.interactive_met = static_cast<double>(met) / interactive;
  return outcome;
}

TEST(PolicySimulation, InteractiveMeetsItsTargetsWhileBatchAbsorbsAnOverload) {
  const Mix mix;
  const double capacity = capacity_per_s(mix);
  const std::vector<Arrival> arrivals = poisson(mix, 1.2 * capacity, 300.0, 7);
  std::array<Outcome, 2> outcomes;
  for (const Policy policy : {Policy::kSlo, Policy::kFcfs}) {
    const SchedulerConfig config = simulated_config(policy);
    TestEngine engine(config, kPages);
    play(engine, arrivals);
    engine.run_until_idle();
    ASSERT_EQ(engine.done().size(), arrivals.size());
    const Outcome outcome = outcome_of(engine, config);
    std::printf(
        "%-4s  1.2 x %.1f requests/s: interactive within targets %.2f %%, batch all %d done, "
        "slowest %.0f s, %lld preemptions\n",
        std::string(name_of(policy)).c_str(), capacity, 100 * outcome.interactive_met,
        outcome.batch_count, outcome.batch_worst_s,
        static_cast<long long>(engine.scheduler().stats().preemption_count));
    outcomes[policy == Policy::kFcfs] = outcome;
  }
  EXPECT_GT(outcomes[0].interactive_met, 0.99);
  EXPECT_LT(outcomes[1].interactive_met, 0.5) << "first come would have done as well";
}

constexpr Mix kStandardMix{.interactive_share = 0.0, .other_class = ServiceClass::kStandard};

// Tokens served to each of ten clients within a window: nine send a tenth of the capacity each, the
// last `greed` times that.
std::vector<double> tokens_by_client(Policy policy, double greed, double capacity) {
  constexpr int kClients = 10;
  constexpr double kSeconds = 300.0;
  std::vector<Arrival> arrivals;
  for (int client = 0; client < kClients; ++client) {
    const double share = client == kClients - 1 ? greed : 0.95;
    if (share == 0.0) continue;
    for (Arrival arrival : poisson(kStandardMix, share * capacity / kClients, kSeconds,
                                   static_cast<uint64_t>(client) + 1)) {
      arrival.request.traits.client = static_cast<uint64_t>(client);
      arrivals.push_back(arrival);
    }
  }
  std::ranges::sort(arrivals, {}, &Arrival::at_s);
  TestEngine engine(simulated_config(policy), kPages);
  const TimePoint end = after_seconds(engine.now(), kSeconds);
  play(engine, arrivals);
  engine.run_until(end);
  std::vector<double> tokens(kClients);
  for (const auto& [id, result] : engine.done()) {
    tokens[result.request.traits.client] +=
        result.request.prompt_tokens + result.request.answer_tokens;
  }
  return tokens;
}

TEST(PolicySimulation, AGreedyClientTakesNothingFromTheOthers) {
  const double capacity = capacity_per_s(kStandardMix);
  std::array<double, 2> kept{};
  for (const Policy policy : {Policy::kSlo, Policy::kFcfs}) {
    const std::vector<double> without = tokens_by_client(policy, 0.0, capacity);
    const std::vector<double> with = tokens_by_client(policy, 10.0, capacity);
    double before = 0.0;
    double after = 0.0;
    for (size_t client = 0; client < 9; ++client) {
      before += without[client];
      after += with[client];
    }
    std::printf(
        "%-4s  nine clients keep %.1f %% of their throughput beside a tenth that sends ten "
        "times its share\n",
        std::string(name_of(policy)).c_str(), 100 * after / before);
    kept[policy == Policy::kFcfs] = after / before;
  }
  EXPECT_GT(kept[0], 0.95);
  EXPECT_LT(kept[1], 0.8) << "first come would have done as well";
}

// Interactive load above capacity for ever, batch beside it.
struct Starvation {
  int batch_started = 0;
  double longest_wait_s = 0.0;
};

Starvation batch_under_permanent_overload(double ageing_s, uint64_t seed) {
  SchedulerConfig config = simulated_config(Policy::kSlo);
  config.ageing_s = ageing_s;
  // Prefill is not cut for the running streams, so that the bound has few terms.
  config.max_itl_stretch = 0.0;
  for (ServiceTarget& target : config.targets)
    target.tpot_s = kNoTarget;
  const Mix mix{.interactive_share = 1.0};
  const double capacity = capacity_per_s(mix);
  std::vector<Arrival> arrivals = poisson(mix, 1.3 * capacity, 200.0, seed);
  TestEngine engine(config, kPages);
  std::vector<uint64_t> batch;
  for (int i = 0; i < 10; ++i) {
    TestRequest request = request_of(600, 120);
    request.traits.service_class = ServiceClass::kBatch;
    batch.push_back(engine.submit(request));
  }
  // The places fill up before batch can take them.
  for (int i = 0; i < 100; ++i) {
    TestRequest request = request_of(150, 60);
    request.traits.service_class = ServiceClass::kInteractive;
    engine.submit(request);
  }
  play(engine, arrivals);
  Starvation starvation;
  for (const uint64_t id : batch) {
    if (engine.is_live(id)) continue;
    ++starvation.batch_started;
    const TestResult& result = engine.result(id);
    starvation.longest_wait_s =
        std::max(starvation.longest_wait_s, seconds_between(result.arrival, result.end));
  }
  return starvation;
}

TEST(PolicySimulation, AgeingBoundsTheWaitUnderPermanentOverload) {
  constexpr double kAgeing = 20.0;
  const StepCost cost;
  const SchedulerConfig config = simulated_config(Policy::kSlo);
  // The bound of scheduler.h: D the longest step; the prefill of a step is what 31 decoding rows
  // leave; X what 32 running interactive requests of at most 225 + 60 tokens need.
  const int prefill = config.max_num_batched_tokens - config.max_num_seqs;
  const double step_s =
      cost.of({.decode_rows = 32, .decode_reads = 500'000, .prefill_tokens = prefill});
  const double own_s = step_s * (600 / (prefill / config.aged_share) + 1 + 120);
  const double ends_s = step_s * (32 * 225 / prefill + 1 + 60);
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Starvation aged = batch_under_permanent_overload(kAgeing, seed);
    EXPECT_EQ(aged.batch_started, 10) << "seed " << seed;
    const double bound = kAgeing + 10 * (kAgeing + ends_s + own_s) + own_s;
    EXPECT_LT(aged.longest_wait_s, bound) << "seed " << seed;
    const Starvation starved = batch_under_permanent_overload(kNoTarget, seed);
    std::printf(
        "seed %d: with ageing all %d batch requests end within %.0f s (bound %.0f s), "
        "without it %d of 10 end in 200 s\n",
        static_cast<int>(seed), aged.batch_started, aged.longest_wait_s, bound,
        starved.batch_started);
    EXPECT_EQ(starved.batch_started, 0) << "seed " << seed;
  }
}

// Unclassed requests, long and short: nobody says which is which.
double mean_short_ttft_s(Policy policy) {
  SchedulerConfig config = simulated_config(policy);
  config.max_num_seqs = 8;
  TestEngine engine(config, kPages);
  std::vector<uint64_t> shorts;
  for (int i = 0; i < 12; ++i)
    engine.submit(request_of(3000, 1500));
  for (int i = 0; i < 40; ++i) {
    engine.run_until(after_seconds(engine.now(), 2.0));
    shorts.push_back(engine.submit(request_of(50, 10)));
  }
  engine.run_until_idle();
  double sum = 0.0;
  for (const uint64_t id : shorts)
    sum += engine.result(id).ttft_s();
  return sum / static_cast<double>(shorts.size());
}

TEST(PolicySimulation, ShortUnclassedRequestsOvertakeLongOnesWithoutBeingTold) {
  const double slo = mean_short_ttft_s(Policy::kSlo);
  const double fcfs = mean_short_ttft_s(Policy::kFcfs);
  std::printf("mean time to first token of short requests: slo %.2f s, fcfs %.2f s\n", slo, fcfs);
  EXPECT_LT(slo, 2.0);
  EXPECT_GT(fcfs, 5.0);
}

// Streams, and prompts that teach what prefill costs at all depths.
void warm_up(TestEngine& engine, int streams, int prompt_tokens) {
  for (int i = 0; i < streams; ++i)
    engine.submit(request_of(40, 20'000));
  for (int i = 0; i < 5; ++i) {
    const uint64_t id = engine.submit(request_of(prompt_tokens, 1));
    while (engine.is_live(id))
      engine.step();
  }
}

// A model of which a token at position 4,000 costs a quarter of a step: whatever the scheduler
// gives at least, in tokens, is too much.
TEST(PolicySimulation, ADeepPromptOfASmallModelDoesNotStallRunningStreams) {
  StepCost cost;
  cost.prefill_s = 0.0002;
  cost.read_s = 1e-6;
  TestEngine engine(simulated_config(Policy::kSlo), 6000, cost);
  warm_up(engine, 4, 2000);
  std::vector<double> gaps;
  const uint64_t id = engine.submit(request_of(6000, 1));
  while (engine.is_live(id)) {
    const TimePoint before = engine.now();
    engine.step();
    gaps.push_back(seconds_between(before, engine.now()));
  }
  const TimePoint before = engine.now();
  for (int steps = 0; steps < 100; ++steps)
    engine.step();
  const double quiet = seconds_between(before, engine.now()) / 100;
  std::ranges::sort(gaps);
  EXPECT_LT(gaps[gaps.size() * 99 / 100], 2.0 * quiet);
}

constexpr int kLayers = 30;  // that prompts are carried through

SchedulerConfig config_of_layers(int layer_count) {
  SchedulerConfig config = simulated_config(Policy::kSlo);
  config.layer_count = layer_count;
  return config;
}

// A prompt of a small model beside streams: a first prompt token costs a quarter of a step, as
// kernels take rows in blocks, and at position 4,000 each costs an eighth.
struct BesideStreams {
  double p99_stretch = 0.0;  // of the steps it takes, to a step without it
  double slowdown = 0.0;     // of the prompt, to its time alone
};

BesideStreams long_prompt_beside_streams(int layer_count) {
  TestEngine engine(config_of_layers(layer_count), 6000,
                    {.prefill_start_s = 0.002, .prefill_s = 0.0002, .read_s = 2e-7});
  const uint64_t alone = engine.submit(request_of(4000, 1));
  engine.run_until_idle();
  warm_up(engine, 8, 1000);
  const TimePoint begin = engine.now();
  for (int steps = 0; steps < 60; ++steps)
    engine.step();
  const double quiet = seconds_between(begin, engine.now()) / 60;
  std::vector<double> gaps;
  const uint64_t id = engine.submit(request_of(4000, 1));
  while (engine.is_live(id)) {
    const TimePoint before = engine.now();
    engine.step();
    gaps.push_back(seconds_between(before, engine.now()));
  }
  std::ranges::sort(gaps);
  return {.p99_stretch = gaps[gaps.size() * 99 / 100] / quiet,
          .slowdown = engine.result(id).ttft_s() / engine.result(alone).ttft_s()};
}

TEST(PolicySimulation, ALongPromptIsCarriedThroughTheLayersBesideStreams) {
  const BesideStreams whole = long_prompt_beside_streams(1);
  const BesideStreams carried = long_prompt_beside_streams(kLayers);
  std::printf(
      "4,000 tokens beside 8 streams: whole steps stretched %.2f times, %.1f times the "
      "time alone; carried %.2f and %.1f\n",
      whole.p99_stretch, whole.slowdown, carried.p99_stretch, carried.slowdown);
  EXPECT_LT(carried.p99_stretch, 1.7);
  EXPECT_LT(carried.slowdown, 3.4);  // at best 3: a third of the time is the prompt's
  EXPECT_LT(carried.slowdown, 0.8 * whole.slowdown);
}

// A short request that comes while another's tokens are carried waits for a few steps only.
TEST(PolicySimulation, ARequestWaitsForWhatIsCarriedForSomeStepsOnly) {
  TestEngine engine(config_of_layers(kLayers), 6000, {.prefill_s = 0.0002, .read_s = 1e-6});
  warm_up(engine, 8, 2000);
  engine.submit(request_of(4000, 1));
  for (int i = 0; i < 20; ++i) {
    for (int steps = 0; steps < 11 * i; ++steps)
      engine.step();
    TestRequest urgent = request_of(20, 1);
    urgent.traits.service_class = ServiceClass::kInteractive;
    const uint64_t id = engine.submit(urgent);
    int steps = 0;
    while (engine.is_live(id)) {
      engine.step();
      ++steps;
    }
    EXPECT_LE(steps, 2 * kLayers) << "round " << i;
  }
}

// A more urgent one does not wait for it, and does not share its own way with it. However many such
// come, the long prompt gets on.
TEST(PolicySimulation, UrgentRequestsGoBeforeWhatIsCarriedAndItGetsOn) {
  TestEngine engine(config_of_layers(kLayers), 6000, {.prefill_s = 0.0002, .read_s = 1e-6});
  warm_up(engine, 8, 2000);
  const uint64_t carried = engine.submit(request_of(1000, 1));
  while (engine.sequence(carried).carried_count == 0)
    engine.step();
  TestRequest urgent = request_of(8, 1);
  urgent.traits.service_class = ServiceClass::kInteractive;
  const uint64_t first = engine.submit(urgent);
  int steps = 0;
  for (; engine.is_live(first); ++steps)
    engine.step();
  std::printf("an urgent request beside a carried prompt: %d steps\n", steps);
  EXPECT_LE(steps, kLayers / 2);
  ASSERT_TRUE(engine.is_live(carried));
  for (int i = 0; engine.is_live(carried); ++i) {
    ASSERT_LT(i, 4000);
    engine.submit(urgent);
    for (int step = 0; step < 3; ++step)
      engine.step();
  }
}

// An aged prompt so deep that one of its tokens is all that a step has room for: others have their
// turn all the same.
TEST(PolicySimulation, ADeepAgedPromptLeavesPrefillToOthers) {
  SchedulerConfig config = simulated_config(Policy::kSlo);
  config.ageing_s = 1.0;
  StepCost cost;
  cost.prefill_s = 0.0002;
  cost.read_s = 2e-6;
  TestEngine engine(config, 6000, cost);
  warm_up(engine, 1, 2000);
  TestRequest batch = request_of(12'000, 1);
  batch.traits.service_class = request::ServiceClass::kBatch;
  const uint64_t aged = engine.submit(batch);
  while (engine.is_live(aged) && engine.sequence(aged).computed < 9000)
    engine.step();
  ASSERT_TRUE(engine.is_live(aged));
  TestRequest urgent = request_of(100, 1);
  urgent.traits.service_class = request::ServiceClass::kInteractive;
  const uint64_t id = engine.submit(urgent);
  while (engine.is_live(id))
    engine.step();
  EXPECT_TRUE(engine.is_live(aged));
  EXPECT_LT(engine.result(id).ttft_s(), 2.0);
}

// A long prompt beside running streams.
TEST(PolicySimulation, ALongPromptDoesNotStallRunningStreams) {
  StepCost cost;
  cost.prefill_s = 0.0002;
  TestEngine engine(simulated_config(Policy::kSlo), kPages, cost);
  for (int i = 0; i < 16; ++i)
    engine.submit(request_of(40, 4000));
  for (int i = 0; i < 5; ++i) {  // teaches what prefill costs
    engine.submit(request_of(800, 1));
    for (int steps = 0; steps < 60; ++steps)
      engine.step();
  }
  std::vector<double> gaps;
  std::vector<double> quiet;
  const uint64_t id = engine.submit(request_of(4000, 1));
  while (engine.is_live(id)) {
    const TimePoint before = engine.now();
    engine.step();
    gaps.push_back(seconds_between(before, engine.now()));
  }
  for (int steps = 0; steps < 100; ++steps) {
    const TimePoint before = engine.now();
    engine.step();
    quiet.push_back(seconds_between(before, engine.now()));
  }
  std::ranges::sort(gaps);
  std::ranges::sort(quiet);
  const double p99 = gaps[gaps.size() * 99 / 100];
  const double median = quiet[quiet.size() / 2];
  EXPECT_LT(p99, 1.6 * median);
  EXPECT_LT(gaps.size(), 4000u / 24) << "the limit is not made use of";
}

}  // namespace
}  // namespace inferno::schedule
