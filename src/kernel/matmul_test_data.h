// Random tensors, packed matrices and activations for the tests of matrix products.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernel/kernels.h"

namespace inferno::kernel {

// Every tensor type that is packed.
inline constexpr TensorType kPackedTypes[] = {
    TensorType::kF32,   TensorType::kF16,     TensorType::kBF16,    TensorType::kQ4_0,
    TensorType::kQ4_1,  TensorType::kQ5_0,    TensorType::kQ5_1,    TensorType::kQ8_0,
    TensorType::kQ2_K,  TensorType::kQ3_K,    TensorType::kQ4_K,    TensorType::kQ5_K,
    TensorType::kQ6_K,  TensorType::kIQ4_NL,  TensorType::kIQ4_XS,  TensorType::kMXFP4,
    TensorType::kIQ1_S, TensorType::kIQ1_M,   TensorType::kIQ2_XXS, TensorType::kIQ2_XS,
    TensorType::kIQ2_S, TensorType::kIQ3_XXS, TensorType::kIQ3_S,   TensorType::kTQ1_0,
    TensorType::kTQ2_0};

// Bytes aligned to 64, as kernels want them.
class AlignedBytes {
 public:
  explicit AlignedBytes(size_t size) : bytes_(new(std::align_val_t{64}) uint8_t[size]) {
    std::memset(bytes_.get(), 0, size);
  }
  uint8_t* data() const { return bytes_.get(); }

 private:
  struct Free {
    void operator()(uint8_t* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<uint8_t[], Free> bytes_;
};

// Byte offsets of the float16 numbers of a block.
inline std::vector<size_t> f16_offsets(TensorType type) {
  switch (type) {
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return {0, 2};
    case TensorType::kQ2_K:
      return {80, 82};
    case TensorType::kQ3_K:
      return {108};
    case TensorType::kQ6_K:
      return {208};
    case TensorType::kTQ1_0:
      return {52};
    case TensorType::kTQ2_0:
      return {64};
    case TensorType::kIQ1_M:  // in four places
    case TensorType::kMXFP4:
      return {};
    default:
      return {0};
  }
}

// The bytes of a tensor [n, k]: random codes and sub-scales, finite scales of either sign around
// 0.01.
inline std::vector<uint8_t> random_tensor(TensorType type, int n, int k, std::mt19937& random) {
  const BlockShape block = block_shape(type);
  const size_t blocks = static_cast<size_t>(n) * static_cast<size_t>(k) / block.elements;
  std::vector<uint8_t> bytes(blocks * block.bytes);
  if (type == TensorType::kF32) {
    std::normal_distribution<float> normal(0.0f, 0.5f);
    for (size_t i = 0; i < blocks; ++i) {
      const float value = normal(random);
      std::memcpy(bytes.data() + 4 * i, &value, 4);
    }
    return bytes;
  }
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(random());
  }
  for (size_t i = 0; i < blocks; ++i) {
    uint8_t* at = bytes.data() + i * block.bytes;
    if (type == TensorType::kMXFP4) at[0] = static_cast<uint8_t>(110 + random() % 20);
    for (const size_t high : {49u, 51u, 53u, 55u}) {
      if (type == TensorType::kIQ1_M) at[high] &= 0xBF;  // a small exponent: finite
    }
    if (type == TensorType::kBF16) at[1] = static_cast<uint8_t>(0x3E | (random() & 0x80));
    for (const size_t offset : f16_offsets(type)) {
      if (type == TensorType::kBF16) continue;
      const uint16_t sign = static_cast<uint16_t>(random() & 0x8000u);
      const uint16_t half = static_cast<uint16_t>(sign | (0x1C00u + random() % 0x0800u));
      std::memcpy(at + offset, &half, 2);
    }
  }
  return bytes;
}

struct PackedTensor {
  PackedMatrix matrix;
  AlignedBytes bytes;
};

inline PackedTensor packed(TensorType type, int n, int k, const std::vector<uint8_t>& tensor) {
  PackedMatrix shape;
  if (!packed_shape(type, n, k, &shape)) std::abort();
  PackedTensor result = {shape, AlignedBytes(packed_bytes(shape))};
  const int panels = (n + 15) / 16;
  pack_panels(type, tensor.data(), shape, result.bytes.data(), {0, panels});
  result.matrix.data = result.bytes.data();
  return result;
}

inline float float_of_bf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

inline float rounded_value(const RoundedRows& x, int row, int k) {
  const int tile = row / 16 * ((x.k + 31) / 32) + k / 32;
  return float_of_bf16(x.x[(static_cast<size_t>(tile) * 16 + static_cast<size_t>(row % 16)) * 32 +
                           static_cast<size_t>(k % 32)]);
}

// Activations in the form a format wants, with the memory behind it.
class Activations {
 public:
  Activations(const std::vector<float>& floats, int rows, int k, ActivationKind kind)
      : floats_(floats), rows_(rows) {
    is_rounded_ = kind == ActivationKind::kRounded;
    if (is_rounded_) {
      rounded_.resize(rounded_bytes(rows, k) / sizeof(Line));
      rounded_rows_ = {rounded_.front().x, rows, k};
      table(Isa::kPlain)
          ->round_rows(floats_.data(), static_cast<size_t>(k), 0, rows, rounded_rows_);
    }
    quantized_ = {};
    quantized_.rows = rows;
    quantized_.k = k;
    quantized_.block = kind == ActivationKind::kBlock256 ? 256 : 32;
    if (kind == ActivationKind::kFloat || kind == ActivationKind::kRounded) return;
    q_.resize(floats.size());
    scale_.resize(floats.size() / static_cast<size_t>(quantized_.block));
    sum_.resize(floats.size() / 16);
    quantized_.q = q_.data();
    quantized_.scale = scale_.data();
    quantized_.sum = sum_.data();
    table(Isa::kPlain)->quantize_rows(floats_.data(), static_cast<size_t>(k), 0, rows, quantized_);
  }
  Activations(const Activations&) = delete;
  Activations& operator=(const Activations&) = delete;

  QuantizedRows& quantized() { return quantized_; }
  bool is_rounded() const { return is_rounded_; }
  MatmulInput input() const {
    return {.floats = floats_.data(),
            .rounded = &rounded_rows_,
            .quantized = &quantized_,
            .rows = rows_};
  }

 private:
  struct alignas(64) Line {
    uint16_t x[32];
  };
  std::vector<float> floats_;
  std::vector<Line> rounded_;
  RoundedRows rounded_rows_{};
  bool is_rounded_ = false;
  std::vector<int8_t> q_;
  std::vector<float> scale_;
  std::vector<int16_t> sum_;
  QuantizedRows quantized_;
  int rows_;
};

// The tables this CPU runs besides the plain one.
inline std::vector<const KernelTable*> fast_tables() {
  std::vector<const KernelTable*> tables;
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (const KernelTable* found = table(isa)) tables.push_back(found);
  }
  return tables;
}

inline std::vector<float> random_floats(size_t count, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::vector<float> result(count);
  for (float& value : result) {
    value = normal(random);
  }
  return result;
}

// y [rows, n] of all panels by one table.
inline std::vector<float> product(const KernelTable& kernels, const PackedMatrix& w,
                                  const MatmulInput& x) {
  const AlignedBytes scratch(kMatmulScratchBytes);
  std::vector<float> y(static_cast<size_t>(x.rows) * static_cast<size_t>(w.n));
  kernels.matmul(w, x, {y.data(), static_cast<size_t>(w.n), 0, (w.n + 15) / 16, false},
                 scratch.data());
  return y;
}

}  // namespace inferno::kernel
