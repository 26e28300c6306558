// Who holds the large memory of this process, in bytes, now and at the highest.
//
//   MemoryAccount& account = process_memory().account("KV cache");
//   account.add(bytes);        // Buffer does this (base/memory.h)
//   account.subtract(bytes);   // and this when it is given back
//
// An owner is a short name in a reader's words ("weights", "KV cache", "activations"); all buffers
// of one name share one account. What is still held when everything should have been given back is
// a leak: still_held() names it.
//
// There is one tracker for the process, process_memory(), because memory is the process's: two
// engines in it compete for the same bytes. A test makes a tracker of its own.
//
// Invariant: the sum of now_bytes over all owners is total().now_bytes when nobody is in the middle
//            of an allocation; a peak is never below a value that `now` had.
// Threads:   any. Accounts are relaxed atomics; finding an account by name takes a lock.
// Cost:      four relaxed atomic operations an allocation, besides the lookup.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace inferno {

class MetricRegistry;

// What one owner, or all of them together, hold.
struct MemoryUse {
  std::string owner;
  size_t now_bytes = 0;
  size_t peak_bytes = 0;          // the highest now_bytes has been
  size_t block_count = 0;         // allocations held now
  uint64_t allocation_count = 0;  // allocations ever made
};

// Bytes and their high-water mark. Peaks of one account are exact; that of a total is too, because
// it is an account of its own.
class MemoryAccount {
 public:
  // Counts one allocation of `bytes`.
  void add(size_t bytes);

  // Takes back what one add(bytes) counted. Requires: there was one.
  void subtract(size_t bytes);

  // `owner` is left empty.
  MemoryUse use() const;

 private:
  friend class MemoryTracker;
  void add_here(size_t bytes);

  MemoryAccount* total_ = nullptr;
  std::atomic<size_t> now_bytes_{0};
  std::atomic<size_t> peak_bytes_{0};
  std::atomic<size_t> block_count_{0};
  std::atomic<uint64_t> allocation_count_{0};
};

class MemoryTracker {
 public:
  MemoryTracker() = default;
  MemoryTracker(const MemoryTracker&) = delete;
  MemoryTracker& operator=(const MemoryTracker&) = delete;

  // The account of that owner, made when it is asked for first; valid as long as the tracker.
  MemoryAccount& account(std::string_view owner);

  // All owners ever seen, in the order of their first allocation.
  std::vector<MemoryUse> by_owner() const;

  // All owners together; the peak is the highest sum, not the sum of peaks. Its owner is "total".
  MemoryUse total() const;

  // Owners that hold memory now. Asked for when everything should have been given back, this is
  // the list of leaks.
  std::vector<MemoryUse> still_held() const;

 private:
  struct Entry {
    std::string owner;
    MemoryAccount account;
  };

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Entry>> entries_;  // guarded by mutex_; entries never move or go
  MemoryAccount total_;
};

// The tracker in which every Buffer of this process is counted. It is never destroyed, so buffers
// of static objects may outlive main().
MemoryTracker& process_memory();

// Writes one line for each owner that still holds memory to `out`, nothing when none does; returns
// how many did. To be called at shutdown, after engines and models are gone.
size_t report_leaks(const MemoryTracker& tracker, std::FILE* out);

// Sets the gauges inferno:memory_bytes{owner} and inferno:memory_peak_bytes{owner}, one pair for
// each owner. Whoever answers a scrape calls it just before MetricRegistry::exposition().
void publish_memory(const MemoryTracker& tracker, MetricRegistry& registry);

}  // namespace inferno
