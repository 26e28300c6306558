#include "base/placement.h"

#include <numaif.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace inferno {
namespace {

using Kind = NumaPolicy::Kind;
using Nodes = std::vector<const NumaNode*>;

// CPUs of a node in the order in which they are given to workers: the first hardware thread of
// every core, then the second ones, and so on.
std::vector<int> in_pinning_order(const NumaNode& node) {
  std::vector<int> cpus;
  for (size_t thread = 0; cpus.size() < static_cast<size_t>(node.cpu_count()); ++thread) {
    for (const Core& core : node.cores) {
      if (thread < core.size()) cpus.push_back(core[thread]);
    }
  }
  return cpus;
}

// Gives workers their CPUs, over the nodes in turn; all cores before any core's second thread.
std::vector<int> worker_cpus(const Nodes& nodes, size_t thread_count) {
  std::vector<int> firsts;
  std::vector<int> others;
  std::vector<std::vector<int>> orders;
  size_t longest = 0;
  for (const NumaNode* node : nodes) {
    orders.push_back(in_pinning_order(*node));
    longest = std::max(longest, orders.back().size());
  }
  for (size_t turn = 0; turn < longest; ++turn) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (turn >= orders[i].size()) continue;
      (turn < nodes[i]->cores.size() ? firsts : others).push_back(orders[i][turn]);
    }
  }
  firsts.insert(firsts.end(), others.begin(), others.end());
  firsts.resize(std::min(firsts.size(), thread_count));
  return firsts;
}

Nodes nodes_with_cpus(const Topology& topology) {
  Nodes nodes;
  for (const NumaNode& node : topology.nodes) {
    if (!node.cores.empty()) nodes.push_back(&node);
  }
  return nodes;
}

// Nodes for the policy auto: one that has a core for every thread, else as few as together have,
// those with the most cores first; else all.
Nodes fewest_nodes(const Topology& topology, size_t thread_count) {
  Nodes nodes = nodes_with_cpus(topology);
  const NumaNode* best = nullptr;
  for (const NumaNode* node : nodes) {
    if (node->cores.size() < thread_count) continue;
    if (best == nullptr || node->memory_bytes > best->memory_bytes) best = node;
  }
  if (best != nullptr) return {best};
  std::ranges::sort(nodes, [](const NumaNode* a, const NumaNode* b) {
    return std::pair(b->cores.size(), a->id) < std::pair(a->cores.size(), b->id);
  });
  size_t core_count = 0;
  size_t used = 0;
  while (used < nodes.size() && core_count < thread_count)
    core_count += nodes[used++]->cores.size();
  nodes.resize(used);
  std::ranges::sort(nodes, {}, &NumaNode::id);
  return nodes;
}

// The node nearest to `from` that has memory, itself if it can be; null when none has.
const NumaNode* nearest_memory(const Topology& topology, const NumaNode& from) {
  const NumaNode* best = nullptr;
  int best_distance = INT_MAX;
  for (size_t i = 0; i < topology.nodes.size(); ++i) {
    const NumaNode& node = topology.nodes[i];
    const int distance = &node == &from ? 0 : from.distances[i];
    if (node.memory_bytes == 0 || distance >= best_distance) continue;
    best = &node;
    best_distance = distance;
  }
  return best;
}

MemoryPlacement memory_placement_of(const Topology& topology, const Nodes& nodes) {
  MemoryPlacement memory;
  if (topology.nodes.size() == 1) return memory;
  for (const NumaNode* node : nodes) {
    const NumaNode* nearest = nearest_memory(topology, *node);
    if (nearest != nullptr) memory.nodes.push_back(nearest->id);
  }
  std::ranges::sort(memory.nodes);
  const auto doubled = std::ranges::unique(memory.nodes);
  memory.nodes.erase(doubled.begin(), doubled.end());
  if (memory.nodes.size() == 1) memory.mode = MemoryPlacement::Mode::kPrefer;
  if (memory.nodes.size() > 1) memory.mode = MemoryPlacement::Mode::kInterleave;
  return memory;
}

std::string ids_of(const Nodes& nodes) {
  std::vector<int> ids;
  for (const NumaNode* node : nodes)
    ids.push_back(node->id);
  return fmt::format("{}", fmt::join(ids, ", "));
}

class SystemPlacementCalls final : public PlacementCalls {
 public:
  Result<void> pin(pthread_t thread, int cpu) override {
    cpu_set_t* set = CPU_ALLOC(cpu + 1);
    CHECK(set != nullptr, "no memory for a mask of {} CPUs", cpu + 1);
    const size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
    CPU_ZERO_S(bytes, set);
    CPU_SET_S(cpu, bytes, set);
    const int trouble = pthread_setaffinity_np(thread, bytes, set);
    CPU_FREE(set);
    if (trouble == 0) return {};
    return fail(Fault::kInvalid, "CPU {}: a thread cannot be pinned to it: {}", cpu,
                std::strerror(trouble));
  }

  Result<void> place(std::span<uint8_t> memory, const MemoryPlacement& placement) override {
    constexpr size_t kBitsPerWord = sizeof(unsigned long) * CHAR_BIT;
    const auto highest = static_cast<size_t>(std::ranges::max(placement.nodes));
    std::vector<unsigned long> mask(highest / kBitsPerWord + 1, 0);
    for (const int node : placement.nodes) {
      const auto bit = static_cast<size_t>(node);
      mask[bit / kBitsPerWord] |= 1UL << (bit % kBitsPerWord);
    }
    const bool prefers = placement.mode == MemoryPlacement::Mode::kPrefer;
    // The kernel reads one bit less than it is told of (mbind(2), maxnode).
    if (mbind(memory.data(), memory.size(), prefers ? MPOL_PREFERRED : MPOL_INTERLEAVE, mask.data(),
              mask.size() * kBitsPerWord + 1, 0) == 0) {
      return {};
    }
    return fail(Fault::kInvalid, "node {}: memory cannot be placed there: {}",
                fmt::join(placement.nodes, ", "), std::strerror(errno));
  }
};

}  // namespace

Result<NumaPolicy> parse_numa_policy(std::string_view text) {
  if (text == "off") return NumaPolicy{.kind = Kind::kOff};
  if (text == "auto") return NumaPolicy{.kind = Kind::kAuto};
  if (text == "interleave") return NumaPolicy{.kind = Kind::kInterleave};
  constexpr std::string_view kNode = "node:";
  if (text.starts_with(kNode)) {
    const std::string_view digits = text.substr(kNode.size());
    int node = 0;
    const char* end = digits.data() + digits.size();
    const auto [rest, trouble] = std::from_chars(digits.data(), end, node);
    if (trouble == std::errc() && rest == end && node >= 0)
      return NumaPolicy{.kind = Kind::kNode, .node = node};
  }
  return fail_field("numa", "numa: '{}' is none of auto, off, interleave, node:N", text);
}

Result<Placement> plan_placement(const Topology& topology, int thread_count,
                                 const NumaPolicy& policy) {
  CHECK(thread_count >= 1, "a placement of {} threads", thread_count);
  const bool has_one_node = topology.nodes.size() == 1;
  if (policy.kind == Kind::kOff || (policy.kind == Kind::kAuto && has_one_node)) return Placement{};
  const auto threads = static_cast<size_t>(thread_count);
  Nodes nodes;
  if (policy.kind == Kind::kAuto) nodes = fewest_nodes(topology, threads);
  if (policy.kind == Kind::kInterleave) nodes = nodes_with_cpus(topology);
  if (policy.kind == Kind::kNode) {
    const NumaNode* node = topology.find(policy.node);
    if (node == nullptr || node->cores.empty()) {
      return fail_field("numa", "numa: node {} has no CPU for this process; nodes that have: {}",
                        policy.node, ids_of(nodes_with_cpus(topology)));
    }
    nodes = {node};
  }
  Placement placement{.worker_cpus = worker_cpus(nodes, threads),
                      .memory = memory_placement_of(topology, nodes)};
  if (placement.worker_cpus.size() < threads) {
    return fail_field("numa", "numa: {} threads are more than the {} CPUs of node {}", thread_count,
                      placement.worker_cpus.size(), ids_of(nodes));
  }
  return placement;
}

PlacementCalls& system_placement_calls() {
  static SystemPlacementCalls calls;
  return calls;
}

}  // namespace inferno
