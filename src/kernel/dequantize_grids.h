// The codebooks of the IQ formats: points of 8 or 4 small values, each packed into 16 bits.
//
//   two bits a value, 8 values (value i in bits 2i):    kGridIq2Xxs kGridIq2Xs kGridIq2S, kGridIq1S
//   four bits a value, 4 values (value i in bits 4i):   kGridIq3Xxs kGridIq3S
//
// A packed value is an index: into kLevelsIq2, kLevelsIq3Xxs, kLevelsIq3S; for IQ1 it is the value
// plus 1.
#pragma once

#include <stdint.h>

namespace inferno::kernel {

extern const uint16_t kGridIq2Xxs[256];
extern const uint16_t kGridIq2Xs[512];
extern const uint16_t kGridIq2S[1024];
extern const uint16_t kGridIq3Xxs[256];
extern const uint16_t kGridIq3S[512];
extern const uint16_t kGridIq1S[2048];

inline constexpr int8_t kLevelsIq2[4] = {8, 25, 43, 0};  // the last is never used
inline constexpr int8_t kLevelsIq3Xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62};
inline constexpr int8_t kLevelsIq3S[8] = {1, 3, 5, 7, 9, 11, 13, 15};

}  // namespace inferno::kernel
