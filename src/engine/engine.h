// The engine: one thread that owns every sequence, page and batch, and turns requests into tokens,
// step by step.
//
//   submit, cancel (any thread) --commands--> engine thread:
//     take commands -> schedule -> forward -> logits -> sample -> emit -> again
//
// When nothing is to be done the thread sleeps on the command queue. A cancelled request is gone
// before the next step. Events are called on the engine thread.
//
// Threads: submit(), cancel(), next_id(), healthy() from any thread; the rest is the
//          engine thread's.
// Cost:    besides the forward pass, a step costs microseconds a sequence.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "base/thread_pool.h"
#include "engine/engine_metrics.h"
#include "kernel/kernels.h"
#include "kv/block_pool.h"
#include "model/forward_pass.h"
#include "request/generator.h"
#include "sample/sampler.h"
#include "schedule/scheduler.h"
#include "token/tokenizer.h"

namespace inferno::engine {

struct ActiveRequest;

struct EngineConfig {
  schedule::SchedulerConfig scheduler;
  int max_model_len = 0;  // prompt plus answer, in tokens; at most what the pool holds
  int kv_page_count = 0;
  int max_queued = 4096;  // requests taken but not finished; more are refused as overloaded
};

class Engine final : public request::Generator {
 public:
  // What an engine stands on; all of it outlives the engine.
  struct Parts {
    model::ForwardPass& model;
    const token::Tokenizer& tokenizer;
    const kernel::KernelTable& table;
    ThreadPool& pool;
    EngineMetrics& metrics;
  };

  // Starts the engine thread, which is worker 0 of the pool from now on.
  // Requires: max_model_len >= 2 and kv_page_count pages hold it.
  Engine(const Parts& parts, const EngineConfig& config);

  // Cancels what still runs and stops the thread.
  ~Engine() override;

  RequestId next_id() override { return {next_id_.fetch_add(1, std::memory_order_relaxed)}; }
  Result<void> submit(request::Request request, std::shared_ptr<request::EventSink> sink) override;
  void cancel(RequestId id) override;
  int max_model_len() const override { return config_.max_model_len; }
  bool healthy() const override { return !stopping_.load(std::memory_order_relaxed); }

 private:
  struct Submission {
    request::Request request;
    std::shared_ptr<request::EventSink> sink;
  };
  // A submission, or else the request to cancel.
  struct Command {
    std::unique_ptr<Submission> submission;
    RequestId cancelled{};
  };

  // A row of the step's batch whose logits are wanted, and for what.
  struct LogitRow {
    int row = 0;
    int chunk = 0;
    int prompt_index =
        -1;  // >= 0: scores prompt token prompt_index; else it chooses the next token
  };

  void run();
  bool take_commands();
  void start_request(Submission submission);
  void cancel_request(RequestId id);
  void step();
  void forward_chunks();
  void collect_logit_rows();
  void compute_logits_and_sample();
  void sample_row(const LogitRow& want, int slot, int worker);
  void emit_chunk(const schedule::ScheduledChunk& chunk);
  void accept_token(ActiveRequest& active, request::TokenEvent& event);
  void finish_request(ActiveRequest& active, request::TokenEvent event);
  void publish_gauges();

  Parts parts_;
  EngineConfig config_;
  kv::BlockPool pages_;
  schedule::Scheduler scheduler_;
  std::vector<sample::Sampler> samplers_;  // one a worker
  std::vector<float> logits_;              // [max_logit_rows, V]
  std::unordered_map<RequestId, std::unique_ptr<ActiveRequest>> active_;
  std::span<const schedule::ScheduledChunk> chunks_;
  std::vector<model::ForwardPiece> pieces_;
  std::vector<LogitRow> wanted_;
  std::vector<int> row_indices_;
  std::vector<Command> taken_;
  std::mt19937_64 seeds_{std::random_device{}()};

  std::atomic<uint64_t> next_id_{1};
  std::atomic<int> queued_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Command> commands_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace inferno::engine
