// An engine without a model, for tests and benches of the scheduler: every step takes the time that
// a simple cost says, every answer has the length its request says.
//
//   TestEngine engine(config, pages);
//   engine.submit(request_of(100, 20));
//   while (!engine.idle()) engine.step();
//   engine.done();     // who had its tokens when
//
// Time is virtual: a step moves it on by its cost, and nothing else does but wait_until().
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "schedule/scheduler.h"

namespace inferno::schedule {

// When the clock of a test begins.
inline const TimePoint kStart = ManualClock().now();

// `count` tokens that begin with `first` and count up: prompts of different `first` share nothing.
inline std::vector<TokenId> counting_tokens(int first, int count) {
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i)
    tokens.push_back(first + i);
  return tokens;
}

inline std::unique_ptr<Sequence> make_sequence(uint64_t id, std::vector<TokenId> prompt,
                                               const SequenceTraits& traits = {},
                                               token::BlockHash root = {}) {
  const int most = static_cast<int>(prompt.size()) + std::max(traits.max_new_tokens, 1);
  return std::make_unique<Sequence>(RequestId{id}, std::move(prompt), root, most, traits);
}

// Seconds: per step, per decoding sequence, per step with prompt tokens, per prompt token, per
// position read.
struct StepCost {
  double step_s = 0.004;
  double row_s = 0.0005;
  double prefill_start_s = 0.0;
  double prefill_s = 0.0005;
  double read_s = 1e-8;

  double of(const StepFeatures& features) const {
    const double prefill = (features.prefill_tokens > 0 ? prefill_start_s : 0.0) +
                           prefill_s * features.prefill_tokens +
                           read_s * static_cast<double>(features.prefill_reads);
    return step_s + row_s * features.decode_rows +
           read_s * static_cast<double>(features.decode_reads) + features.prefill_share * prefill;
  }
};

struct TestRequest {
  int prompt_tokens = 1;
  int answer_tokens = 1;
  SequenceTraits traits{};  // arrival and max_new_tokens are filled in
  int first_token = -1;     // of its prompt; -1: shares nothing with others
};

inline TestRequest request_of(int prompt_tokens, int answer_tokens) {
  TestRequest request;
  request.prompt_tokens = prompt_tokens;
  request.answer_tokens = answer_tokens;
  return request;
}

struct TestResult {
  TestRequest request;
  TimePoint arrival{};
  TimePoint first_token{};
  TimePoint end{};
  int preemption_count = 0;

  double ttft_s() const { return seconds_between(arrival, first_token); }
  double tpot_s() const {
    return seconds_between(first_token, end) / std::max(1, request.answer_tokens - 1);
  }
};

class TestEngine {
 public:
  TestEngine(const SchedulerConfig& config, int pages, const StepCost& cost = {})
      : cost_(cost), layer_count_(config.layer_count), pool_(pages), scheduler_(config, pool_) {}

  // Adds a request that arrives now, and returns its id.
  uint64_t submit(TestRequest request) {
    const uint64_t id = next_id_++;
    request.traits.arrival = clock_.now();
    request.traits.max_new_tokens = request.answer_tokens;
    const int first =
        request.first_token >= 0 ? request.first_token : static_cast<int>(id) * 100'000;
    Entry entry{.sequence = make_sequence(id, counting_tokens(first, request.prompt_tokens),
                                          request.traits),
                .result = {}};
    entry.result.request = request;
    entry.result.arrival = clock_.now();
    scheduler_.add(*entry.sequence, clock_.now());
    live_.emplace(id, std::move(entry));
    return id;
  }

  // Plans and "runs" one step; the longest answers end with it.
  void step() {
    const std::span<const ScheduledChunk> chunks = scheduler_.schedule(clock_.now());
    ASSERT_FALSE(chunks.empty());
    StepFeatures features;
    for (const ScheduledChunk& chunk : chunks) {
      const int64_t reads = positions_read(chunk.first, chunk.count);
      features.decode_rows += chunk.is_decode() ? 1 : 0;
      features.decode_reads += chunk.is_decode() ? reads : 0;
      features.prefill_tokens += chunk.is_decode() ? 0 : chunk.count;
      features.prefill_reads += chunk.is_decode() ? 0 : reads;
      if (!chunk.is_decode()) {
        features.prefill_share =
            static_cast<double>(chunk.layers.end - chunk.layers.begin) / layer_count_;
      }
      computed_tokens_ += chunk.is_unfinished ? 0 : chunk.count;
    }
    clock_.advance(cost_.of(features));
    last_features_ = features;
    scheduler_.complete_step(clock_.now());
    for (const ScheduledChunk& chunk : chunks) {
      if (chunk.yields) take_token(*chunk.sequence);
    }
  }

  // Steps until `time`, or sleeps until then when there is nothing to do.
  void run_until(TimePoint time) {
    while (clock_.now() < time) {
      if (scheduler_.idle()) {
        clock_.advance(seconds_between(clock_.now(), time));
      } else {
        step();
      }
    }
  }

  void run_until_idle() {
    while (!scheduler_.idle())
      step();
  }

  // Ends a live request before its time.
  void cancel(uint64_t id) {
    scheduler_.finish(*live_.at(id).sequence, clock_.now());
    live_.erase(id);
  }

  bool is_live(uint64_t id) const { return live_.contains(id); }
  Sequence& sequence(uint64_t id) { return *live_.at(id).sequence; }
  const TestResult& result(uint64_t id) const { return done_.at(id); }
  const std::map<uint64_t, TestResult>& done() const { return done_; }
  size_t live_count() const { return live_.size(); }
  bool idle() const { return scheduler_.idle(); }
  int64_t computed_tokens() const { return computed_tokens_; }
  const StepFeatures& last_features() const { return last_features_; }
  TimePoint now() const { return clock_.now(); }
  ManualClock& clock() { return clock_; }
  Scheduler& scheduler() { return scheduler_; }
  kv::BlockPool& pool() { return pool_; }

 private:
  struct Entry {
    std::unique_ptr<Sequence> sequence;
    TestResult result;
  };

  void take_token(Sequence& sequence) {
    const uint64_t id = sequence.id.value;
    Entry& entry = live_.at(id);
    sequence.tokens.push_back(static_cast<TokenId>(id));
    if (sequence.generated_count() == 1) entry.result.first_token = clock_.now();
    if (sequence.generated_count() < entry.result.request.answer_tokens) return;
    entry.result.end = clock_.now();
    entry.result.preemption_count = sequence.preemption_count;
    scheduler_.finish(sequence, clock_.now());
    done_.emplace(id, entry.result);
    live_.erase(id);
  }

  StepCost cost_;
  int layer_count_;
  ManualClock clock_;
  kv::BlockPool pool_;
  Scheduler scheduler_;
  std::map<uint64_t, Entry> live_;
  std::map<uint64_t, TestResult> done_;
  StepFeatures last_features_;
  int64_t computed_tokens_ = 0;
  uint64_t next_id_ = 1;
};

}  // namespace inferno::schedule
