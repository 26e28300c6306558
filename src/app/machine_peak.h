// What the machine can do right now: the denominators of a bench's percentages.
//
// Means, not the best of some: a bench's own figures are means of a second or more, and where other
// programs share the machine its best moment is twice its mean. What is compared is measured beside
// each other, and the same way.
#pragma once

#include "base/thread_pool.h"
#include "kernel/kernels.h"

namespace inferno::app {

struct MachinePeak {
  double read_gb_per_s = 0.0;   // reading memory far larger than the caches' share of a step
  double int8_gop_per_s = 0.0;  // 8-bit products of the instruction set, from registers
};

// Takes about half a second; all threads of the pool work, reading and multiplying in turn. Zeros
// when there is no memory to read.
MachinePeak measure_peak(const kernel::KernelTable& table, ThreadPool& pool);

}  // namespace inferno::app
