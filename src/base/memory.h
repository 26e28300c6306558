// Large memory, taken once at start: weights, KV pages, activations.
//
// Buffers come from mmap, aligned to a huge page and advised to use them (a matrix of a gigabyte
// has a quarter of a million small pages; walking them costs a few per cent of the memory rate).
// The kernel hands out zeroed pages on first touch, so a generous pool costs nothing until it is
// used. Every buffer is counted by its owner (base/memory_tracker.h) and lies where placement wants
// it (base/placement.h).
//
// Threads: a Buffer is a value; allocation and set_memory_placement() may be called from any.
// Cost:    an allocation reads a few files to know what is available: not for the step path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/memory_limits.h"
#include "base/memory_tracker.h"
#include "base/placement.h"
#include "base/result.h"

namespace inferno {

class Buffer {
 public:
  Buffer() = default;
  ~Buffer();
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        account_(std::exchange(other.account_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  // Zeroed memory of at least `bytes`, aligned to 2 MiB where it is that large and to 4096
  // otherwise, counted for `owner` in process_memory() until it is given back. Fails with
  // Fault::kOverloaded, naming owner, wanted and available bytes, when the system refuses and,
  // from 2 MiB up, when that is more than available_memory(): the system would hand out addresses
  // for it all the same, and kill the process once they are used.
  static Result<Buffer> allocate(size_t bytes, std::string_view owner);

  // What allocate() takes for so many bytes: size() of its Buffer.
  static size_t taken_bytes(size_t bytes);

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
  MemoryAccount* account_ = nullptr;  // where these bytes are counted; none: nothing is held
};

// Decides where the pages of every Buffer of at least 2 MiB come from that is allocated from then
// on; smaller ones and those that exist stay as they are. To be called once at start, before
// weights are loaded; without it nothing is called. Tried on a page first: fails with
// Fault::kInvalid when the system refuses, and then leaves placement to the system. Where a later
// Buffer cannot be placed, its memory comes from wherever the system likes: slower, not wrong.
// `calls` must live until the next call of this function.
Result<void> set_memory_placement(const MemoryPlacement& placement,
                                  PlacementCalls& calls = system_placement_calls());

}  // namespace inferno
