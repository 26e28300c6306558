// What the engine tells of itself: under vLLM's names where it has one (labels model_name and
// engine), else under inferno: (label model_name).
//
// The scheduler and the pool count for themselves; after each step the differences are added here.
//
// Threads: written by the engine thread, read by whoever scrapes.
// Cost:    some sixty relaxed atomic operations a step.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "kv/block_pool.h"
#include "schedule/scheduler.h"

namespace inferno::engine {

// When the parts of one step ended.
struct StepTimes {
  TimePoint begin;
  TimePoint scheduled;
  TimePoint computed;  // the forward pass
  TimePoint sampled;   // logits and sampling
  TimePoint emitted;
  TimePoint guessed;  // what comes next
};

class EngineMetrics {
 public:
  // The registry outlives this object.
  EngineMetrics(MetricRegistry& registry, const std::string& model_name);

  // Records the state after a step (or after the last request left).
  void record_state(const schedule::Scheduler& scheduler, const kv::BlockPool& pool);

  // Records a step that computed `tokens` tokens.
  void record_batch(int tokens) { iteration_tokens_.observe(tokens); }
  void record_step(const StepTimes& times);

  // Makes the metrics of speculation, for at most `most` drafts of a sequence in a step: an engine
  // that never speculates does not show them.
  void expect_drafts(int most);
  // Records that a sequence computed drafts in a step, of which the first `accepted` were what was
  // chosen. Requires: expect_drafts(), drafts >= 1.
  void record_drafts(int drafts, int accepted);

  // Records how many pages a draft model holds. Does nothing before expect_drafts().
  void record_draft_pages(int pages);

  // A client could not be told how its request ended: there was no memory for the words.
  void count_lost_event() { lost_events_.add(); }

 private:
  // A counter that follows a count kept elsewhere.
  struct Followed {
    Counter& counter;
    double seen = 0.0;
    void follow(double now) {
      if (now == seen) return;
      counter.add(now - seen);
      seen = now;
    }
    void follow(int64_t now) { follow(static_cast<double>(now)); }
  };

  // Of one service class.
  struct ClassMetrics {
    Followed admitted;
    Followed wait_seconds;
    Followed ttft_misses;
    Followed tpot_misses;
  };

  // Makes metrics of one model in one registry.
  class Maker;

  // This model's part of a gauge that two engines of one name share while one replaces the other:
  // together they show the sum, and one that ends leaves nothing behind.
  class Part {
   public:
    explicit Part(Gauge& gauge) : gauge_(gauge) {}
    ~Part() { set(0.0); }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    void set(double value) {
      if (value == seen_) return;
      gauge_.add(value - seen_);
      seen_ = value;
    }

   private:
    Gauge& gauge_;
    double seen_ = 0.0;
  };

  explicit EngineMetrics(const Maker& make);
  void make_families(const Maker& make);
  void record_pool(const kv::BlockPool& pool);
  void record_classes(const schedule::SchedulerStats& now);

  Part running_;
  Part waiting_;
  Part waiting_for_capacity_;
  Part waiting_deferred_;
  Gauge& kv_usage_;
  Part pages_in_use_;
  Part pages_named_;
  Part pages_idle_;
  Part pages_free_;
  Followed prefix_queries_;
  Followed prefix_hits_;
  Followed preemptions_;
  Followed evictions_;
  Followed evicted_again_;
  Followed block_hits_;
  Followed block_misses_;
  Histogram& iteration_tokens_;

  std::vector<Followed> hits_by_cause_;         // by kv::HitCause
  std::vector<Followed> preemptions_by_cause_;  // memory, slack, feedback, lane
  std::vector<ClassMetrics> classes_;           // by request::ServiceClass
  Followed deferred_;
  Followed forks_;
  Followed tail_copies_;
  Followed promotions_;
  Followed restricted_steps_;
  Gauge& fairness_spread_;
  Gauge& step_time_error_;
  Gauge& output_length_error_;
  Gauge& predicted_step_seconds_;
  Counter& steps_;
  Counter& lost_events_;
  std::array<Counter*, 5> step_seconds_{};  // schedule, forward, sample, emit, draft

  MetricRegistry& registry_;
  std::string model_name_;
  Counter* drafts_ = nullptr;  // null until expect_drafts(), as are the next two
  Counter* draft_tokens_ = nullptr;
  Counter* accepted_tokens_ = nullptr;
  std::optional<Part> draft_pages_;
  std::vector<Counter*> accepted_by_position_;
};

}  // namespace inferno::engine
