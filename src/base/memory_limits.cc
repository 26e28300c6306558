#include "base/memory_limits.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

namespace inferno {
namespace {

namespace fs = std::filesystem;

// The names of one version of control groups.
struct GroupFiles {
  const char* limits[2];  // the lesser counts; the second may be null
  const char* use;
  const char* file_pages[2];  // in memory.stat, with the blank that ends the key
};

constexpr GroupFiles kVersion1 = {
    .limits = {"memory.limit_in_bytes", nullptr},
    .use = "memory.usage_in_bytes",
    .file_pages = {"total_inactive_file ", "total_active_file "},
};
constexpr GroupFiles kVersion2 = {
    .limits = {"memory.max", "memory.high"},
    .use = "memory.current",
    .file_pages = {"inactive_file ", "active_file "},
};

size_t less(size_t a, size_t b) {
  return a > b ? a - b : 0;
}

// The number after `key` at the beginning of a line ("MemAvailable:   123 kB" gives 123).
std::optional<size_t> number_after(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(key)) continue;
    const size_t begin = line.find_first_not_of(" \t", key.size());
    size_t value = 0;
    if (begin == std::string::npos ||
        std::from_chars(line.data() + begin, line.data() + line.size(), value).ec != std::errc()) {
      return std::nullopt;
    }
    return value;
  }
  return std::nullopt;
}

std::optional<size_t> kilobytes_after(const fs::path& path, std::string_view key) {
  const std::optional<size_t> kilobytes = number_after(path, key);
  if (!kilobytes) return std::nullopt;
  return *kilobytes * 1024;
}

// A file that holds one number; none when it is absent or says "max".
std::optional<size_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  size_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

void bound_by(AvailableMemory& available, size_t bytes, std::string what) {
  if (bytes >= available.bytes) return;
  available.bytes = bytes;
  available.bounded_by = std::move(what);
}

// What the limit of one group leaves. A group without a limit bounds nothing.
void bound_by_group(AvailableMemory& available, const fs::path& group, const GroupFiles& files,
                    const std::string& name) {
  size_t limit = kNoMemoryLimit;
  for (const char* file : files.limits) {
    if (file != nullptr) limit = std::min(limit, number_in(group / file).value_or(limit));
  }
  if (limit == kNoMemoryLimit) return;
  const size_t use = number_in(group / files.use).value_or(0);
  size_t file_pages = 0;
  for (const char* key : files.file_pages)
    file_pages += number_after(group / "memory.stat", key).value_or(0);
  bound_by(available, less(limit, less(use, file_pages)),
           fmt::format("memory limit of control group {}", name));
}

// The group at `path` below `mount` and all above it. In a container the path may be the host's
// while the mount shows the container's own group: what is not there is passed over.
void bound_by_groups(AvailableMemory& available, const fs::path& mount, const GroupFiles& files,
                     const std::string& path) {
  fs::path group = fs::path(fmt::format("/{}", path)).lexically_normal().relative_path();
  for (;;) {
    bound_by_group(available, mount / group, files, fmt::format("/{}", group.generic_string()));
    if (group.empty()) return;
    group = group.parent_path();
  }
}

// Follows each line of /proc/self/cgroup, "NUMBER:CONTROLLERS:PATH"; version 2 names none.
void bound_by_cgroups(AvailableMemory& available, const MemorySources& sources) {
  std::ifstream file(sources.proc / "self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers =
        fmt::format(",{},", std::string_view(line).substr(first + 1, second - first - 1));
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      bound_by_groups(available, sources.cgroup, kVersion2, path);
      bound_by_groups(available, sources.cgroup / "unified", kVersion2, path);
    } else if (controllers.find(",memory,") != std::string::npos) {
      bound_by_groups(available, sources.cgroup / "memory", kVersion1, path);
    }
  }
}

size_t limit_of(__rlimit_resource resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoMemoryLimit;
  return limit.rlim_cur;
}

}  // namespace

MemorySources MemorySources::of_this_process() {
  MemorySources sources;
  sources.address_space_limit_bytes = limit_of(RLIMIT_AS);
  sources.data_limit_bytes = limit_of(RLIMIT_DATA);
  return sources;
}

AvailableMemory available_memory(const MemorySources& sources) {
  AvailableMemory available;
  const auto machine = kilobytes_after(sources.proc / "meminfo", "MemAvailable:");
  if (machine) bound_by(available, *machine, "free memory of the machine");
  bound_by_cgroups(available, sources);
  const fs::path status = sources.proc / "self/status";
  if (sources.address_space_limit_bytes != kNoMemoryLimit) {
    const size_t mapped = kilobytes_after(status, "VmSize:").value_or(0);
    bound_by(available, less(sources.address_space_limit_bytes, mapped), "ulimit -v");
  }
  if (sources.data_limit_bytes != kNoMemoryLimit) {
    const size_t data = kilobytes_after(status, "VmData:").value_or(0);
    bound_by(available, less(sources.data_limit_bytes, data), "ulimit -d");
  }
  return available;
}

size_t available_memory_bytes() {
  return available_memory().bytes;
}

ResidentMemory resident_memory() {
  return {.now_bytes = kilobytes_after("/proc/self/status", "VmRSS:").value_or(0),
          .peak_bytes = kilobytes_after("/proc/self/status", "VmHWM:").value_or(0)};
}

}  // namespace inferno
