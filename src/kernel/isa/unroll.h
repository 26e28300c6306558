// Loops that the compiler must unroll before it assigns registers: arrays of vectors indexed by
// such a loop become registers, which a plain loop over them does not promise.
#pragma once

#define INFERNO_INLINE __attribute__((always_inline))

namespace inferno::kernel::INFERNO_ISA {

// An integer the type knows.
template <int kValue>
struct Index {
  constexpr operator int() const { return kValue; }
};

// Calls f(Index<kBegin>), ..., f(Index<kEnd - 1>). Write the lambda as `[&](auto i) INFERNO_INLINE
// { ... }`.
template <int kBegin, int kEnd, class F>
INFERNO_INLINE inline void unroll(const F& f) {
  if constexpr (kBegin < kEnd) {
    f(Index<kBegin>{});
    unroll<kBegin + 1, kEnd>(f);
  }
}

}  // namespace inferno::kernel::INFERNO_ISA
