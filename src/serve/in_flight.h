// How many requests are being answered, so that a server that drains knows when it is done.
//
// A request's Lease is held by whatever may still answer it (holding() in serve/model_entry.h).
//
// Threads: every method may be called from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

namespace inferno::serve {

class InFlight {
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    size_t count = 0;  // guarded by mutex
  };

 public:
  // Counts as one request for as long as it lives; may outlive the counter.
  class Lease {
   public:
    explicit Lease(std::shared_ptr<State> state) : state_(std::move(state)) {
      const std::lock_guard lock(state_->mutex);
      ++state_->count;
    }
    ~Lease() {
      const std::lock_guard lock(state_->mutex);
      if (--state_->count == 0) state_->changed.notify_all();
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

   private:
    std::shared_ptr<State> state_;
  };

  std::shared_ptr<Lease> take() const { return std::make_shared<Lease>(state_); }

  size_t count() const {
    const std::lock_guard lock(state_->mutex);
    return state_->count;
  }

  // Waits until nothing is in flight, or for `patience`. Returns whether nothing is.
  bool wait_until_none(std::chrono::milliseconds patience) const {
    std::unique_lock lock(state_->mutex);
    return state_->changed.wait_for(lock, patience, [this] { return state_->count == 0; });
  }

 private:
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace inferno::serve
