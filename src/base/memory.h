// Large memory, taken once at start: weights, KV pages, activations.
//
// Buffers come from mmap, aligned to a huge page and advised to use them (a matrix of a gigabyte
// has a quarter of a million small pages; walking them costs a few per cent of the memory rate).
// The kernel hands out zeroed pages on first touch, so a generous pool costs nothing until it is
// used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"

namespace inferno {

class Buffer {
 public:
  Buffer() = default;
  ~Buffer();
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  // Zeroed memory of at least `bytes`, aligned to 2 MiB where it is that large and to 4096
  // otherwise. `owner` names it in the error when the system refuses (Fault::kOverloaded).
  static Result<Buffer> allocate(size_t bytes, const char* owner);

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return bytes_; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

// Memory that can be had now without swapping: the lesser of MemAvailable and what the cgroup
// leaves, in bytes.
size_t available_memory_bytes();

// Resident set of this process in bytes, now and at its highest.
struct ResidentMemory {
  size_t now_bytes = 0;
  size_t peak_bytes = 0;
};
ResidentMemory resident_memory();

}  // namespace inferno
