// The machine as placement sees it: nodes of memory, the cores near each, how far nodes are apart.
//
//   node 0: 64 GiB   cores {0,4} {1,5}        a core is the list of its hardware threads: CPUs 0
//   node 1: 64 GiB   cores {2,6} {3,7}        and 4 share one core's execution units and caches
//
// Read from files as Linux lays them out below /sys/devices/system (Documentation/ABI/stable/
// sysfs-devices-node, sysfs-devices-system-cpu in its sources), and cut down to what this process
// may use: the CPUs of its affinity mask (a control group's cpuset shows there too) and the memory
// nodes its cpuset allows. Numbers of nodes and CPUs are the system's and may have holes; a node
// may have no CPU (memory on an expansion bus) or no memory (an empty socket's slots).
//
// Threads: plain values. Cost: a few files for each CPU, once at start.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace inferno {

// One core: the CPUs (hardware threads) on it that may be used, ascending, never empty.
using Core = std::vector<int>;

struct NumaNode {
  int id = 0;
  size_t memory_bytes = 0;  // 0: it has none, or none that this process may use
  std::vector<Core> cores;  // those with a usable CPU, by their first one
  // To each node of Topology::nodes, in its order, in the firmware's units: 10 is the node itself.
  std::vector<int> distances;

  int cpu_count() const;
};

struct Topology {
  std::vector<NumaNode> nodes;  // by id; never empty

  int cpu_count() const;

  // The node of that id, or null.
  const NumaNode* find(int id) const;
};

// What this process may use.
struct UsablePlaces {
  std::vector<int> cpus;                         // ascending
  std::optional<std::vector<int>> memory_nodes;  // none: not known, all of them

  // sched_getaffinity and get_mempolicy of the calling thread.
  static UsablePlaces of_this_process();
};

// Reads the topology below `root`. A system without node folders is one node with every usable CPU
// and memory_bytes 0. Fails with Fault::kInvalid naming the file when one says what it should not,
// and when none of the usable CPUs is online.
Result<Topology> read_topology(const UsablePlaces& usable,
                               const std::filesystem::path& root = "/sys/devices/system");

// "0-3,8" as 0, 1, 2, 3, 8: the kernel's list format, ascending; "" is the empty list. Fails with
// Fault::kInvalid when it is something else or names a number above 65535.
Result<std::vector<int>> parse_number_list(std::string_view text);

}  // namespace inferno
