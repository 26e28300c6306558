#include "base/memory_limits.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/sizes.h"

namespace inferno {
namespace {

namespace fs = std::filesystem;

// Folders in the shape of /proc and /sys/fs/cgroup, with 1000 MiB free and nothing limited.
class MemoryLimits : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::path(::testing::TempDir()) /
            (std::string("memory_limits_") + info->name() + "_" + std::to_string(getpid()));
    sources_.proc = root_ / "proc";
    sources_.cgroup = root_ / "cgroup";
    write("proc/meminfo", "MemTotal: 4096000 kB\nMemFree: 1 kB\nMemAvailable:  1024000 kB\n");
    write("proc/self/status", "Name:\tx\nVmSize:\t  204800 kB\nVmData:\t  102400 kB\n");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const fs::path& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void write(const fs::path& path, size_t number) { write(path, std::to_string(number) + "\n"); }

  AvailableMemory available() const { return available_memory(sources_); }

  fs::path root_;
  MemorySources sources_;
};

TEST_F(MemoryLimits, WithoutLimitsItIsWhatTheMachineHasFree) {
  EXPECT_EQ(available().bytes, 1000 * kMiB);
  EXPECT_EQ(available().bounded_by, "free memory of the machine");
}

TEST_F(MemoryLimits, ANumberThatCannotBeReadSetsNoBound) {
  fs::remove_all(root_ / "proc");
  EXPECT_EQ(available().bytes, kNoMemoryLimit);
  EXPECT_EQ(available().bounded_by, "");
  write("proc/meminfo", "MemAvailable: much\n");
  EXPECT_EQ(available().bytes, kNoMemoryLimit);
}

TEST_F(MemoryLimits, Version2LeavesItsLimitLessWhatCannotBeTakenBack) {
  write("proc/self/cgroup", "0::/\n");
  write("cgroup/memory.max", 500 * kMiB);
  write("cgroup/memory.current", 300 * kMiB);
  write("cgroup/memory.stat", "anon 7\ninactive_file " + std::to_string(50 * kMiB) +
                                  "\nactive_file " + std::to_string(30 * kMiB) + "\n");
  EXPECT_EQ(available().bytes, (500 - (300 - 80)) * kMiB);
  EXPECT_EQ(available().bounded_by, "memory limit of control group /");
}

TEST_F(MemoryLimits, Version2WithoutALimitBoundsNothing) {
  write("proc/self/cgroup", "0::/\n");
  write("cgroup/memory.max", "max\n");
  write("cgroup/memory.high", "max\n");
  write("cgroup/memory.current", 5000 * kMiB);
  EXPECT_EQ(available().bytes, 1000 * kMiB);
}

TEST_F(MemoryLimits, Version2CountsTheLevelAtWhichTheSystemThrottles) {
  write("proc/self/cgroup", "0::/a\n");
  write("cgroup/a/memory.max", 900 * kMiB);
  write("cgroup/a/memory.high", 400 * kMiB);
  write("cgroup/a/memory.current", 100 * kMiB);
  EXPECT_EQ(available().bytes, 300 * kMiB);
}

TEST_F(MemoryLimits, TheTightestGroupAboveCounts) {
  write("proc/self/cgroup", "0::/outer/middle/inner\n");
  write("cgroup/outer/middle/inner/memory.max", 800 * kMiB);
  write("cgroup/outer/middle/inner/memory.current", 10 * kMiB);
  write("cgroup/outer/middle/memory.max", "max\n");
  write("cgroup/outer/memory.max", 600 * kMiB);
  write("cgroup/outer/memory.current", 450 * kMiB);
  EXPECT_EQ(available().bytes, 150 * kMiB);
  EXPECT_EQ(available().bounded_by, "memory limit of control group /outer");
}

TEST_F(MemoryLimits, AGroupOverItsLimitLeavesNothing) {
  write("proc/self/cgroup", "0::/a\n");
  write("cgroup/a/memory.max", 100 * kMiB);
  write("cgroup/a/memory.current", 120 * kMiB);
  EXPECT_EQ(available().bytes, 0u);
}

TEST_F(MemoryLimits, Version1IsFoundAmongItsControllers) {
  write("proc/self/cgroup",
        "9:name=systemd:/x\n5:cpu,memory,pids:/jobs/7\n2:memoryish:/no\n0::/\n");
  write("cgroup/memory/jobs/7/memory.limit_in_bytes", 256 * kMiB);
  write("cgroup/memory/jobs/7/memory.usage_in_bytes", 100 * kMiB);
  write("cgroup/memory/jobs/7/memory.stat", "inactive_file 0\ntotal_inactive_file " +
                                                std::to_string(20 * kMiB) + "\ntotal_active_file " +
                                                std::to_string(4 * kMiB) + "\n");
  EXPECT_EQ(available().bytes, (256 - (100 - 24)) * kMiB);
  EXPECT_EQ(available().bounded_by, "memory limit of control group /jobs/7");
}

TEST_F(MemoryLimits, Version1WithoutALimitBoundsNothing) {
  write("proc/self/cgroup", "4:memory:/jobs/7\n");
  write("cgroup/memory/jobs/7/memory.limit_in_bytes", size_t{9223372036854771712u});
  write("cgroup/memory/jobs/7/memory.usage_in_bytes", 100 * kMiB);
  EXPECT_EQ(available().bytes, 1000 * kMiB);
}

TEST_F(MemoryLimits, AContainerThatSeesTheHostsPathUsesItsOwnMount) {
  write("proc/self/cgroup", "4:memory:/docker/0123abcd\n");
  write("cgroup/memory/memory.limit_in_bytes", 300 * kMiB);
  write("cgroup/memory/memory.usage_in_bytes", 40 * kMiB);
  EXPECT_EQ(available().bytes, 260 * kMiB);
}

TEST_F(MemoryLimits, APathThatClimbsOutOfItsNamespaceIsHarmless) {
  write("proc/self/cgroup", "0::/../../elsewhere\nnonsense\n7:\n");
  write("cgroup/memory.max", 300 * kMiB);
  write("cgroup/memory.current", 0);
  EXPECT_EQ(available().bytes, 300 * kMiB);
}

TEST_F(MemoryLimits, AddressSpaceAndDataLimitsCountWhatIsMapped) {
  sources_.address_space_limit_bytes = 900 * kMiB;
  EXPECT_EQ(available().bytes, 700 * kMiB);
  EXPECT_EQ(available().bounded_by, "ulimit -v");
  sources_.data_limit_bytes = 150 * kMiB;
  EXPECT_EQ(available().bytes, 50 * kMiB);
  EXPECT_EQ(available().bounded_by, "ulimit -d");
  sources_.data_limit_bytes = 10 * kMiB;
  EXPECT_EQ(available().bytes, 0u);
}

TEST(MemoryOfThisProcess, IsKnown) {
  EXPECT_GT(available_memory_bytes(), kMiB);
  EXPECT_GT(resident_memory().now_bytes, size_t{1} << 16);
  EXPECT_GE(resident_memory().peak_bytes, resident_memory().now_bytes / 2);
}

TEST(MemoryOfThisProcess, ShrinksUnderARealLimitOfItsAddressSpace) {
  constexpr size_t kLimit = size_t{1} << 30;
  MemorySources limited;
  limited.address_space_limit_bytes = kLimit;
  if (available_memory(limited).bytes < 200 * kMiB)
    GTEST_SKIP() << "under 200 MiB left below a limit of 1 GiB, as with a sanitizer";
  const pid_t child = fork();
  if (child == 0) {
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = kLimit;
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    const AvailableMemory before = available_memory();
    void* block = mmap(nullptr, 100 * kMiB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const AvailableMemory after = available_memory();
    const bool right = block != MAP_FAILED && before.bounded_by == "ulimit -v" &&
                       after.bytes <= before.bytes - 100 * kMiB;
    _exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace inferno
