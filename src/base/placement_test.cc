#include "base/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <random>
#include <set>
#include <thread>

#include "base/sizes.h"

namespace inferno {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = NumaPolicy::Kind;
using Mode = MemoryPlacement::Mode;

NumaNode node(int id, size_t memory_bytes, std::vector<Core> cores) {
  NumaNode made;
  made.id = id;
  made.memory_bytes = memory_bytes;
  made.cores = std::move(cores);
  return made;
}

// Fills in distances: neighbours in the list are near.
Topology machine(std::vector<NumaNode> nodes) {
  Topology topology{.nodes = std::move(nodes)};
  const auto count = static_cast<int>(topology.nodes.size());
  for (int i = 0; i < count; ++i) {
    for (int j = 0; j < count; ++j)
      topology.nodes[static_cast<size_t>(i)].distances.push_back(10 + 10 * std::abs(i - j));
  }
  return topology;
}

// Two sockets of two cores with two hardware threads each.
Topology two_sockets() {
  return machine({node(0, 32 * kGiB, {{0, 4}, {1, 5}}), node(1, 32 * kGiB, {{2, 6}, {3, 7}})});
}

Topology four_nodes() {
  return machine({node(0, kGiB, {{0}, {1}}), node(1, kGiB, {{2}, {3}}), node(2, kGiB, {{4}, {5}}),
                  node(3, kGiB, {{6}, {7}})});
}

Placement plan(const Topology& topology, int thread_count, NumaPolicy policy) {
  auto placement = plan_placement(topology, thread_count, policy);
  EXPECT_TRUE(placement) << placement.error().message;
  return placement ? *placement : Placement{};
}

TEST(NumaPolicy, ReadsItsFourForms) {
  EXPECT_EQ(parse_numa_policy("off")->kind, Kind::kOff);
  EXPECT_EQ(parse_numa_policy("auto")->kind, Kind::kAuto);
  EXPECT_EQ(parse_numa_policy("interleave")->kind, Kind::kInterleave);
  EXPECT_EQ(parse_numa_policy("node:12")->kind, Kind::kNode);
  EXPECT_EQ(parse_numa_policy("node:12")->node, 12);
}

TEST(NumaPolicy, RefusesEverythingElseAndNamesIt) {
  for (const char* wrong :
       {"", "on", "Auto", "node", "node:", "node:-1", "node:1x", "node: 1", "node:99999999999"}) {
    const auto policy = parse_numa_policy(wrong);
    ASSERT_FALSE(policy) << wrong;
    EXPECT_EQ(policy.error().param, "numa");
    EXPECT_THAT(policy.error().message, HasSubstr(std::string("'") + wrong + "'"));
  }
}

TEST(Placement, OffAsksForNothing) {
  const Placement placement = plan(two_sockets(), 4, {.kind = Kind::kOff});
  EXPECT_THAT(placement.worker_cpus, IsEmpty());
  EXPECT_EQ(placement.memory.mode, Mode::kSystem);
}

TEST(Placement, AutoOnOneNodeAsksForNothingHoweverManyThreads) {
  const Topology laptop = machine({node(0, 16 * kGiB, {{0, 2}, {1, 3}})});
  for (const int threads : {1, 2, 4, 64}) {
    const Placement placement = plan(laptop, threads, {.kind = Kind::kAuto});
    EXPECT_THAT(placement.worker_cpus, IsEmpty());
    EXPECT_EQ(placement.memory.mode, Mode::kSystem);
  }
}

TEST(Placement, AnExplicitPolicyOnOneNodePinsButLeavesMemoryToTheSystem) {
  const Topology laptop = machine({node(0, 16 * kGiB, {{0, 2}, {1, 3}})});
  for (const NumaPolicy policy :
       {NumaPolicy{.kind = Kind::kInterleave}, NumaPolicy{.kind = Kind::kNode, .node = 0}}) {
    const Placement placement = plan(laptop, 3, policy);
    EXPECT_THAT(placement.worker_cpus, ElementsAre(0, 1, 2));
    EXPECT_EQ(placement.memory.mode, Mode::kSystem);
    EXPECT_THAT(placement.memory.nodes, IsEmpty());
  }
}

TEST(Placement, AutoKeepsThreadsThatFitOnTheCoresOfOneNodeThere) {
  const Placement placement = plan(two_sockets(), 2, {.kind = Kind::kAuto});
  EXPECT_THAT(placement.worker_cpus, ElementsAre(0, 1));
  EXPECT_EQ(placement.memory.mode, Mode::kPrefer);
  EXPECT_THAT(placement.memory.nodes, ElementsAre(0));
}

TEST(Placement, AutoTakesTheNodeWithTheMostMemoryOfThoseThatFit) {
  const Topology topology = machine(
      {node(0, 8 * kGiB, {{0}, {1}}), node(1, 64 * kGiB, {{2}, {3}}), node(2, 99 * kGiB, {{4}})});
  const Placement placement = plan(topology, 2, {.kind = Kind::kAuto});
  EXPECT_THAT(placement.worker_cpus, ElementsAre(2, 3));
  EXPECT_THAT(placement.memory.nodes, ElementsAre(1));
}

TEST(Placement, AutoSpreadsOverAnotherSocketBeforeItSharesACore) {
  const Placement placement = plan(two_sockets(), 3, {.kind = Kind::kAuto});
  EXPECT_THAT(placement.worker_cpus, ElementsAre(0, 2, 1));
  EXPECT_EQ(placement.memory.mode, Mode::kInterleave);
  EXPECT_THAT(placement.memory.nodes, ElementsAre(0, 1));
}

TEST(Placement, SecondHardwareThreadsComeLast) {
  const Placement placement = plan(two_sockets(), 8, {.kind = Kind::kAuto});
  EXPECT_THAT(placement.worker_cpus, ElementsAre(0, 2, 1, 3, 4, 6, 5, 7));
}

TEST(Placement, AutoUsesAsFewNodesAsHaveTheCores) {
  const Placement placement = plan(four_nodes(), 4, {.kind = Kind::kAuto});
  EXPECT_THAT(placement.worker_cpus, ElementsAre(0, 2, 1, 3));
  EXPECT_THAT(placement.memory.nodes, ElementsAre(0, 1));
}

TEST(Placement, InterleaveUsesEveryNodeWithCpus) {
  const Placement placement = plan(four_nodes(), 4, {.kind = Kind::kInterleave});
  EXPECT_THAT(placement.worker_cpus, ElementsAre(0, 2, 4, 6));
  EXPECT_EQ(placement.memory.mode, Mode::kInterleave);
  EXPECT_THAT(placement.memory.nodes, ElementsAre(0, 1, 2, 3));
}

TEST(Placement, NamedNodeGetsThreadsAndMemory) {
  const Placement placement = plan(two_sockets(), 3, {.kind = Kind::kNode, .node = 1});
  EXPECT_THAT(placement.worker_cpus, ElementsAre(2, 3, 6));
  EXPECT_EQ(placement.memory.mode, Mode::kPrefer);
  EXPECT_THAT(placement.memory.nodes, ElementsAre(1));
}

TEST(Placement, ANodeWithoutMemoryUsesTheNearest) {
  const Topology topology =
      machine({node(0, kGiB, {{0}}), node(4, kGiB, {{1}}), node(7, 0, {{2}, {3}}), node(9, 0, {})});
  const Placement placement = plan(topology, 2, {.kind = Kind::kNode, .node = 7});
  EXPECT_THAT(placement.worker_cpus, ElementsAre(2, 3));
  EXPECT_THAT(placement.memory.nodes, ElementsAre(4));
}

TEST(Placement, ANodeWithoutCpusGetsNoThreadsAndNoMemory) {
  const Topology topology =
      machine({node(0, kGiB, {{0}, {1}}), node(1, 500 * kGiB, {}), node(2, kGiB, {{2}})});
  const Placement placement = plan(topology, 3, {.kind = Kind::kInterleave});
  EXPECT_THAT(placement.worker_cpus, ElementsAre(0, 2, 1));
  EXPECT_THAT(placement.memory.nodes, ElementsAre(0, 2));
}

TEST(Placement, WhereNoMemoryIsKnownItIsLeftToTheSystem) {
  const Topology topology = machine({node(0, 0, {{0}}), node(1, 0, {{1}})});
  const Placement placement = plan(topology, 2, {.kind = Kind::kInterleave});
  EXPECT_EQ(placement.memory.mode, Mode::kSystem);
  EXPECT_EQ(placement.worker_cpus.size(), 2u);
}

TEST(Placement, RefusesANodeThatIsNotThereOrHasNoCpu) {
  const Topology topology = machine({node(0, kGiB, {{0}}), node(3, kGiB, {})});
  for (const int wrong : {1, 3}) {
    const auto placement = plan_placement(topology, 1, {.kind = Kind::kNode, .node = wrong});
    ASSERT_FALSE(placement);
    EXPECT_EQ(placement.error().fault, Fault::kInvalid);
    EXPECT_THAT(placement.error().message,
                HasSubstr("node " + std::to_string(wrong) + " has no CPU"));
    EXPECT_THAT(placement.error().message, HasSubstr("nodes that have: 0"));
  }
}

TEST(Placement, RefusesMoreThreadsThanCpus) {
  auto placement = plan_placement(two_sockets(), 9, {.kind = Kind::kAuto});
  ASSERT_FALSE(placement);
  EXPECT_EQ(placement.error().message, "numa: 9 threads are more than the 8 CPUs of node 0, 1");
  placement = plan_placement(two_sockets(), 5, {.kind = Kind::kNode, .node = 1});
  ASSERT_FALSE(placement);
  EXPECT_EQ(placement.error().message, "numa: 5 threads are more than the 4 CPUs of node 1");
}

TEST(Placement, RandomMachinesGetDistinctCpusAndCoresFirst) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::vector<NumaNode> nodes;
    std::set<int> first_cpus;
    int cpu = 0;
    const size_t node_count = 1 + random() % 5;
    for (size_t i = 0; i < node_count; ++i) {
      std::vector<Core> cores(random() % 6);
      for (Core& core : cores) {
        first_cpus.insert(cpu);
        for (size_t threads = 1 + random() % 2; threads > 0; --threads)
          core.push_back(cpu++);
      }
      nodes.push_back(node(static_cast<int>(i * 2), random() % 3 * kGiB, std::move(cores)));
    }
    if (cpu == 0) continue;
    const Topology topology = machine(std::move(nodes));
    const auto threads = 1 + random() % static_cast<unsigned>(cpu);
    const NumaPolicy policy{.kind = random() % 2 == 0 ? Kind::kAuto : Kind::kInterleave};
    const Placement placement = plan(topology, static_cast<int>(threads), policy);
    if (node_count == 1 && policy.kind == Kind::kAuto) continue;
    ASSERT_EQ(placement.worker_cpus.size(), threads);
    const std::set<int> distinct(placement.worker_cpus.begin(), placement.worker_cpus.end());
    ASSERT_EQ(distinct.size(), threads);
    const auto on_own_core = std::ranges::count_if(
        placement.worker_cpus, [&](int worker) { return first_cpus.contains(worker); });
    ASSERT_EQ(static_cast<size_t>(on_own_core), std::min<size_t>(threads, first_cpus.size()));
    for (const int id : placement.memory.nodes)
      ASSERT_GT(topology.find(id)->memory_bytes, 0u);
  }
}

TEST(SystemPlacementCalls, PinAThreadToACpuItMayUse) {
  const UsablePlaces usable = UsablePlaces::of_this_process();
  ASSERT_FALSE(usable.cpus.empty());
  const int cpu = usable.cpus.back();
  std::thread([cpu] {
    auto pinned = system_placement_calls().pin(pthread_self(), cpu);
    ASSERT_TRUE(pinned) << pinned.error().message;
    EXPECT_THAT(UsablePlaces::of_this_process().cpus, ElementsAre(cpu));
    EXPECT_EQ(sched_getcpu(), cpu);
  }).join();
  EXPECT_EQ(UsablePlaces::of_this_process().cpus, usable.cpus);
}

TEST(SystemPlacementCalls, ACpuThatIsNotThereIsAnError) {
  const auto pinned = system_placement_calls().pin(pthread_self(), 60'000);
  ASSERT_FALSE(pinned);
  EXPECT_THAT(pinned.error().message, HasSubstr("CPU 60000"));
}

TEST(SystemPlacementCalls, PlaceMemoryOrSayWhyNot) {
  constexpr size_t kBytes = 64 << 10;
  void* mapped = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  const std::span memory(static_cast<uint8_t*>(mapped), kBytes);
  const auto nowhere = system_placement_calls().place(memory, {Mode::kPrefer, {1000}});
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().message, HasSubstr("node 1000"));
  const auto& nodes = UsablePlaces::of_this_process().memory_nodes;
  if (nodes) {
    for (const Mode mode : {Mode::kPrefer, Mode::kInterleave}) {
      const auto placed = system_placement_calls().place(memory, {mode, {nodes->front()}});
      EXPECT_TRUE(placed) << placed.error().message;
    }
    memory.front() = 1;
    EXPECT_EQ(memory.back(), 0);
  }
  munmap(mapped, kBytes);
}

}  // namespace
}  // namespace inferno
