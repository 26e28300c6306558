// The signals of a server: SIGTERM and SIGINT end it, SIGHUP has it read its configuration anew.
//
//   before set_ready()   SIGTERM, SIGINT   the process ends at once, exit code 130
//   after                the first one     next() says kStop
//                        a second one      the process ends at once, exit code 130
//   SIGHUP               next() says kReload, once for several that come together; it is kept until
//                        somebody asks
//
// Threads: made by the main thread before any other runs; set_ready() and next() are the main
//          thread's.
#pragma once

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>

namespace inferno::app {

class ServerSignals {
 public:
  enum class Wish : uint8_t { kStop, kReload };

  // Blocks the signals for this thread and all it starts later, and starts a thread that waits for
  // them. That thread ends with the process: the object must live as long.
  ServerSignals();

  void set_ready() { is_ready_.store(true); }

  // Waits for the next wish; a stop comes before a reload.
  Wish next();

 private:
  void watch();

  sigset_t set_{};
  std::atomic<bool> is_ready_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wants_stop_ = false;    // guarded by mutex_
  bool wants_reload_ = false;  // guarded by mutex_
};

}  // namespace inferno::app
