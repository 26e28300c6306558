// How far ahead of their use a machine wants packed weights fetched (MatmulInput::prefetch_bytes),
// measured at start instead of guessed.
//
// What is measured is the decode of one stream: all threads of the pool multiply one row with a
// Q4_K matrix that is in no cache, because every line of it has been flushed just before; a buffer
// larger than the caches would not do where a server's L3 holds hundreds of MiB. The candidates
// take turns, several times, and each counts with its best time, which is the one that other
// programs disturbed least.
//
// Results never depend on it: a wrong choice costs time, and only where the measurement was wrong
// by more than kPrefetchGain.
//
// Threads: the caller and those of the pool.
// Cost:    some tens of milliseconds, 4 MiB of memory a thread while it runs.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernel/kernels.h"

namespace inferno::app {

// In order. Farther than the last was slower on the machine of which types.h has the figures.
inline constexpr std::array kPrefetchCandidates = {512, 1536, 3072, kernel::kDefaultPrefetchBytes};

// The default gives way to a candidate that takes less than 1 / kPrefetchGain of its time: less is
// within what two measurements of the same distance differ by.
inline constexpr double kPrefetchGain = 1.03;

struct PrefetchTime {
  int bytes = 0;
  double seconds = 0.0;  // the best of several runs
};

struct PrefetchChoice {
  int chosen_bytes = kernel::kDefaultPrefetchBytes;
  std::vector<PrefetchTime> times;  // empty where nothing was measured
};

// The fastest, or kDefaultPrefetchBytes unless that is clearly slower. Requires: the default is
// among `times`.
int choose_prefetch(std::span<const PrefetchTime> times);

// Measures the candidates. The default, unmeasured, for the plain table, which fetches nothing
// ahead, and where there is no memory.
PrefetchChoice probe_prefetch(const kernel::KernelTable& table, ThreadPool& pool);

// " (512: 1.02, 1536: 1.00, ...)", times as multiples of the best; empty where nothing was
// measured.
std::string describe(const PrefetchChoice& choice);

}  // namespace inferno::app
