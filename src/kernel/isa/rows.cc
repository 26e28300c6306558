// Norm, rotary embedding, activations and reductions over rows of floats.
//
// Elementwise functions round each lane by itself, so a tail gives the bits a full vector gives.
// Sums run over 16 lanes (lane = index mod 16, ascending) and end in the tree of reduce_add().
// Memory-bound but for the activations, which cost one exp() or tanh() per element.
#include "kernel/isa/rows.h"

#include "kernel/isa/softmax.h"
#include "kernel/isa/vec.h"
#include "kernel/kernels.h"

namespace inferno::kernel::INFERNO_ISA {
namespace {

constexpr int kLanes = 16;

// How far ahead of its use an element is fetched where a row is only read.
constexpr int kAheadFloats = 512;

// How many elements the vector that begins at `begin` has.
inline int lanes_at(int begin, int count) {
  return count - begin < kLanes ? count - begin : kLanes;
}

// y[i] = f(y[i], x[i]); x may be y.
template <typename Function>
inline void transform(float* y, const float* x, int count, Function f) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes)
    store(y + i, f(load(y + i), load(x + i)));
  const int rest = count - i;
  if (rest > 0) store_n(y + i, f(load_n(y + i, rest), load_n(x + i, rest)), rest);
}

// e^x for x in [kLeastExponent, 0], 0 below, NaN for NaN: the steps, and so the bits, of exp(),
// without what it does about results that are no normal numbers.
inline Floats weight_of(Floats x) {
  const Floats least = set1(kLeastExponent);
  const Floats clamped = max(least, x);  // a NaN is the second operand, and passes
  const Floats magic = set1(12582912.0f);
  const Floats shifted = fma(clamped, set1(1.44269504f), magic);
  const Floats n = sub(shifted, magic);
  Floats r = fnma(n, set1(0.693145752f), clamped);
  r = fnma(n, set1(1.42860682e-6f), r);
  Floats p = set1(0.00139269266f);
  p = fma(p, r, set1(0.00836377387f));
  p = fma(p, r, set1(0.0416665550f));
  p = fma(p, r, set1(0.166665734f));
  p = fma(p, r, set1(0.5f));
  p = add(fma(mul(p, r), r, r), set1(1.0f));
  // The low bits of `shifted` hold n; moved into the exponent field, with its bias, they make 2^n.
  const Floats power = floats_of(shift_left<23>(add_int(bits_of(shifted), set1_int(127))));
  return select(less(x, least), zero(), mul(p, power));
}

// x / (1 + e^-x)
inline Floats silu(Floats x) {
  return div(x, add(set1(1.0f), exp(sub(zero(), x))));
}

// x / 2 * (1 + tanh u) with u = sqrt(2 / pi) * (x + 0.044715 x^3): Hendrycks and Gimpel, arXiv
// 1606.08415. Written as x / (1 + e^(-2u)), which keeps its digits where tanh u is near -1.
inline Floats gelu_tanh(Floats x) {
  const Floats cubic = fma(mul(set1(0.044715f), mul(x, x)), x, x);
  return div(x, add(set1(1.0f), exp(mul(set1(-1.59576912f), cubic))));
}

}  // namespace

void rms_norm(const float* x, const float* weight, float eps, int width, float* out) {
  Floats squares = zero();
  int i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    const Floats v = load(x + i);
    squares = fma(v, v, squares);
  }
  if (i < width) {
    const Floats v = load_n(x + i, width - i);
    squares = fma(v, v, squares);
  }
  const float mean = reduce_add(squares) / static_cast<float>(width);
  const Floats root = sqrt(set1(mean + eps));
  for (i = 0; i < width; i += kLanes) {
    const int n = lanes_at(i, width);
    store_n(out + i, mul(div(load_n(x + i, n), root), load_n(weight + i, n)), n);
  }
}

// a' = a cos - b sin, b' = b cos + a sin: the product with sin is rounded, the rest is one fma.
void rope_interleaved(float* head, const float* cos, const float* sin, int rotary_width) {
  for (int i = 0; i < rotary_width / 2; ++i) {
    const float a = head[2 * i];
    const float b = head[2 * i + 1];
    head[2 * i] = __builtin_fmaf(a, cos[i], 0.0f - b * sin[i]);
    head[2 * i + 1] = __builtin_fmaf(b, cos[i], a * sin[i]);
  }
}

void rope_neox(float* head, const float* cos, const float* sin, int rotary_width) {
  const int half = rotary_width / 2;
  for (int i = 0; i < half; i += kLanes) {
    const int n = lanes_at(i, half);
    const Floats a = load_n(head + i, n);
    const Floats b = load_n(head + half + i, n);
    const Floats c = load_n(cos + i, n);
    const Floats s = load_n(sin + i, n);
    store_n(head + i, fma(a, c, sub(zero(), mul(b, s))), n);
    store_n(head + half + i, fma(b, c, mul(a, s)), n);
  }
}

void add(float* y, const float* x, int count) {
  transform(y, x, count, [](Floats a, Floats b) { return add(a, b); });
}

void multiply_scalar(float* y, float factor, int count) {
  const Floats f = set1(factor);
  transform(y, y, count, [f](Floats a, Floats) { return mul(a, f); });
}

void silu_multiply(float* gate, const float* up, int count) {
  transform(gate, up, count, [](Floats g, Floats u) { return mul(silu(g), u); });
}

void gelu_tanh_multiply(float* gate, const float* up, int count) {
  transform(gate, up, count, [](Floats g, Floats u) { return mul(gelu_tanh(g), u); });
}

// min() and max() give their second operand where one is NaN.
void clamped_swiglu(float* gate, const float* up, int count, const ClampedSwiglu& rule) {
  const Floats slope = set1(0.0f - rule.alpha);
  const Floats most = set1(rule.limit);
  const Floats least = set1(0.0f - rule.limit);
  const Floats one = set1(1.0f);
  transform(gate, up, count, [=](Floats g, Floats u) {
    const Floats cut = min(most, g);
    const Floats glu = div(cut, add(one, exp(mul(slope, cut))));
    return mul(add(max(least, min(most, u)), one), glu);
  });
}

void softcap(float* y, float cap, int count) {
  const Floats c = set1(cap);
  transform(y, y, count, [c](Floats a, Floats) { return mul(c, tanh(div(a, c))); });
}

// Each lane keeps the first of its largest elements; the lanes are compared at the end. Two
// independent sets of lanes hide the latency of a comparison; ties between them are settled by the
// index.
void argmax(const float* x, int count, int* index, float* value) {
  const Floats lowest = set1(-__builtin_inff());
  Floats best[2] = {lowest, lowest};
  Ints where[2] = {set1_int(-1), set1_int(-1)};
  Ints here = lane_numbers();
  int i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    for (int part = 0; part < 2; ++part) {
      const Floats v = load(x + i + part * kLanes);
      const Lanes better = less(best[part], v);
      best[part] = select(better, v, best[part]);
      where[part] = select_int(better, add_int(here, set1_int(part * kLanes)), where[part]);
    }
    here = add_int(here, set1_int(2 * kLanes));
  }
  float values[2][kLanes];
  int32_t indices[2][kLanes];
  for (int part = 0; part < 2; ++part) {
    store(values[part], best[part]);
    store_int(indices[part], where[part]);
  }
  float top = -__builtin_inff();
  int at = -1;
  for (int lane = 0; lane < 2 * kLanes; ++lane) {
    const float v = values[lane / kLanes][lane % kLanes];
    const int32_t where_v = indices[lane / kLanes][lane % kLanes];
    if (where_v >= 0 && (v > top || at < 0 || (v == top && where_v < at))) {
      top = v;
      at = where_v;
    }
  }
  for (; i < count; ++i) {
    if (x[i] > top) {
      top = x[i];
      at = i;
    }
  }
  if (at < 0) {  // only -infinity and NaN: the first -infinity, or the first element of all
    at = 0;
    for (int j = count - 1; j >= 0; --j) {
      if (x[j] == top) at = j;
    }
  }
  *index = at;
  *value = top;
}

// Rows of logits come from memory or a far cache, which is the bound.
void block_maxima(const float* x, int count, float* maxima) {
  const Floats lowest = set1(-__builtin_inff());
  for (int begin = 0; begin < count; begin += kMaximaBlock) {
    const int end = count - begin < kMaximaBlock ? count : begin + kMaximaBlock;
    Floats best[2] = {lowest, lowest};
    int i = begin;
    for (; i + 2 * kLanes <= end; i += 2 * kLanes) {
      for (int part = 0; part < 2; ++part) {
        __builtin_prefetch(x + i + part * kLanes + kAheadFloats);
        best[part] = max(load(x + i + part * kLanes), best[part]);
      }
    }
    for (; i < end; i += kLanes) {
      const int n = lanes_at(i, end);
      best[0] = max(select(first_lanes(n), load_n(x + i, n), lowest), best[0]);
    }
    *maxima++ = reduce_max(max(best[0], best[1]));
  }
}

float sum_exp(const float* x, int count, float maximum) {
  const Floats m = set1(maximum);
  Floats sum = zero();
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    sum = add(sum, weight_of(sub(load(x + i), m)));
  }
  if (i < count) {
    const int rest = count - i;
    const Floats e = weight_of(sub(load_n(x + i, rest), m));
    sum = add(sum, select(first_lanes(rest), e, zero()));
  }
  return reduce_add(sum);
}

}  // namespace inferno::kernel::INFERNO_ISA
