// The end of models: entries are shared by the requests that run on them, and the last to let go
// may be the very engine thread that an entry owns. So the reaper destroys, nobody else.
//
//   last shared_ptr goes (any thread) --> queue --> reaper thread: ~ModelEntry, then its engine
//
// Between burials the thread does the housekeeping it was given, once a period.
//
// Invariant: an entry counts in live_bytes() from adopt() until it is destroyed.
// Threads:   every method may be called from any thread but the destructor, which must not run on
//            the reaper's own. Housekeeping runs on the reaper's thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "serve/model_entry.h"

namespace inferno::serve {

class ModelReaper {
 public:
  struct Housekeeping {
    std::function<void()> work;  // none: nothing but burials
    std::chrono::milliseconds period{1000};
  };

  explicit ModelReaper(Housekeeping housekeeping);

  // Waits until every adopted entry has been let go and destroyed.
  ~ModelReaper();
  ModelReaper(const ModelReaper&) = delete;
  ModelReaper& operator=(const ModelReaper&) = delete;

  // Shares the entry. Whoever lets go last returns at once.
  EntryPtr adopt(std::unique_ptr<ModelEntry> entry);

  // Of all adopted entries that are not destroyed yet.
  size_t live_bytes() const;
  size_t live_count() const;

  // Waits until an entry is destroyed, or for `patience`.
  void wait_for_burial(std::chrono::milliseconds patience);

 private:
  void work();

  Housekeeping housekeeping_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<ModelEntry>> dead_;  // guarded by mutex_, as all below
  size_t live_bytes_ = 0;
  size_t live_count_ = 0;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace inferno::serve
