// The staging pool: time to take and give back a block, and what a day of traffic leaves of it.
//
// The day replays a trace of conversations (azure_2023_conv.csv, one hour, 24 times over) in
// virtual time: every request holds one layer's keys and values of its prompt, 1 KiB a token
// (2 heads of 128 in f16), until its answer is written at 50 ms a token. Counters, over all
// arrivals:
//   fragmentation    1 - largest free block / free bytes
//   unusable_1MiB    share of the free bytes in blocks too small for 1 MiB, and so for 16 MiB
//   internal_waste   share of bytes in use that nobody asked for
//   refused          share of requests for which there was no block
//   at_end           fragmentation when the last answer is written
// Argument: capacity in MiB. The trace is sought in $INFERNO_TRACES, or else ../shared/traces.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "base/staging_pool.h"

namespace inferno {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// A pool of 1 GiB in which blocks of 4 KiB to 4 MiB come and go until about half is in use.
struct BusyPool {
  BusyPool() : pool(*StagingPool::create(1024 * kMiB, "bench")) {
    std::mt19937 random(1);
    while (pool.use().in_use_bytes < 600 * kMiB) {
      auto block = pool.acquire(4096 + random() % (4 * kMiB));
      if (!block) break;
      held.push_back(std::move(*block));
    }
    std::shuffle(held.begin(), held.end(), random);
    held.resize(held.size() * 5 / 6);
  }
  StagingPool pool;
  std::vector<StagingBlock> held;
};

// Argument: bytes. One acquire and one release in a pool where others hold half.
void acquire_and_release(benchmark::State& state) {
  BusyPool busy;
  const auto bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    auto block = busy.pool.acquire(bytes);
    benchmark::DoNotOptimize(block);
  }
}
BENCHMARK(acquire_and_release)->Arg(4096)->Arg(1 << 20)->Arg((1 << 20) + 1)->Arg(16 << 20);

struct Request {
  double arrival_s = 0.0;
  size_t prompt_tokens = 0;
  size_t answer_tokens = 0;
};

std::vector<Request> read_trace() {
  const char* named = std::getenv("INFERNO_TRACES");
  const std::filesystem::path folder = named != nullptr ? named : "../shared/traces";
  std::ifstream file(folder / "azure_2023_conv.csv");
  std::vector<Request> requests;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    int day = 0, hour = 0, minute = 0;
    double second = 0.0;
    Request request;
    if (std::sscanf(line.c_str(), "%*d-%*d-%d %d:%d:%lf,%zu,%zu", &day, &hour, &minute, &second,
                    &request.prompt_tokens, &request.answer_tokens) != 6) {
      continue;
    }
    request.arrival_s = ((day * 24 + hour) * 60 + minute) * 60 + second;
    requests.push_back(request);
  }
  for (size_t i = requests.size(); i-- > 0;)
    requests[i].arrival_s -= requests.front().arrival_s;
  return requests;
}

// A block that is given back at a time.
struct Lease {
  double end_s;
  size_t slot;
  bool operator>(const Lease& other) const { return end_s > other.end_s; }
};

// Plays requests against a pool and adds up what it looks like at each arrival.
class Day {
 public:
  explicit Day(size_t capacity_bytes) : pool_(*StagingPool::create(capacity_bytes, "bench")) {}

  void arrive(double now_s, const Request& request) {
    finish_until(now_s);
    ++arrivals_;
    if (auto block = pool_.acquire(request.prompt_tokens * 1024)) {
      if (free_slots_.empty()) {
        free_slots_.push_back(blocks_.size());
        blocks_.emplace_back();
      }
      const size_t slot = free_slots_.back();
      free_slots_.pop_back();
      blocks_[slot] = std::move(*block);
      leases_.push({now_s + static_cast<double>(request.answer_tokens) * 0.05, slot});
    }
    const StagingUse use = pool_.use();
    fragmentation_ += use.fragmentation();
    worst_ = std::max(worst_, use.fragmentation());
    unusable_1mib_ += pool_.unusable_share(kMiB);
    unusable_16mib_ += pool_.unusable_share(16 * kMiB);
    waste_ += use.internal_waste();
    in_use_ += static_cast<double>(use.in_use_bytes) / static_cast<double>(use.capacity_bytes);
  }

  void finish_until(double now_s) {
    while (!leases_.empty() && leases_.top().end_s <= now_s) {
      blocks_[leases_.top().slot] = StagingBlock();
      free_slots_.push_back(leases_.top().slot);
      leases_.pop();
    }
  }

  void report(benchmark::State& state) const {
    const auto percent = [&](double sum) { return 100.0 * sum / static_cast<double>(arrivals_); };
    state.counters["requests"] = static_cast<double>(arrivals_);
    state.counters["in_use_%"] = percent(in_use_);
    state.counters["fragmentation_%"] = percent(fragmentation_);
    state.counters["worst_%"] = 100.0 * worst_;
    state.counters["unusable_1MiB_%"] = percent(unusable_1mib_);
    state.counters["unusable_16MiB_%"] = percent(unusable_16mib_);
    state.counters["internal_waste_%"] = percent(waste_);
    state.counters["refused_%"] = percent(static_cast<double>(pool_.use().refused_count));
    state.counters["at_end_%"] = 100.0 * pool_.use().fragmentation();
  }

 private:
  StagingPool pool_;
  std::vector<StagingBlock> blocks_;
  std::vector<size_t> free_slots_;
  std::priority_queue<Lease, std::vector<Lease>, std::greater<>> leases_;
  size_t arrivals_ = 0;
  double fragmentation_ = 0.0, worst_ = 0.0, unusable_1mib_ = 0.0, unusable_16mib_ = 0.0;
  double waste_ = 0.0, in_use_ = 0.0;
};

void day_of_conversations(benchmark::State& state) {
  const std::vector<Request> trace = read_trace();
  if (trace.empty()) {
    state.SkipWithError("no azure_2023_conv.csv in $INFERNO_TRACES or ../shared/traces");
    return;
  }
  constexpr double kHour = 3600.0;
  std::optional<Day> day;
  for (auto _ : state) {
    day.emplace(static_cast<size_t>(state.range(0)) * kMiB);
    for (int hour = 0; hour < 24; ++hour) {
      for (const Request& request : trace)
        day->arrive(hour * kHour + request.arrival_s, request);
    }
    day->finish_until(26 * kHour);
  }
  day->report(state);
}
BENCHMARK(day_of_conversations)
    ->Arg(64)
    ->Arg(128)
    ->Arg(256)
    ->Arg(1024)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace inferno
