// Which CPU each compute thread is pinned to, and which nodes' memory it reads.
//
//   auto placement = plan_placement(*topology, threads, *parse_numa_policy("auto"));
//   set_memory_placement(placement->memory);     // base/memory.h: every Buffer from then on
//   pool.pin_workers(placement->worker_cpus);    // base/thread_pool.h
//
// Why: a step reads all weights once. Memory of another socket comes at about half the rate, so
// either threads and weights share one node, or, when one node has too few cores, the weights lie
// page by page over the nodes whose cores are at work and every memory channel is used.
//
// The plan is arithmetic on a Topology; the two calls that change anything stand behind
// PlacementCalls, so that tests can look at plans for machines they do not have.
//
// Threads: values. Cost: once at start.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/topology.h"

namespace inferno {

// What the option --numa asks for.
struct NumaPolicy {
  enum class Kind : uint8_t {
    kOff,         // nothing is pinned or placed: the system moves threads as it likes
    kAuto,        // one node when the threads fit on its cores, else interleave; on a machine with
                  // one node: as off
    kInterleave,  // threads and memory over all nodes
    kNode,        // threads and memory on one node
  };
  Kind kind = Kind::kOff;
  int node = 0;  // for kNode
};

// "off", "auto", "interleave" or "node:N". Fails with Fault::kInvalid naming the value.
Result<NumaPolicy> parse_numa_policy(std::string_view text);

// Where the pages of large memory come from. A full node is never a failure: pages then come from
// the nearest node that has some.
struct MemoryPlacement {
  enum class Mode : uint8_t {
    kSystem,      // wherever the thread that touches a page first runs; nothing is called
    kPrefer,      // nodes.front(), while it has some
    kInterleave,  // page by page over `nodes` in turn
  };
  Mode mode = Mode::kSystem;
  std::vector<int> nodes;
};

// The whole plan. Empty when nothing is to be called.
struct Placement {
  std::vector<int> worker_cpus;  // worker i of the pool runs on worker_cpus[i]; empty: not pinned
  MemoryPlacement memory;
};

// Decides the placement of `thread_count` workers. Cores come before the second hardware threads
// of any core, and where several nodes are used, workers go over them in turn. Of nodes on which
// all threads fit, the one with the most memory is taken, then the lowest id. A node without memory
// takes that of the nearest one. On a machine with one node memory is left to the system.
// Fails with Fault::kInvalid when the policy names a node that is not there, or when there are more
// threads than CPUs to pin them to. Requires: thread_count >= 1.
Result<Placement> plan_placement(const Topology& topology, int thread_count,
                                 const NumaPolicy& policy);

// What placement asks of the system.
class PlacementCalls {
 public:
  virtual ~PlacementCalls() = default;

  // Lets a running thread of this process run on `cpu` only. Fails with Fault::kInvalid when the
  // system says no (the CPU is offline or outside the process's cpuset). Requires: cpu >= 0.
  virtual Result<void> pin(pthread_t thread, int cpu) = 0;

  // Decides where pages of `memory` that nobody has touched come from. Fails with Fault::kInvalid
  // when the system says no (a node that is not there, or a container that forbids the call).
  // Requires: `memory` is page-aligned, and placement.mode is not kSystem.
  virtual Result<void> place(std::span<uint8_t> memory, const MemoryPlacement& placement) = 0;
};

// pthread_setaffinity_np and mbind. May be called from any thread.
PlacementCalls& system_placement_calls();

}  // namespace inferno
