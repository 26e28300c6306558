#include "base/memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <span>

#include "base/check.h"

namespace inferno {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr size_t kPageBytes = 4096;

// Where pages come from, for all Buffers of the process.
struct ProcessPlacement {
  std::mutex mutex;
  MemoryPlacement placement;  // guarded by mutex
  PlacementCalls* calls = nullptr;
};

// Never destroyed: buffers of static objects may be allocated after it would be gone.
ProcessPlacement& process_placement() {
  static ProcessPlacement& place = *new ProcessPlacement;
  return place;
}

void place(std::span<uint8_t> memory) {
  ProcessPlacement& process = process_placement();
  const std::lock_guard lock(process.mutex);
  if (process.placement.mode == MemoryPlacement::Mode::kSystem) return;
  (void)process.calls->place(memory, process.placement);  // a refusal costs speed only
}

size_t round_up(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

// From here on a Buffer has huge pages.
size_t alignment_of(size_t bytes) {
  return bytes >= kHugePageBytes ? kHugePageBytes : kPageBytes;
}

}  // namespace

size_t Buffer::taken_bytes(size_t bytes) {
  return round_up(bytes, alignment_of(bytes));
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  munmap(data_, bytes_);
  account_->subtract(bytes_);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(account_, other.account_);
  return *this;
}

Result<Buffer> Buffer::allocate(size_t bytes, std::string_view owner) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  const size_t alignment = alignment_of(bytes);
  const bool large = alignment == kHugePageBytes;
  const size_t rounded = taken_bytes(bytes);
  const size_t mapped = rounded + (large ? kHugePageBytes : 0);
  if (large) {
    const AvailableMemory available = available_memory();
    if (bytes > available.bytes) {
      return fail(Fault::kOverloaded, "{}: {} bytes wanted, {} available ({})", owner, bytes,
                  available.bytes, available.bounded_by);
    }
  }
  void* raw = mapped < bytes ? MAP_FAILED
                             : mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) {
    const char* reason = std::strerror(mapped < bytes ? ENOMEM : errno);
    const AvailableMemory available = available_memory();
    return fail(Fault::kOverloaded, "{}: the system refused {} bytes: {}; {} available ({})", owner,
                bytes, reason, available.bytes, available.bounded_by);
  }
  auto* begin = static_cast<uint8_t*>(raw);
  auto* aligned = begin + (alignment - reinterpret_cast<uintptr_t>(begin) % alignment) % alignment;
  if (aligned != begin) munmap(begin, static_cast<size_t>(aligned - begin));
  const size_t tail = mapped - static_cast<size_t>(aligned - begin) - rounded;
  if (tail != 0) munmap(aligned + rounded, tail);
  if (large) {
    madvise(aligned, rounded, MADV_HUGEPAGE);
    place({aligned, rounded});
  }
  buffer.data_ = aligned;
  buffer.bytes_ = rounded;
  buffer.account_ = &process_memory().account(owner);
  buffer.account_->add(rounded);
  return buffer;
}

Result<void> set_memory_placement(const MemoryPlacement& placement, PlacementCalls& calls) {
  ProcessPlacement& process = process_placement();
  const std::lock_guard lock(process.mutex);
  process.placement = {};
  process.calls = nullptr;
  if (placement.mode == MemoryPlacement::Mode::kSystem) return {};
  CHECK(!placement.nodes.empty(), "memory on {} nodes", placement.nodes.size());
  void* page =
      mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) {
    return fail(Fault::kOverloaded, "memory placement: the system refused {} bytes: {}", kPageBytes,
                std::strerror(errno));
  }
  auto tried = calls.place({static_cast<uint8_t*>(page), kPageBytes}, placement);
  munmap(page, kPageBytes);
  if (!tried) return tried;
  process.placement = placement;
  process.calls = &calls;
  return {};
}

}  // namespace inferno
