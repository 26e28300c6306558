#include "model/rope.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace inferno::model {
namespace {

// Ratios of neighbouring Taylor coefficients: 1 / (2n (2n + 1)) and 1 / ((2n - 1) 2n) for n = 1, 2,
// ...
struct TaylorRatios {
  std::array<double, 9> sine{};
  std::array<double, 9> cosine{};
};

constexpr TaylorRatios kTaylor = [] {
  TaylorRatios ratios;
  for (size_t i = 0; i < ratios.sine.size(); ++i) {
    const double n = static_cast<double>(i) + 1.0;
    ratios.sine[i] = 1.0 / (2.0 * n * (2.0 * n + 1.0));
    ratios.cosine[i] = 1.0 / ((2.0 * n - 1.0) * 2.0 * n);
  }
  return ratios;
}();

// Sine and cosine of x radians, |x| < 2^30, to within 1e-15 beyond the error of x: reduction by
// pi/2 in three parts (Cody and Waite), then the Taylor polynomials on [-pi/4, pi/4], whose next
// terms are below 1e-17.
void sine_cosine(double x, double* sine, double* cosine) {
  constexpr double kPart1 =
      1.57079632673412561417e+00;  // pi/2 in pieces of 33 bits (fdlibm, e_rem_pio2)
  constexpr double kPart2 = 6.07710050630396597660e-11;
  constexpr double kPart3 = 2.02226624879595063154e-21;
  const double turns = std::nearbyint(x * (2.0 / std::numbers::pi));
  const double r = ((x - turns * kPart1) - turns * kPart2) - turns * kPart3;
  const double r2 = r * r;
  double s = 1.0;
  double c = 1.0;
  for (size_t n = kTaylor.sine.size(); n-- > 0;) {
    s = 1.0 - s * r2 * kTaylor.sine[n];
    c = 1.0 - c * r2 * kTaylor.cosine[n];
  }
  s *= r;
  const auto quadrant = static_cast<long long>(turns) & 3;
  *sine = quadrant == 0 ? s : quadrant == 1 ? c : quadrant == 2 ? -s : -c;
  *cosine = quadrant == 0 ? c : quadrant == 1 ? -s : quadrant == 2 ? -c : s;
}

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between blended.
double llama3_frequency(double frequency, const RopeScaling& scaling) {
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  const double turns = scaling.original_context / wavelength;
  if (turns < scaling.low_freq_factor) return frequency / scaling.factor;
  if (turns > scaling.high_freq_factor) return frequency;
  const double smooth =
      (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1.0 - smooth) * frequency / scaling.factor + smooth * frequency;
}

// YaRN, section 3.2: dimensions that turn more than beta_fast times in the original context are
// kept, those that turn less than beta_slow times are divided by `factor`, a ramp between.
double yarn_frequency(double frequency, int pair, const ModelConfig& config, float base,
                      const RopeScaling& scaling) {
  const double width = config.rope_width;
  const auto pair_of = [&](double turns) {
    return width * std::log(scaling.original_context / (turns * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(static_cast<double>(base)));
  };
  double low = pair_of(scaling.beta_fast);
  double high = pair_of(scaling.beta_slow);
  if (scaling.truncates) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, width - 1.0);
  const double ramp = std::clamp((pair - low) / std::max(high - low, 0.001), 0.0, 1.0);
  return frequency / scaling.factor * ramp + frequency * (1.0 - ramp);
}

}  // namespace

Rope::Rope(const ModelConfig& config, float base, const RopeScaling& scaling,
           const std::vector<float>& factors) {
  for (int pair = 0; pair < config.rope_width / 2; ++pair) {
    double frequency = std::pow(static_cast<double>(base), -2.0 * pair / config.rope_width);
    switch (scaling.kind) {
      case RopeScaling::Kind::kNone:
        break;
      case RopeScaling::Kind::kLinear:
        frequency /= scaling.factor;
        break;
      case RopeScaling::Kind::kLlama3:
        frequency = llama3_frequency(frequency, scaling);
        break;
      case RopeScaling::Kind::kYarn:
        frequency = yarn_frequency(frequency, pair, config, base, scaling);
        break;
    }
    if (!factors.empty()) frequency /= factors[static_cast<size_t>(pair)];
    frequencies_.push_back(static_cast<float>(frequency));
  }
  if (scaling.kind == RopeScaling::Kind::kYarn) {
    magnitude_ = scaling.attention_factor > 0.0f
                     ? scaling.attention_factor
                     : 0.1f * std::log(std::max(scaling.factor, 1.0f)) + 1.0f;
  }
}

void Rope::angles(int position, float* cos, float* sin) const {
  for (size_t pair = 0; pair < frequencies_.size(); ++pair) {
    double s = 0.0;
    double c = 0.0;
    sine_cosine(static_cast<double>(position) * static_cast<double>(frequencies_[pair]), &s, &c);
    cos[pair] = static_cast<float>(c) * magnitude_;
    sin[pair] = static_cast<float>(s) * magnitude_;
  }
}

}  // namespace inferno::model
