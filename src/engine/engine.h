// The engine: one thread that turns requests into tokens, step by step (engine_core.h is the loop).
//
//   submit, cancel (any thread) --commands--> engine thread: take commands -> step -> again
//                               <--forecast--                 after every step
//
// When nothing is to be done the thread sleeps on the command queue. A cancelled request is gone
// before the next step. What cannot be served in time is refused when it is submitted, from the
// forecast of the last step; the queue is bounded. Events are called on the engine thread.
//
// Threads: submit(), cancel(), next_id(), healthy() from any thread; the rest is the
//          engine thread's.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/engine_core.h"

namespace inferno::engine {

struct EngineConfig {
  CoreConfig core;
  int max_queued = 4096;  // requests taken but not finished; more are refused as overloaded
  // Seconds that an idle engine waits for companions of the first request, so that they share its
  // first step; it starts at once when max_num_seqs are there.
  double batch_timeout_s = 0.0;
};

class Engine final : public request::Generator {
 public:
  // Starts the engine thread, which is worker 0 of the pool from now on. All parts outlive it.
  // Requires: what EngineCore's constructor requires.
  Engine(const EngineCore::Parts& parts, const EngineConfig& config);

  // Cancels what still runs and stops the thread.
  ~Engine() override;

  RequestId next_id() override { return {next_id_.fetch_add(1, std::memory_order_relaxed)}; }
  Result<void> submit(request::Request request, std::shared_ptr<request::EventSink> sink) override;
  void cancel(RequestId id) override;
  int max_model_len() const override { return config_.core.max_model_len; }
  bool healthy() const override;

 private:
  struct Submission {
    request::Request request;
    std::shared_ptr<request::EventSink> sink;
    std::string client;
  };
  // A submission, or else the request to cancel.
  struct Command {
    std::unique_ptr<Submission> submission;
    RequestId cancelled{};
  };

  Result<void> check(const request::Request& request) const;
  Result<void> admit(const request::Request& request) const;
  Result<void> check_deadline(const request::Request& request) const;
  Result<void> check_share(const std::string& client) const;
  void run();
  bool take_commands();
  void wait_for_commands(std::unique_lock<std::mutex>& lock);
  void carry_out();
  void forget_request_of(const std::string& client);

  EngineCore::Parts parts_;
  EngineConfig config_;
  EngineCore core_;  // the engine thread's

  std::atomic<uint64_t> next_id_{1};
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Command> commands_;                 // guarded by mutex_
  schedule::LoadForecast forecast_;               // guarded by mutex_
  int unfinished_ = 0;                            // guarded by mutex_: submitted and not finished
  std::unordered_map<std::string, int> clients_;  // guarded by mutex_: unfinished_ by client
  bool is_stopping_ = false;                      // guarded by mutex_
  std::vector<Command> taken_;                    // the engine thread's
  std::thread thread_;
};

}  // namespace inferno::engine
