// For tests: how often this program took memory from the heap, counted by the global operator new
// that allocation_counter_test.cc replaces.
//
// Threads: any.
#pragma once

#include <cstdint>

namespace inferno::engine {

// Calls of operator new since the program began, on all threads.
int64_t heap_allocation_count();

}  // namespace inferno::engine
