// Tables of the Unicode Character Database that normalization and WordPiece need. Written by
// unicode_tables.py; the functions that read them are in unicode_normalize.h.
//
// All are sorted by code. Threads: constant data.
#pragma once

#include <array>
#include <cstdint>

namespace inferno::token {

// The characters first..last.
struct CodeRange {
  char32_t first;
  char32_t last;
};

// Of first..last every `step`th has its lower case `delta` further.
struct LowerRange {
  char32_t first;
  char32_t last;
  int32_t step;
  int32_t delta;
};

// first..last have the canonical combining class `order` (never 0).
struct ClassRange {
  char32_t first;
  char32_t last;
  uint8_t order;
};

// `code` decomposes to `first` and `second` (0: to `first` alone).
struct Decomposition {
  char32_t code;
  char32_t first;
  char32_t second;
};

// General category Mn.
extern const std::array<CodeRange, 336> kNonspacingMarks;

// General categories P*.
extern const std::array<CodeRange, 189> kPunctuation;

// General categories Cc, Cf, Co.
extern const std::array<CodeRange, 26> kControls;

// Simple lower case.
extern const std::array<LowerRange, 181> kLowerCase;

// Canonical combining classes other than 0.
extern const std::array<ClassRange, 382> kCombiningClasses;

// Canonical decompositions whose parts compose again.
extern const std::array<Decomposition, 941> kCompositions;

// Canonical decompositions that composition leaves as they are (Full_Composition_Exclusion).
extern const std::array<Decomposition, 1120> kOneWay;

}  // namespace inferno::token
