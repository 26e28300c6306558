#include "base/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

namespace inferno {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

// The value in kB after `key` in a file like /proc/meminfo, in bytes; 0 when it is not there.
size_t kilobytes_after(const char* path, std::string_view key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(key)) return std::strtoull(line.c_str() + key.size(), nullptr, 10) * 1024;
  }
  return 0;
}

// A cgroup's number, or none when the file is absent or says "max".
size_t cgroup_number(const char* path) {
  std::ifstream file(path);
  size_t value = 0;
  return file >> value ? value : std::numeric_limits<size_t>::max();
}

}  // namespace

Buffer::~Buffer() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Result<Buffer> Buffer::allocate(size_t bytes, const char* owner) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  const bool large = bytes >= kHugePageBytes;
  const size_t alignment = large ? kHugePageBytes : 4096;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  const size_t mapped = rounded + (large ? kHugePageBytes : 0);
  void* raw = rounded < bytes ? MAP_FAILED
                              : mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) {
    return fail(Fault::kOverloaded, "{}: the system refused {} bytes: {}", owner, bytes,
                std::strerror(errno));
  }
  auto* begin = static_cast<uint8_t*>(raw);
  auto* aligned = begin + (alignment - reinterpret_cast<uintptr_t>(begin) % alignment) % alignment;
  if (aligned != begin) munmap(begin, static_cast<size_t>(aligned - begin));
  const size_t tail = mapped - static_cast<size_t>(aligned - begin) - rounded;
  if (tail != 0) munmap(aligned + rounded, tail);
  if (large) madvise(aligned, rounded, MADV_HUGEPAGE);
  buffer.data_ = aligned;
  buffer.bytes_ = rounded;
  return buffer;
}

size_t available_memory_bytes() {
  size_t available = kilobytes_after("/proc/meminfo", "MemAvailable:");
  const size_t limit = cgroup_number("/sys/fs/cgroup/memory.max");
  if (limit != std::numeric_limits<size_t>::max()) {
    // Cached file pages count as used there, but the system takes them back when it needs them.
    const size_t cached = kilobytes_after("/sys/fs/cgroup/memory.stat", "inactive_file ") / 1024 +
                          kilobytes_after("/sys/fs/cgroup/memory.stat", "active_file ") / 1024;
    const size_t current = cgroup_number("/sys/fs/cgroup/memory.current");
    const size_t used = current > cached ? current - cached : 0;
    available = std::min(available, used < limit ? limit - used : 0);
  }
  return available;
}

ResidentMemory resident_memory() {
  return {.now_bytes = kilobytes_after("/proc/self/status", "VmRSS:"),
          .peak_bytes = kilobytes_after("/proc/self/status", "VmHWM:")};
}

}  // namespace inferno
