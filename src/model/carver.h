// Hands out parts of one buffer, each aligned to 64 bytes.
//
// Run twice with the same calls: without a buffer it only counts, which says how large the buffer
// must be; with one it gives the addresses.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/kernels.h"

namespace inferno::model {

class Carver {
 public:
  // `base` is null to count, or aligned to 64.
  explicit Carver(uint8_t* base) : base_(base) {}

  // Room for `count` of T; null while counting.
  template <typename T>
  T* take(size_t count) {
    const size_t offset = used_;
    used_ += (count * sizeof(T) + 63) / 64 * 64;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + offset);
  }

  // Bytes of all parts so far.
  size_t used() const { return used_; }

 private:
  uint8_t* base_;
  size_t used_ = 0;
};

// How many rows of activations to have room for, and their k.
struct RowsRoom {
  size_t rows;
  size_t width;
};

// Rows and k of the result are 0: they are those of a product.
kernel::QuantizedRows take_quantized(Carver& carver, RowsRoom room, int block);
kernel::RoundedRows take_rounded(Carver& carver, RowsRoom room);

}  // namespace inferno::model
