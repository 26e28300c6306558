#include "serve/work_queue.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>

#include "base/check.h"

namespace inferno::serve {

struct WorkQueue::State {
  explicit State(size_t max) : max_waiting(max) {}

  const size_t max_waiting;
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::deque<std::function<void()>> waiting;
  bool is_stopping = false;
};

WorkQueue::WorkQueue(int thread_count, size_t max_waiting)
    : state_(std::make_shared<State>(max_waiting)) {
  CHECK(thread_count >= 1, "a work queue of {} threads", thread_count);
  threads_.reserve(static_cast<size_t>(thread_count));
  for (int i = 0; i < thread_count; ++i) {
    threads_.emplace_back([state = state_] { work(state); });
  }
}

WorkQueue::~WorkQueue() {
  stop();
}

void WorkQueue::stop() {
  {
    std::lock_guard lock(state_->mutex);
    state_->is_stopping = true;
  }
  state_->changed.notify_all();
  for (std::thread& thread : threads_) {
    // A task of ours let go of the queue: its thread ends when the task does.
    if (thread.get_id() == std::this_thread::get_id()) {
      thread.detach();
    } else {
      thread.join();
    }
  }
  threads_.clear();
}

bool WorkQueue::try_post(std::function<void()> task) {
  {
    std::lock_guard lock(state_->mutex);
    if (state_->is_stopping || state_->waiting.size() >= state_->max_waiting) return false;
    state_->waiting.push_back(std::move(task));
  }
  state_->changed.notify_one();
  return true;
}

void WorkQueue::work(const std::shared_ptr<State>& state) {
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(state->mutex);
      state->changed.wait(lock, [&] { return state->is_stopping || !state->waiting.empty(); });
      if (state->waiting.empty()) return;
      task = std::move(state->waiting.front());
      state->waiting.pop_front();
    }
    try {
      task();
    } catch (const std::exception&) {
      // What the task held is let go; its client is answered by the responder's end.
    }
  }
}

}  // namespace inferno::serve
