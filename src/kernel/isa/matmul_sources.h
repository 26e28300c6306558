// Where the quantized matrix products get their weights from: a stretch of 256 k of one panel,
// either packed as formats.h says and unpacked in registers, or unpacked before into a tile that
// many rows share.
//
// A source has, for sub-blocks `sub` (kSubs of them in 256 k, kSteps steps each):
//   codes(sub, step)   the Codes of a step
//   scale(sub)         Floats: the scale of a group of 32, or the sub-scale (an integer) of a
//   super-block
//   minimum(sub)       Floats: groups of 32 with a minimum
//   minima(pair)       Ints of int16 pairs: super-blocks with minima
//   d(), dmin()        Floats: super-blocks
// and kMaxCode; kExact: how many sub-blocks' products of sub-scale and dot product float still adds
// exactly, that is, below 2^24; kZeroPoint: the code that means 0 (groups of 32:
// PackedMatrix::zero_point).
#pragma once

#include "kernel/formats.h"
#include "kernel/isa/dot.h"

namespace inferno::kernel::INFERNO_ISA {

// How far ahead of its use a packed byte is fetched into L1 where a tile is unpacked for many rows
// (few rows: MatmulInput::prefetch_bytes): no further than what was fetched into L2 before.
inline constexpr int kTilePrefetchBytes = 1536;

inline Codes load_packed(const uint8_t* p, int ahead) {
  __builtin_prefetch(p + ahead);
  return load_codes(p);
}

inline Floats load_scales(const uint8_t* p, ScaleType type) {
  const uint16_t* scales = reinterpret_cast<const uint16_t*>(p);
  const bool is_f16 = type == ScaleType::kF16 || type == ScaleType::kF16Zeros;
  return is_f16 ? load_f16(scales) : load_bf16(scales);
}
inline Floats load_f16_row(const uint8_t* p) {
  return load_f16(reinterpret_cast<const uint16_t*>(p));
}

enum class GroupCodes { kNibbles, kNibblesAndBits, kBytes, kCodebook };

// kQ4, kQ5 and kQ8: a stretch is 8 groups, that is 4 units.
template <GroupCodes kCodes, bool kHasMinimum>
struct GroupSource {
  static constexpr bool kMinimum = kHasMinimum;
  static constexpr int kSubs = 8;
  static constexpr int kSteps = 8;
  static constexpr int kExact = 0, kZeroPoint = 0;  // of no use here
  static constexpr int kMaxCode = kCodes == GroupCodes::kNibbles          ? 15
                                  : kCodes == GroupCodes::kNibblesAndBits ? 31
                                                                          : 255;
  static constexpr int kGroupBytes =
      kCodes == GroupCodes::kBytes ? layout::kQ8GroupBytes : layout::kQ4GroupBytes;
  static constexpr int kScales = kCodes == GroupCodes::kBytes            ? layout::kQ8ScalesOffset
                                 : kCodes == GroupCodes::kNibblesAndBits ? layout::kQ5ScalesOffset
                                                                         : layout::kQ4ScalesOffset;
  static constexpr int kUnitBytes = kScales + (kHasMinimum ? 4 : 2) * layout::kScaleRowBytes;
  static constexpr int kStretchBytes = 4 * kUnitBytes;

  const uint8_t* bytes;
  int ahead;
  ScaleType scale_type;
  Codebook book;

  GroupSource(const PackedMatrix& w, const uint8_t* stretch, int distance = kTilePrefetchBytes)
      : bytes(stretch), ahead(distance), scale_type(w.scale_type), book{} {
    if constexpr (kCodes == GroupCodes::kCodebook) book = load_codebook(w.codebook);
  }

  const uint8_t* unit(int sub) const { return bytes + sub / 2 * kUnitBytes; }
  template <int kStep>
  INFERNO_INLINE Codes codes(int sub, Index<kStep>) const {
    const uint8_t* group = unit(sub) + sub % 2 * kGroupBytes;
    if constexpr (kCodes == GroupCodes::kBytes) {
      return load_packed(group + kStep * layout::kStepBytes, ahead);
    } else {
      const Codes low =
          nibbles_of<kStep>(load_packed(group + kStep / 2 * layout::kStepBytes, ahead));
      if constexpr (kCodes == GroupCodes::kCodebook) return look_up(book, low);
      if constexpr (kCodes == GroupCodes::kNibblesAndBits) {
        return add_bits<16>(low, unit(sub) + layout::kQ5BitsOffset + sub % 2 * 64 + kStep * 8);
      }
      return low;
    }
  }
  Floats scale(int sub) const {
    return load_scales(unit(sub) + kScales + sub % 2 * layout::kScaleRowBytes, scale_type);
  }
  Floats minimum(int sub) const {
    const Floats stored =
        load_scales(unit(sub) + kScales + (2 + sub % 2) * layout::kScaleRowBytes, scale_type);
    return scale_type >= ScaleType::kF16Zeros ? mul(stored, scale(sub)) : stored;
  }
};

struct Q4KSource {
  static constexpr bool kMinimum = true;
  static constexpr int kSubs = 8, kSteps = 8, kMaxCode = 15, kZeroPoint = 0;
  static constexpr int kExact = 4;  // 4 * 63 * 15 * 127 * 32 < 2^24
  static constexpr layout::SuperBlockLayout kLayout = layout::kQ4K;
  static constexpr int kStretchBytes = kLayout.bytes;
  const uint8_t* bytes;
  int ahead;
  Q4KSource(const PackedMatrix&, const uint8_t* stretch, int distance = kTilePrefetchBytes)
      : bytes(stretch), ahead(distance) {}

  template <int kStep>
  INFERNO_INLINE Codes codes(int sub, Index<kStep>) const {
    return nibbles_of<kStep>(
        load_packed(bytes + sub * 256 + kStep / 2 * layout::kStepBytes, ahead));
  }
  Floats scale(int sub) const { return to_float(widen_u8(bytes + kLayout.sub_scales + sub * 16)); }
  Ints minima(int pair) const { return widen_to_pairs(bytes + kLayout.minima + pair * 32); }
  Floats d() const { return load_f16_row(bytes + kLayout.d); }
  Floats dmin() const { return load_f16_row(bytes + kLayout.dmin); }
};

struct Q5KSource {
  static constexpr bool kMinimum = true;
  static constexpr int kSubs = 8, kSteps = 8, kMaxCode = 31, kZeroPoint = 0;
  static constexpr int kExact = 2;  // 2 * 63 * 31 * 127 * 32 < 2^24
  static constexpr layout::SuperBlockLayout kLayout = layout::kQ5K;
  static constexpr int kStretchBytes = kLayout.bytes;
  const uint8_t* bytes;
  int ahead;
  Q5KSource(const PackedMatrix&, const uint8_t* stretch, int distance = kTilePrefetchBytes)
      : bytes(stretch), ahead(distance) {}

  template <int kStep>
  INFERNO_INLINE Codes codes(int sub, Index<kStep>) const {
    const uint8_t* nibbles = bytes + sub * 256 + kStep / 2 * layout::kStepBytes;
    return add_bits<16>(nibbles_of<kStep>(load_packed(nibbles, ahead)),
                        bytes + kLayout.bits + (sub * kSteps + kStep) * 8);
  }
  Floats scale(int sub) const { return to_float(widen_u8(bytes + kLayout.sub_scales + sub * 16)); }
  Ints minima(int pair) const { return widen_to_pairs(bytes + kLayout.minima + pair * 32); }
  Floats d() const { return load_f16_row(bytes + kLayout.d); }
  Floats dmin() const { return load_f16_row(bytes + kLayout.dmin); }
};

struct Q6KSource {
  static constexpr bool kMinimum = false;
  static constexpr int kSubs = 16, kSteps = 4, kMaxCode = 63, kZeroPoint = 32;
  static constexpr int kExact = 2;  // 2 * 128 * 32 * 127 * 16 < 2^24
  static constexpr layout::SuperBlockLayout kLayout = layout::kQ6K;
  static constexpr int kStretchBytes = kLayout.bytes;
  const uint8_t* bytes;
  int ahead;
  Q6KSource(const PackedMatrix&, const uint8_t* stretch, int distance = kTilePrefetchBytes)
      : bytes(stretch), ahead(distance) {}

  template <int kStep>
  INFERNO_INLINE Codes codes(int sub, Index<kStep>) const {
    const Codes low =
        nibbles_of<kStep>(load_packed(bytes + sub * 128 + kStep / 2 * layout::kStepBytes, ahead));
    return add_pairs_shifted<kStep>(low, load_packed(bytes + kLayout.pairs + sub * 64, ahead));
  }
  Floats scale(int sub) const { return to_float(widen_i8(bytes + kLayout.sub_scales + sub * 16)); }
  Floats d() const { return load_f16_row(bytes + kLayout.d); }
};

struct Q3KSource {
  static constexpr bool kMinimum = false;
  static constexpr int kSubs = 16, kSteps = 4, kMaxCode = 7, kZeroPoint = 4;
  static constexpr int kExact = 16;  // 16 * 32 * 4 * 127 * 16 < 2^24
  static constexpr layout::SuperBlockLayout kLayout = layout::kQ3K;
  static constexpr int kStretchBytes = kLayout.bytes;
  const uint8_t* bytes;
  int ahead;
  Q3KSource(const PackedMatrix&, const uint8_t* stretch, int distance = kTilePrefetchBytes)
      : bytes(stretch), ahead(distance) {}

  template <int kStep>
  INFERNO_INLINE Codes codes(int sub, Index<kStep>) const {
    return add_bits<4>(pairs_of<kStep>(load_packed(bytes + sub * 64, ahead)),
                       bytes + kLayout.bits + (sub * kSteps + kStep) * 8);
  }
  Floats scale(int sub) const { return to_float(widen_i8(bytes + kLayout.sub_scales + sub * 16)); }
  Floats d() const { return load_f16_row(bytes + kLayout.d); }
};

struct Q2KSource {
  static constexpr bool kMinimum = true;
  static constexpr int kSubs = 16, kSteps = 4, kMaxCode = 3, kZeroPoint = 0;
  static constexpr int kExact = 16;  // 16 * 15 * 3 * 127 * 16 < 2^24
  static constexpr layout::SuperBlockLayout kLayout = layout::kQ2K;
  static constexpr int kStretchBytes = kLayout.bytes;
  const uint8_t* bytes;
  int ahead;
  Q2KSource(const PackedMatrix&, const uint8_t* stretch, int distance = kTilePrefetchBytes)
      : bytes(stretch), ahead(distance) {}

  template <int kStep>
  INFERNO_INLINE Codes codes(int sub, Index<kStep>) const {
    return pairs_of<kStep>(load_packed(bytes + sub * 64, ahead));
  }
  Ints both(int pair) const { return widen_to_pairs(bytes + kLayout.sub_scales + pair * 32); }
  Floats scale(int sub) const {
    const Ints scales = low_nibble_pairs<0>(both(sub / 2));
    return to_float(sub % 2 == 0 ? first_of_pairs(scales) : second_of_pairs(scales));
  }
  Ints minima(int pair) const { return low_nibble_pairs<4>(both(pair)); }
  Floats d() const { return load_f16_row(bytes + kLayout.d); }
  Floats dmin() const { return load_f16_row(bytes + kLayout.dmin); }
};

// kCodebook4K and kCodebook4KFine.
template <int kSubElements>
struct CodebookSource {
  static constexpr bool kMinimum = false;
  static constexpr int kSubs = 256 / kSubElements, kSteps = kSubElements / 4;
  static constexpr int kMaxCode = 255, kZeroPoint = 128;
  // Over 32 k, IQ4_XS: 32 * 127 * 127 * 32 < 2^24. Over 16 k, IQ2: 4 * 31 * 43 * 127 * 16 < 2^24.
  static constexpr int kExact = kSubElements == 32 ? 1 : 4;
  static constexpr layout::SuperBlockLayout kLayout =
      kSubElements == 32 ? layout::kCodebook4K : layout::kCodebook4KFine;
  static constexpr int kStretchBytes = kLayout.bytes;
  const uint8_t* bytes;
  int ahead;
  Codebook book;
  CodebookSource(const PackedMatrix& w, const uint8_t* stretch, int distance = kTilePrefetchBytes)
      : bytes(stretch), ahead(distance), book(load_codebook(w.codebook)) {}

  template <int kStep>
  INFERNO_INLINE Codes codes(int sub, Index<kStep>) const {
    const uint8_t* nibbles = bytes + sub * kSubElements * 8 + kStep / 2 * layout::kStepBytes;
    return look_up(book, nibbles_of<kStep>(load_packed(nibbles, ahead)));
  }
  Floats scale(int sub) const { return to_float(widen_i8(bytes + kLayout.sub_scales + sub * 16)); }
  Floats d() const { return load(reinterpret_cast<const float*>(bytes + kLayout.d)); }
};

struct TernaryKSource {
  static constexpr bool kMinimum = false;
  static constexpr int kSubs = 8, kSteps = 8, kMaxCode = 3, kZeroPoint = 1;
  static constexpr int kExact = 8;  // 8 * 2 * 127 * 32 < 2^24
  static constexpr layout::SuperBlockLayout kLayout = layout::kTernaryK;
  static constexpr int kStretchBytes = kLayout.bytes;
  const uint8_t* bytes;
  int ahead;
  TernaryKSource(const PackedMatrix&, const uint8_t* stretch, int distance = kTilePrefetchBytes)
      : bytes(stretch), ahead(distance) {}

  template <int kStep>
  INFERNO_INLINE Codes codes(int sub, Index<kStep>) const {
    return pairs_of<kStep>(load_packed(bytes + sub * 128 + kStep / 4 * layout::kStepBytes, ahead));
  }
  Floats scale(int) const { return set1(1.0f); }
  Floats d() const { return load_f16_row(bytes + kLayout.d); }
};

// What unpacking leaves for many rows: 256 k of kTilePanels panels. At most 12.5 KiB, so it stays
// in L1.
struct Tile {
  alignas(64) uint8_t codes[64][kTilePanels][64];
  float scale[16][kTilePanels][16];
  float minimum[8][kTilePanels][16];   // groups of 32
  int32_t minima[8][kTilePanels][16];  // super-blocks: pairs of int16
  float d[kTilePanels][16];
  float dmin[kTilePanels][16];
};

// Panel `panel` of a tile, as the source S that filled it.
template <class S>
struct TileSource {
  static constexpr bool kMinimum = S::kMinimum;
  static constexpr int kSubs = S::kSubs, kSteps = S::kSteps, kMaxCode = S::kMaxCode;
  static constexpr int kExact = S::kExact, kZeroPoint = S::kZeroPoint;
  const Tile* tile;
  int panel;

  template <int kStep>
  INFERNO_INLINE Codes codes(int sub, Index<kStep>) const {
    return load_codes(tile->codes[sub * kSteps + kStep][panel]);
  }
  Floats scale(int sub) const { return load(tile->scale[sub][panel]); }
  Floats minimum(int sub) const { return load(tile->minimum[sub][panel]); }
  Ints minima(int pair) const { return load_int(tile->minima[pair][panel]); }
  Floats d() const { return load(tile->d[panel]); }
  Floats dmin() const { return load(tile->dmin[panel]); }
};

}  // namespace inferno::kernel::INFERNO_ISA
