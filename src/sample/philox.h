// A random number as a pure function of (seed, position): nothing to carry, save or replay.
//
// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC
// 2011). The key is the seed, the counter the position; tested with the known answers of Random123.
#pragma once

#include <array>
#include <cstdint>

namespace inferno::sample {

// Ten rounds of Philox4x32.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Uniform in [0, 1), a multiple of 2^-53; the same for the same seed and position, everywhere.
double uniform_at(uint64_t seed, uint64_t position);

}  // namespace inferno::sample
