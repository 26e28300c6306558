#include "load/random.h"

#include <cmath>
#include <numbers>

#include "base/check.h"

namespace inferno::load {
namespace {

// The step of the state and the mixing constants of SplitMix64.
constexpr uint64_t kStep = 0x9e3779b97f4a7c15;

uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Random::Random(uint64_t seed, uint64_t stream)
    : state_(mixed(seed + kStep) ^ mixed(mixed(stream) + 2 * kStep)) {}

uint64_t Random::next() {
  return mixed(state_ += kStep);
}

double Random::uniform() {
  return static_cast<double>(next() >> 11) * 0x1p-53;
}

uint64_t Random::below(uint64_t bound) {
  CHECK(bound > 0, "no number is below {}", bound);
  // The high half of the product; its bias is bound / 2^64.
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
}

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

double Random::gamma(double shape, double scale) {
  CHECK(shape > 0.0, "a gamma distribution of shape {}", shape);
  if (shape < 1.0) {
    const double power = std::pow(1.0 - uniform(), 1.0 / shape);
    return gamma(shape + 1.0, scale) * power;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = normal();
    const double root = 1.0 + c * x;
    if (root <= 0.0) continue;
    const double v = root * root * root;
    const double u = 1.0 - uniform();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v * scale;
  }
}

}  // namespace inferno::load
