// A table of kernels proves itself before it serves: on random tiles, bit for bit, against the
// plain one.
//
// The instructions of the machine at hand may be ones that no machine had on which this program was
// tested; and a processor, a hypervisor or a compiler can be wrong. A table that differs anywhere
// is not used: wrong numbers never reach an answer.
//
// Threads: any; at start, before there is work.
// Cost:    about 0.04 s a table, half of it the plain products.
#pragma once

#include <string>

#include "kernel/kernels.h"

namespace inferno::kernel {

// The name of the first operation in which `candidate` differs from `reference` by a bit ("matmul
// Q4_K", "attend f16"); empty when there is none.
std::string find_difference(const KernelTable& candidate, const KernelTable& reference);

// The best table that this CPU has and that proves itself against the plain one. `warning` gets a
// line for each that did not.
const KernelTable& best_proven_table(std::string& warning);

}  // namespace inferno::kernel
