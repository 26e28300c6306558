// The exponential of a softmax: weights too small to matter are 0.
#pragma once

#include "kernel/isa/vec.h"

namespace inferno::kernel::INFERNO_ISA {

// Below this distance from the maximum a weight is 0. e^-87 is just above the smallest normal
// float: results below that are slow to make (the processor traps to microcode) and add nothing to
// a sum that is at least 1.
inline constexpr float kLeastExponent = -87.0f;

// e^x, 0 below kLeastExponent, NaN for NaN.
inline Floats weight_of(Floats x) {
  const Floats least = set1(kLeastExponent);
  return select(less(x, least), zero(), exp(max(least, x)));
}

}  // namespace inferno::kernel::INFERNO_ISA
