// The exponentials of a softmax: weights too small to matter are 0.
#pragma once

#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {

// Below this distance from the maximum a weight is 0. e^-87 is just above the smallest normal
// float: results below that are slow to make (the processor traps to microcode) and add nothing to
// a sum that is at least 1.
inline constexpr float kLeastExponent = -87.0f;

// Below this exponent of two a weight of attention is 0: it adds nothing to a sum that is at least
// 1, and its product with any value but a tiny one is still a normal float.
inline constexpr float kLeastPower = -100.0f;

// 2^x - 2^-100 for x in [-100, 0], to about 2e-7 of the power; 0 below, 1 at 0, NaN for NaN.
// x = n + r with |r| <= 1/2; 2^r by a polynomial of degree 5 (least largest relative error, with
// the constant 1).
inline Floats power_weight_of(Floats x) {
  x = max(set1(kLeastPower), x);
  // 1.5 * 2^23 + 127: the low bits of the sum hold n + 127, the exponent field of 2^n.
  const Floats magic = set1(12583039.0f);
  const Floats shifted = add(x, magic);
  const Floats r = sub(x, sub(shifted, magic));
  Floats p = set1(0.00132647261f);
  p = fma(p, r, set1(0.00967151299f));
  p = fma(p, r, set1(0.0555073358f));
  p = fma(p, r, set1(0.240222424f));
  p = fma(p, r, set1(0.693147004f));
  p = fma(p, r, set1(1.0f));
  return sub(mul(p, floats_of(shift_left<23>(bits_of(shifted)))), set1(0x1p-100f));
}

}  // namespace inferno::kernel::INFERNO_ISA
