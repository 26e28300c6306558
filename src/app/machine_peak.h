// What the machine can do at most right now: the denominators of a bench's percentages.
#pragma once

#include "base/thread_pool.h"
#include "kernel/kernels.h"

namespace inferno::app {

struct MachinePeak {
  double read_gb_per_s = 0.0;   // reading memory far larger than the caches' share of a step
  double int8_gop_per_s = 0.0;  // 8-bit products of the instruction set, from registers
};

// Takes about half a second; all threads of the pool work. Zeros when there is no memory to read.
MachinePeak measure_peak(const kernel::KernelTable& table, ThreadPool& pool);

}  // namespace inferno::app
