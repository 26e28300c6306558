// Threads for work that would hold up the streams of an I/O thread: long texts, shared answers.
//
//   try_post(task) --> waiting, at most max_waiting --> a thread runs it
//              `-----> false: too much waits, the caller says so to its client
//
// Invariant: a task that was taken runs once, or is dropped when the queue stops.
// Threads:   every method may be called from any thread; tasks of one queue run side by side when
//            it has more than one thread. The last hold on a queue may be let go by one of its
//            tasks.
// Cost:      a lock and a wake-up a task.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace inferno::serve {

class WorkQueue {
 public:
  // Starts the threads. Throws std::system_error when the system gives none.
  // Requires: thread_count >= 1.
  WorkQueue(int thread_count, size_t max_waiting);

  // Stops.
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  // Queues a task; false, and the task is not kept, when max_waiting tasks wait already or the
  // queue has stopped. An exception of a task is dropped with the task.
  bool try_post(std::function<void()> task);

  // Takes no more tasks, and returns when those it has taken have ended, but for one that calls
  // this itself. Call from one thread; later calls do nothing.
  void stop();

 private:
  struct State;
  static void work(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
  std::vector<std::thread> threads_;
};

}  // namespace inferno::serve
