// Random numbers of a load: the same on every machine for the same seed.
//
// Each purpose (arrivals, lengths, classes, ...) draws from a stream of its own, so that changing
// one of them leaves the others as they were. The standard library's distributions are not used:
// what they return is up to each library.
//
// Threads: one. Cost: a few nanoseconds a number.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

namespace inferno::load {

// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
class Random {
 public:
  // The stream named `stream` of `seed`.
  Random(uint64_t seed, uint64_t stream);

  // 64 random bits.
  uint64_t next();

  // Uniform in [0, 1), a multiple of 2^-53.
  double uniform();

  // Uniform in [0, bound). Requires: bound > 0.
  uint64_t below(uint64_t bound);

  // Standard normal, by Box and Muller's transform.
  double normal();

  // Gamma with that shape and scale; mean shape * scale. Marsaglia and Tsang, "A simple method for
  // generating gamma variables" (TOMS 2000). Requires: shape > 0.
  double gamma(double shape, double scale);

  // Fisher and Yates' shuffle.
  template <typename T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[below(i)]);
  }

 private:
  uint64_t state_;
};

// What each stream of a seed is for.
enum class RandomUse : uint64_t { kArrivals = 1, kLengths, kClasses, kClients, kOrder, kThinking };

inline Random random_for(uint64_t seed, RandomUse use) {
  return Random(seed, static_cast<uint64_t>(use));
}

}  // namespace inferno::load
