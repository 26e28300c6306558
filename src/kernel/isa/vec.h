// Sixteen floats at a time, spelled the same for every instruction set.
//
//   Floats   16 float      Ints   16 int32      Lanes   16 yes-or-no
//
// A kernel includes this file inside no namespace and uses the names inside
// `namespace inferno::kernel::INFERNO_ISA`. The width is 16 everywhere: one register of AVX-512,
// two of AVX2, an array in plain C++; and every operation is one rounding per lane, in a fixed
// order where lanes are combined, so that all three give the same bits (a NaN stays a NaN; its
// payload is not promised).
//
// Every vec_*.h declares the same functions; vec_plain.h says what each does.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(INFERNO_ISA_AVX512)
#include "kernel/isa/vec_avx512.h"
#elif defined(INFERNO_ISA_AVX2)
#include "kernel/isa/vec_avx2.h"
#else
#include "kernel/isa/vec_plain.h"
#endif

namespace inferno::kernel::INFERNO_ISA {

// Lane 0 + ... + lane 15 as a tree: i with i + 8, then + 4, + 2, + 1.
inline float reduce_add(Floats v);
// The largest lane, by the same tree of max().
inline float reduce_max(Floats v);

// e^x to about 1 ulp: 0 below -103.98, infinity above 88.73, NaN for NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by a polynomial of degree 6 (Chebyshev interpolation).
inline Floats exp(Floats x) {
  const Floats low = set1(-110.0f);
  const Floats high = set1(100.0f);
  x = min(high, max(low, x));  // a NaN is the second operand, and passes
  // 1.5 * 2^23: adding it rounds to an integer, which the low bits of the sum then hold.
  const Floats magic = set1(12582912.0f);
  const Floats shifted = fma(x, set1(1.44269504f), magic);
  const Floats n = sub(shifted, magic);
  Floats r = fnma(n, set1(0.693145752f), x);  // the high 15 bits of ln 2: n * it is exact
  r = fnma(n, set1(1.42860682e-6f), r);
  Floats p = set1(0.00139269266f);
  p = fma(p, r, set1(0.00836377387f));
  p = fma(p, r, set1(0.0416665550f));
  p = fma(p, r, set1(0.166665734f));
  p = fma(p, r, set1(0.5f));
  p = fma(mul(p, r), r, r);
  p = add(p, set1(1.0f));
  // 2^n in two factors: n reaches -159 and 144, beyond one exponent.
  const Ints exponent = sub_int(bits_of(shifted), set1_int(0x4B400000));
  const Ints half = shift_right<1>(exponent);
  const Ints rest = sub_int(exponent, half);
  const Ints bias = set1_int(127);
  p = mul(p, floats_of(shift_left<23>(add_int(half, bias))));
  return mul(p, floats_of(shift_left<23>(add_int(rest, bias))));
}

// tanh x to about 2 ulp, NaN for NaN: below 0.625 an odd polynomial, else 1 - 2 / (e^(2|x|) + 1).
inline Floats tanh(Floats x) {
  const Floats a = abs(x);
  const Floats z = mul(x, x);
  Floats p = set1(-0.00609671417f);
  p = fma(p, z, set1(0.0209971790f));
  p = fma(p, z, set1(-0.0538509096f));
  p = fma(p, z, set1(0.133327698f));
  p = fma(p, z, set1(-0.333333289f));
  const Floats near_zero = fma(mul(p, z), x, x);
  const Floats e = exp(add(a, a));
  const Floats one = set1(1.0f);
  const Floats magnitude = sub(one, div(set1(2.0f), add(e, one)));
  const Floats far = select(less(x, zero()), sub(zero(), magnitude), magnitude);
  return select(less(a, set1(0.625f)), near_zero, far);
}

}  // namespace inferno::kernel::INFERNO_ISA
