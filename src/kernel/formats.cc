// Which packed format each tensor type of a file becomes, and how large it is.
#include "kernel/formats.h"

#include "kernel/dequantize_formats.h"
#include "kernel/kernels.h"

namespace inferno::kernel {
namespace {

struct Packing {
  TensorType type;
  PackedFormat format;
  int zero_point;
  bool has_minimum;
  ScaleType scale_type;
  const int8_t* codebook;
};

constexpr ScaleType kF16 = ScaleType::kF16;

constexpr Packing kPackings[] = {
    {TensorType::kF32, PackedFormat::kF32, 0, false, kF16, nullptr},
    {TensorType::kF16, PackedFormat::kF16, 0, false, kF16, nullptr},
    {TensorType::kBF16, PackedFormat::kBF16, 0, false, kF16, nullptr},
    {TensorType::kQ4_0, PackedFormat::kQ4, 8, false, kF16, nullptr},
    {TensorType::kQ4_1, PackedFormat::kQ4, 0, true, kF16, nullptr},
    {TensorType::kQ5_0, PackedFormat::kQ5, 16, false, kF16, nullptr},
    {TensorType::kQ5_1, PackedFormat::kQ5, 0, true, kF16, nullptr},
    {TensorType::kQ8_0, PackedFormat::kQ8, 128, false, kF16, nullptr},
    {TensorType::kIQ4_NL, PackedFormat::kQ4, 0, false, kF16, kLevelsIq4},
    {TensorType::kMXFP4, PackedFormat::kQ4, 0, false, ScaleType::kBF16, kLevelsE2m1},
    {TensorType::kQ2_K, PackedFormat::kQ2K, 0, true, kF16, nullptr},
    {TensorType::kQ3_K, PackedFormat::kQ3K, 4, false, kF16, nullptr},
    {TensorType::kQ4_K, PackedFormat::kQ4K, 0, true, kF16, nullptr},
    {TensorType::kQ5_K, PackedFormat::kQ5K, 0, true, kF16, nullptr},
    {TensorType::kQ6_K, PackedFormat::kQ6K, 32, false, kF16, nullptr},
    {TensorType::kIQ4_XS, PackedFormat::kCodebook4K, 0, false, kF16, kLevelsIq4},
    {TensorType::kIQ1_S, PackedFormat::kCodebook4K, 0, false, kF16, kBookIq1},
    {TensorType::kIQ1_M, PackedFormat::kCodebook4KFine, 0, false, kF16, kBookIq1},
    {TensorType::kIQ2_XXS, PackedFormat::kCodebook4K, 0, false, kF16, kBookIq2},
    {TensorType::kIQ2_XS, PackedFormat::kCodebook4KFine, 0, false, kF16, kBookIq2},
    {TensorType::kIQ2_S, PackedFormat::kCodebook4KFine, 0, false, kF16, kBookIq2},
    {TensorType::kIQ3_XXS, PackedFormat::kCodebook4K, 0, false, kF16, kBookIq3Xxs},
    {TensorType::kIQ3_S, PackedFormat::kCodebook4K, 0, false, kF16, kBookIq3S},
    {TensorType::kTQ1_0, PackedFormat::kTernaryK, 1, false, kF16, nullptr},
    {TensorType::kTQ2_0, PackedFormat::kTernaryK, 1, false, kF16, nullptr},
};

// Completes a shape whose format and dimensions are known.
void set_panel_bytes(PackedMatrix* shape) {
  const size_t elements = static_cast<size_t>(unit_elements(shape->format));
  const size_t units = (static_cast<size_t>(shape->k) + elements - 1) / elements;
  const size_t bytes = units * static_cast<size_t>(unit_bytes(*shape));
  shape->panel_bytes = (bytes + 63) / 64 * 64;
}

size_t panel_count(const PackedMatrix& shape) {
  return (static_cast<size_t>(shape.n) + layout::kPanelOutputs - 1) / layout::kPanelOutputs;
}

}  // namespace

int unit_elements(PackedFormat format) {
  switch (activation_kind(format)) {
    case ActivationKind::kFloat:
      return 1;
    case ActivationKind::kRounded:
      return layout::kRoundedK;
    case ActivationKind::kBlock32:
      return 2 * layout::kGroup;
    case ActivationKind::kBlock256:
      return layout::kSuperBlock;
  }
  return 1;
}

int unit_bytes(const PackedMatrix& shape) {
  const int scale_bytes = (shape.has_minimum ? 4 : 2) * layout::kScaleRowBytes;
  switch (shape.format) {
    case PackedFormat::kF32:
      return 64;
    case PackedFormat::kF16:
      return 32;
    case PackedFormat::kBF16:
      return layout::kRoundedTileBytes;
    case PackedFormat::kQ4:
      return layout::kQ4ScalesOffset + scale_bytes;
    case PackedFormat::kQ5:
      return layout::kQ5ScalesOffset + scale_bytes;
    case PackedFormat::kQ8:
      return layout::kQ8ScalesOffset + scale_bytes;
    case PackedFormat::kQ2K:
      return layout::kQ2K.bytes;
    case PackedFormat::kQ3K:
      return layout::kQ3K.bytes;
    case PackedFormat::kQ4K:
      return layout::kQ4K.bytes;
    case PackedFormat::kQ5K:
      return layout::kQ5K.bytes;
    case PackedFormat::kQ6K:
      return layout::kQ6K.bytes;
    case PackedFormat::kCodebook4K:
      return layout::kCodebook4K.bytes;
    case PackedFormat::kCodebook4KFine:
      return layout::kCodebook4KFine.bytes;
    case PackedFormat::kTernaryK:
      return layout::kTernaryK.bytes;
  }
  return 0;
}

ActivationKind activation_kind(PackedFormat format) {
  if (format <= PackedFormat::kF16) return ActivationKind::kFloat;
  if (format == PackedFormat::kBF16) return ActivationKind::kRounded;
  if (format <= PackedFormat::kQ8) return ActivationKind::kBlock32;
  return ActivationKind::kBlock256;
}

bool packed_shape(TensorType type, int n, int k, PackedMatrix* shape) {
  for (const Packing& packing : kPackings) {
    if (packing.type != type) continue;
    if (n < 1 || k < 1 || k % static_cast<int>(block_shape(type).elements) != 0) return false;
    *shape = {};
    shape->format = packing.format;
    shape->n = n;
    shape->k = k;
    shape->zero_point = packing.zero_point;
    shape->has_minimum = packing.has_minimum;
    shape->scale_type = packing.scale_type;
    shape->codebook = packing.codebook;
    set_panel_bytes(shape);
    return true;
  }
  return false;
}

bool grouped_shape(const GroupedCodes& codes, int n, int k, PackedMatrix* shape) {
  const bool is_known = codes.bits == 4 || (codes.bits == 8 && !codes.has_zeros);
  if (!is_known || n < 1 || k < 1 || k % layout::kGroup != 0) return false;
  *shape = {};
  shape->format = codes.bits == 4 ? PackedFormat::kQ4 : PackedFormat::kQ8;
  shape->n = n;
  shape->k = k;
  shape->has_minimum = codes.has_zeros;
  shape->zero_point = codes.has_zeros ? 0 : codes.bits == 4 ? 8 : 128;
  if (codes.has_zeros) {
    shape->scale_type = codes.scales_are_bf16 ? ScaleType::kBF16Zeros : ScaleType::kF16Zeros;
  } else {
    shape->scale_type = codes.scales_are_bf16 ? ScaleType::kBF16 : ScaleType::kF16;
  }
  set_panel_bytes(shape);
  return true;
}

size_t rounded_bytes(int rows, int k) {
  const size_t row_tiles =
      static_cast<size_t>(rows + layout::kRoundedTileRows - 1) / layout::kRoundedTileRows;
  const size_t k_tiles = static_cast<size_t>(k + layout::kRoundedK - 1) / layout::kRoundedK;
  return row_tiles * k_tiles * layout::kRoundedTileBytes;
}

size_t packed_bytes(const PackedMatrix& shape) {
  return panel_count(shape) * shape.panel_bytes;
}

}  // namespace inferno::kernel
