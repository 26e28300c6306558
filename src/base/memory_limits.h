// How much memory this process can still have, and what sets that bound.
//
// The least of what these leave over is the answer:
//
//   the machine         MemAvailable of /proc/meminfo: free, plus what can be taken back
//   each control group  its limit less its use, for the process's own group and all above it,
//                       version 2 (memory.max, memory.high) and version 1 (limit_in_bytes); file
//                       pages count as use there, but the system takes them back on demand
//   ulimit -v           RLIMIT_AS less the mapped address space (VmSize)
//   ulimit -d           RLIMIT_DATA less private writable memory (VmData)
//
// A number that cannot be read sets no bound: a system without /proc is not one without memory.
//
// Threads: any. Cost: a few small files, some 100 microseconds; not for the step path.
#pragma once

#include <cstddef>
#include <filesystem>
#include <limits>
#include <string>

namespace inferno {

inline constexpr size_t kNoMemoryLimit = std::numeric_limits<size_t>::max();

// Where the numbers come from. Tests write folders of their own.
struct MemorySources {
  std::filesystem::path proc = "/proc";
  std::filesystem::path cgroup = "/sys/fs/cgroup";  // where control groups are mounted
  size_t address_space_limit_bytes = kNoMemoryLimit;
  size_t data_limit_bytes = kNoMemoryLimit;

  // Those of this process: its /proc, its control groups, its resource limits.
  static MemorySources of_this_process();
};

// Bytes that can be had now, and in a few words what leaves no more: "free memory of the machine",
// "memory limit of control group /a/b", "ulimit -v". Without any bound: kNoMemoryLimit and "".
struct AvailableMemory {
  size_t bytes = kNoMemoryLimit;
  std::string bounded_by;
};
AvailableMemory available_memory(const MemorySources& sources = MemorySources::of_this_process());

// available_memory().bytes.
size_t available_memory_bytes();

// Resident set of this process in bytes, now and at its highest; 0 where /proc does not say.
struct ResidentMemory {
  size_t now_bytes = 0;
  size_t peak_bytes = 0;
};
ResidentMemory resident_memory();

}  // namespace inferno
