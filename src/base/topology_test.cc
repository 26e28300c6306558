#include "base/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <string>

#include "base/sizes.h"

namespace inferno {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<int> first_numbers(int count) {
  std::vector<int> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// A folder in the shape of /sys/devices/system.
class TopologyFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::path(::testing::TempDir()) /
            (std::string("topology_") + info->name() + "_" + std::to_string(getpid()));
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const fs::path& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << "\n";
  }
  void add_node(int id, const std::string& cpus, size_t memory_bytes) {
    const fs::path folder = "node/node" + std::to_string(id);
    write(folder / "cpulist", cpus);
    const std::string name = "Node " + std::to_string(id);
    write(folder / "meminfo", name + " MemTotal:  " + std::to_string(memory_bytes / 1024) +
                                  " kB\n" + name + " MemFree:  77 kB");
  }
  void add_distances(int id, const std::string& row) {
    write("node/node" + std::to_string(id) + "/distance", row);
  }
  void add_core(const std::vector<int>& siblings) {
    std::string list;
    for (const int cpu : siblings)
      list += (list.empty() ? "" : ",") + std::to_string(cpu);
    for (const int cpu : siblings)
      write("cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", list);
  }

  // Two sockets of two cores with two hardware threads each: CPUs i and i + 4 share a core.
  void write_two_sockets() {
    write("cpu/online", "0-7");
    write("node/online", "0-1");
    add_node(0, "0-1,4-5", 64 * kGiB);
    add_node(1, "2-3,6-7", 32 * kGiB);
    add_distances(0, "10 21");
    add_distances(1, "21 10");
    for (const int first : {0, 1, 2, 3})
      add_core({first, first + 4});
  }

  Result<Topology> read(std::vector<int> cpus,
                        std::optional<std::vector<int>> memory_nodes = std::nullopt) {
    return read_topology({.cpus = std::move(cpus), .memory_nodes = std::move(memory_nodes)}, root_);
  }

  fs::path root_;
};

TEST_F(TopologyFiles, TwoSocketsHaveCoresMemoryAndDistances) {
  write_two_sockets();
  const auto topology = read(first_numbers(8));
  ASSERT_TRUE(topology) << topology.error().message;
  ASSERT_EQ(topology->nodes.size(), 2u);
  EXPECT_THAT(topology->nodes[0].cores, ElementsAre(ElementsAre(0, 4), ElementsAre(1, 5)));
  EXPECT_THAT(topology->nodes[1].cores, ElementsAre(ElementsAre(2, 6), ElementsAre(3, 7)));
  EXPECT_EQ(topology->nodes[0].memory_bytes, 64 * kGiB);
  EXPECT_EQ(topology->nodes[1].memory_bytes, 32 * kGiB);
  EXPECT_THAT(topology->nodes[1].distances, ElementsAre(21, 10));
  EXPECT_EQ(topology->cpu_count(), 8);
  EXPECT_EQ(topology->nodes[0].cpu_count(), 4);
}

TEST_F(TopologyFiles, OnlyCpusThatMayBeUsedAreThere) {
  write_two_sockets();
  const auto topology = read({1, 4, 5, 6});
  ASSERT_TRUE(topology);
  // CPU 4 is the second hardware thread of a core whose first one is forbidden.
  EXPECT_THAT(topology->nodes[0].cores, ElementsAre(ElementsAre(1, 5), ElementsAre(4)));
  EXPECT_THAT(topology->nodes[1].cores, ElementsAre(ElementsAre(6)));
}

TEST_F(TopologyFiles, OfflineCpusAreNotThere) {
  write_two_sockets();
  write("cpu/online", "0,2-3,7");
  const auto topology = read(first_numbers(8));
  ASSERT_TRUE(topology);
  EXPECT_THAT(topology->nodes[0].cores, ElementsAre(ElementsAre(0)));
  EXPECT_THAT(topology->nodes[1].cores, ElementsAre(ElementsAre(2), ElementsAre(3, 7)));
}

TEST_F(TopologyFiles, MemoryThatMayNotBeUsedCountsAsNone) {
  write_two_sockets();
  const auto topology = read(first_numbers(8), std::vector<int>{1});
  ASSERT_TRUE(topology);
  EXPECT_EQ(topology->nodes[0].memory_bytes, 0u);
  EXPECT_EQ(topology->nodes[1].memory_bytes, 32 * kGiB);
}

TEST_F(TopologyFiles, NodesMayHaveHolesInTheirNumbersNoCpuOrNoMemory) {
  write("node/online", "0,3,8-9");
  add_node(0, "0-1", 16 * kGiB);
  add_node(3, "10-11", 0);
  add_node(8, "", 128 * kGiB);
  add_node(9, "40", 16 * kGiB);
  for (const int id : {0, 3, 8, 9})
    add_distances(id, "10 20 30 40");
  const auto topology = read({0, 1, 10, 11, 40});
  ASSERT_TRUE(topology) << topology.error().message;
  ASSERT_EQ(topology->nodes.size(), 4u);
  EXPECT_EQ(topology->find(3)->memory_bytes, 0u);
  EXPECT_THAT(topology->find(3)->cores, ElementsAre(ElementsAre(10), ElementsAre(11)));
  EXPECT_THAT(topology->find(8)->cores, IsEmpty());
  EXPECT_EQ(topology->find(8)->memory_bytes, 128 * kGiB);
  EXPECT_EQ(topology->find(1), nullptr);
  EXPECT_EQ(topology->cpu_count(), 5);
}

TEST_F(TopologyFiles, FourNodesWithoutADistanceTableAreEquallyFar) {
  write("node/online", "0-3");
  for (int id = 0; id < 4; ++id)
    add_node(id, std::to_string(id), 8 * kGiB);
  const auto topology = read(first_numbers(4));
  ASSERT_TRUE(topology);
  EXPECT_THAT(topology->nodes[2].distances, ElementsAre(20, 20, 10, 20));
}

TEST_F(TopologyFiles, ASystemWithoutNodeFoldersIsOneNode) {
  add_core({0, 1});
  const auto topology = read({0, 1, 2});
  ASSERT_TRUE(topology);
  ASSERT_EQ(topology->nodes.size(), 1u);
  EXPECT_THAT(topology->nodes[0].cores, ElementsAre(ElementsAre(0, 1), ElementsAre(2)));
}

TEST_F(TopologyFiles, SaysWhichFileIsWrong) {
  write_two_sockets();
  write("node/online", "0-x");
  auto topology = read({0});
  ASSERT_FALSE(topology);
  EXPECT_EQ(topology.error().fault, Fault::kInvalid);
  EXPECT_THAT(topology.error().message, HasSubstr("node/online: '0-x' is not a list"));

  write("node/online", "0-1");
  add_distances(1, "10");
  topology = read({0});
  ASSERT_FALSE(topology);
  EXPECT_THAT(topology.error().message, HasSubstr("node1/distance: 1 distances for 2 nodes"));
}

TEST_F(TopologyFiles, FailsWhenNoUsableCpuIsOnline) {
  write_two_sockets();
  for (const std::vector<int>& cpus : {std::vector<int>{}, std::vector<int>{99}}) {
    const auto topology = read(cpus);
    ASSERT_FALSE(topology);
    EXPECT_THAT(topology.error().message,
                HasSubstr("none of the " + std::to_string(cpus.size()) + " CPUs"));
  }
}

TEST(TopologyOfThisMachine, HasTheCpusOfTheAffinityMask) {
  const UsablePlaces usable = UsablePlaces::of_this_process();
  ASSERT_FALSE(usable.cpus.empty());
  const auto topology = read_topology(usable);
  ASSERT_TRUE(topology) << topology.error().message;
  EXPECT_EQ(static_cast<size_t>(topology->cpu_count()), usable.cpus.size());
}

TEST(NumberList, ReadsTheKernelsFormat) {
  EXPECT_THAT(*parse_number_list("0-3,8\n"), ElementsAre(0, 1, 2, 3, 8));
  EXPECT_THAT(*parse_number_list("5"), ElementsAre(5));
  EXPECT_THAT(*parse_number_list(" \n"), IsEmpty());
  EXPECT_THAT(*parse_number_list("7,2-3,3"), ElementsAre(2, 3, 7));
  EXPECT_THAT(*parse_number_list("65535"), ElementsAre(65535));
}

TEST(NumberList, RefusesEverythingElse) {
  for (const char* wrong : {"x", "1-", "-1", "3-1", "1,,2", "1,", ",1", "0-65536", "0x10", "1 2",
                            "0-31:2/4", "99999999999999999999"}) {
    const auto list = parse_number_list(wrong);
    ASSERT_FALSE(list) << wrong;
    EXPECT_THAT(list.error().message, HasSubstr(wrong));
  }
}

}  // namespace
}  // namespace inferno
