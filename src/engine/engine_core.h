// The step loop without its thread: everything the engine knows, and one step at a time.
//
//   start, cancel -> step: end what expired -> schedule -> copy pages -> forward -> logits
//                          -> sample -> emit -> guess what comes next
//
// Speculation is exact: a row behind a draft is sampled only when the draft is what was sampled,
// from the same logits, state and random numbers as if it had been computed in a step of its own,
// and its token is told in an event of its own. Whatever is guessed, the events are the same.
//
// The engine (engine.h) drives it on a thread of its own; a simulation drives it with a clock and a
// model that only pretend, as fast as it can.
//
// Invariant: every started request gets exactly one last event.
// Threads:   belongs to one thread at a time; events are called on it.
// Cost:      besides the forward pass, a step costs microseconds a sequence; it takes nothing from
//            the heap but what leaves with an event: texts longer than a word, alternatives that
//            logprobs asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "engine/engine_metrics.h"
#include "engine/speculation_config.h"
#include "kernel/kernels.h"
#include "kv/block_pool.h"
#include "model/forward_pass.h"
#include "request/generator.h"
#include "sample/sampler.h"
#include "schedule/scheduler.h"
#include "token/tokenizer.h"

namespace inferno::engine {

struct ActiveRequest;

struct CoreConfig {
  schedule::SchedulerConfig scheduler;
  kv::EvictionPolicyKind eviction = kv::EvictionPolicyKind::kLru;
  int max_model_len = 0;  // prompt plus answer, in tokens; at most what the pool holds
  int kv_page_count = 0;
  SpeculationConfig speculation{};
};

class EngineCore {
 public:
  // What it stands on; all of it outlives the core.
  struct Parts {
    model::ForwardPass& model;
    const token::Tokenizer& tokenizer;
    const kernel::KernelTable& table;
    ThreadPool& pool;
    EngineMetrics& metrics;
    const Clock& clock;
    DraftProposer* proposer = nullptr;  // null: what the configuration's method says
  };

  // Requires: max_model_len >= 2 and kv_page_count pages hold it; a proposer is there when guesses
  // are to come from a draft model.
  EngineCore(const Parts& parts, const CoreConfig& config);
  ~EngineCore();
  EngineCore(const EngineCore&) = delete;
  EngineCore& operator=(const EngineCore&) = delete;

  // Takes a request into the queue. False when there is no memory for it: its only event says so
  // (kOverloaded), and it is not among finished_clients(). Requires: it passed the checks of
  // Generator::submit().
  bool start(request::Request request, std::shared_ptr<request::EventSink> sink);

  // Ends a request now, in whatever state it is. Unknown ids are ignored.
  void cancel(RequestId id);
  void cancel_all();

  // Nothing waits and nothing runs.
  bool idle() const { return active_.empty(); }
  int active_count() const { return static_cast<int>(active_.size()); }

  // Runs one step. Does nothing when idle.
  void step();

  // The clients of the started requests that ended since forget_finished_clients(), one entry each.
  std::span<const std::string> finished_clients() const { return finished_clients_; }
  void forget_finished_clients() { finished_clients_.clear(); }

  schedule::LoadForecast forecast() const { return scheduler_.forecast(parts_.clock.now()); }
  const schedule::Scheduler& scheduler() const { return scheduler_; }
  const kv::BlockPool& pages() const { return pages_; }
  void publish_gauges();

 private:
  // A row of the step's batch whose logits are wanted: they score a prompt token, or choose the
  // next, or the one after the first `drafts_before` drafts.
  struct LogitRow {
    int row = 0;
    int chunk = 0;
    int drafts_before = 0;
    std::optional<int> prompt_index = std::nullopt;
  };

  void add_request(request::Request request, const std::shared_ptr<request::EventSink>& sink);
  void end_expired();
  void copy_pages();
  void forward_chunks(TimePoint now);
  void collect_logit_rows();
  void collect_prompt_rows(int chunk_index, int first_row);
  void compute_logits_and_sample();
  void find_runs(std::span<const LogitRow> group);
  void sample_row(const LogitRow& want, int slot, int worker);
  void choose(const LogitRow& want, std::span<float> logits, sample::Sampler& sampler);
  void emit_chunks();
  void emit(ActiveRequest& active);
  void accept_token(ActiveRequest& active, request::TokenOutput& output,
                    request::TokenEvent& event);
  void judge_drafts(ActiveRequest& active, int computed_drafts);
  void want_guesses(ActiveRequest& active);
  void guess_next();
  void spell_prompt(std::vector<request::TokenOutput>& outputs) const;
  void finish_request(ActiveRequest& active, request::TokenEvent event);
  void tell_last(request::EventSink& sink, request::TokenEvent event);

  Parts parts_;
  CoreConfig config_;
  std::unique_ptr<DraftProposer> own_proposer_;  // when none was given
  kv::BlockPool pages_;
  schedule::Scheduler scheduler_;
  std::vector<sample::Sampler> samplers_;  // one a worker
  std::vector<float> logits_;              // [max_logit_rows, V]
  std::unordered_map<RequestId, std::unique_ptr<ActiveRequest>> active_;
  std::span<const schedule::ScheduledChunk> chunks_;
  std::vector<model::ForwardPiece> pieces_;
  std::vector<LogitRow> wanted_;
  std::vector<int> row_indices_;
  std::vector<Range> runs_;  // rows of a group that are sampled one after the other
  int most_drafts_ = 0;      // of a sequence in a step
  std::vector<schedule::DraftCandidate> guessable_;  // sequences that guesses are wanted for
  std::vector<DraftJob> draft_jobs_;
  std::vector<std::string> finished_clients_;
  std::mt19937_64 seeds_{std::random_device{}()};
};

}  // namespace inferno::engine
