// Writing keys and values into their pages (kernels.h, store_kv): converted a vector at a time,
// keys then scattered into their column of the page.
#include "kernel/isa/attend.h"
#include "kernel/isa/bf16.h"
#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

// As in quantize_rows: below this the reciprocal of the largest magnitude would overflow.
constexpr float kSmallestMagnitude = 0x1p-100f;

// Where one position's key and value go.
struct Slot {
  uint8_t* page;
  int index;  // 0 to 15
};

// How 16 floats become 16 elements of the cache.
struct ToF32 {
  using Element = float;
  static void convert(const float* x, float* to) { store(to, load(x)); }
};
struct ToF16 {
  using Element = uint16_t;
  static void convert(const float* x, uint16_t* to) { store_f16(to, load(x)); }
};
struct ToBF16 {
  using Element = uint16_t;
  static void convert(const float* x, uint16_t* to) {
    for (int i = 0; i < 16; ++i)
      to[i] = bf16_of_float(x[i]);
  }
};

template <typename To>
void store_floats(const float* k, const float* v, int width, Slot slot) {
  using Element = typename To::Element;
  Element* keys = reinterpret_cast<Element*>(slot.page) + slot.index;
  Element* values = reinterpret_cast<Element*>(slot.page) + (kPagePositions + slot.index) * width;
  for (int e = 0; e < width; e += 16) {
    Element converted[16];
    To::convert(k + e, converted);
    for (int i = 0; i < 16; ++i)
      keys[(e + i) * kPagePositions] = converted[i];
    To::convert(v + e, values + e);
  }
}

// Rounds `width` floats to int8; returns the scale.
float round_to_int8(const float* x, int width, int8_t* codes) {
  Floats magnitude = zero();
  Floats poison = zero();  // becomes NaN with the first infinity or NaN
  for (int e = 0; e < width; e += 16) {
    const Floats v = load(x + e);
    magnitude = max(abs(v), magnitude);
    poison = fma(v, zero(), poison);
  }
  const float largest = reduce_max(magnitude);
  const bool usable = largest >= kSmallestMagnitude && reduce_add(poison) == 0.0f;
  const Floats factor = set1(usable ? 127.0f / largest : 0.0f);
  for (int e = 0; e < width; e += 16)
    store_int8(codes + e, usable ? to_int(mul(load(x + e), factor)) : set1_int(0));
  return usable ? largest / 127.0f : 0.0f;
}

void store_int8_pairs(const float* k, const float* v, int width, Slot slot) {
  int8_t codes[kMaxHeadWidth];
  int8_t* keys = reinterpret_cast<int8_t*>(slot.page) + 2 * slot.index;
  int8_t* values = reinterpret_cast<int8_t*>(slot.page) +
                   (kPagePositions + slot.index / 2 * 2) * width + slot.index % 2;
  float* scales = reinterpret_cast<float*>(slot.page + 2 * kPagePositions * width) + slot.index;
  scales[0] = round_to_int8(k, width, codes);
  for (int e = 0; e < width; e += 2) {
    keys[e * kPagePositions] = codes[e];
    keys[e * kPagePositions + 1] = codes[e + 1];
  }
  scales[kPagePositions] = round_to_int8(v, width, codes);
  for (int e = 0; e < width; ++e)
    values[2 * e] = codes[e];
}

}  // namespace

void store_kv(const KvRows& in) {
  for (int row = 0; row < in.rows; ++row) {
    const int position = in.first_position + row;
    const Slot slot = {in.kv_base + in.page_table[position / kPagePositions] * in.page_stride,
                       position % kPagePositions};
    const float* k = in.k + static_cast<size_t>(row) * in.row_stride;
    const float* v = in.v + static_cast<size_t>(row) * in.row_stride;
    switch (in.kv_type) {
      case KvType::kF32:
        store_floats<ToF32>(k, v, in.head_width, slot);
        break;
      case KvType::kF16:
        store_floats<ToF16>(k, v, in.head_width, slot);
        break;
      case KvType::kBF16:
        store_floats<ToBF16>(k, v, in.head_width, slot);
        break;
      case KvType::kInt8:
        store_int8_pairs(k, v, in.head_width, slot);
        break;
    }
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
