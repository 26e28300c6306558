#include "schedule/step_time_model.h"

#include <algorithm>
#include <climits>
#include <cmath>

namespace inferno::schedule {
namespace {

// Features are brought to about 1, so that the weights are of one size.
constexpr double kRowScale = 1.0 / 16;
constexpr double kReadScale = 1.0 / 65536;

// Of steps without prefill the last hundred or two count: seconds of serving.
constexpr double kForgetting = 0.99;
// How firmly a weight of which nothing is seen stays what it was, as a part of what is known of
// all: far below anything that a step says, far above rounding.
constexpr double kFirmness = 1e-6;
// A miss of more than so many usual ones is an outlier; a lasting change passes nevertheless, as
// the usual miss grows with every one.
constexpr double kOutlier = 4.0;
// No machine repeats itself better than to two per cent.
constexpr double kUsualShare = 0.02;
// Misses before the usual one is known.
constexpr int kFirstMisses = 4;

// How much of its miss a step with prefill corrects: in a dozen such steps the price is another,
// and the noise of single ones does not show.
constexpr double kExtraRate = 0.25;
// Where prefill is a smaller part of the step than the root of this, the noise of the rest drowns
// what the step says of it.
constexpr double kExtraNoise = 0.02;
// One step at most doubles or halves a price.
constexpr double kMostChange = 0.7;
// What the first step with prefill makes of reading a position, as a part of what a token costs:
// of models of 0.1 to 2 billion parameters it is between 1/1000 and 1/6000.
constexpr double kFirstReadShare = 1.0 / 4000;

}  // namespace

StepTimeModel::Vector StepTimeModel::vector_of(const StepFeatures& features) {
  return {1.0, features.decode_rows * kRowScale,
          static_cast<double>(features.decode_kv_read) * kReadScale};
}

double StepTimeModel::base_seconds(const StepFeatures& features) const {
  const Vector row = vector_of(features);
  double sum = 0.0;
  for (size_t i = 0; i < kWeights; ++i)
    sum += weights_[i] * row[i];
  return sum;
}

double StepTimeModel::extra_seconds(const StepFeatures& features) const {
  return token_s_ * features.prefill_tokens +
         read_s_ * static_cast<double>(features.prefill_kv_read);
}

// By how much of `seconds` the prediction misses, positive when the step took longer; beyond a few
// usual misses no more is believed (Huber's function).
double StepTimeModel::believed_miss(const StepFeatures& features, double seconds) {
  const double miss = (seconds - predict(features)) / seconds;
  const double size = std::abs(miss);
  if (is_trusted()) error_.add(size);
  const double most = usual_miss_.count() < kFirstMisses
                          ? size
                          : kOutlier * std::max(usual_miss_.value(), kUsualShare);
  usual_miss_.add(std::min(size, most));
  return std::clamp(miss, -most, most);
}

void StepTimeModel::learn(const StepFeatures& features, double seconds) {
  if (seconds <= 0.0) return;
  if (features.prefill_tokens > 0) {
    learn_extra(features, seconds);
    ++prefill_steps_;
    // Where nothing decodes, prefill disturbs nobody, and a step without it cannot be.
    if (features.decode_rows > 0) ++steps_since_decode_only_;
  } else {
    const double miss = std::abs(seconds - predict(features)) / seconds;
    const double believed = std::abs(believed_miss(features, seconds));
    learn_base(features, seconds, miss > believed ? believed / miss : 1.0);
    ++decode_only_steps_;
    steps_since_decode_only_ = 0;
  }
}

// Divided by its duration a step says: the weights make 1 of this. So a short step's ten per cent
// count as much as a long one's.
void StepTimeModel::learn_base(const StepFeatures& features, double seconds, double belief) {
  Vector row = vector_of(features);
  for (double& x : row)
    x /= seconds;
  for (size_t i = 0; i < kWeights; ++i) {
    for (size_t j = 0; j < kWeights; ++j)
      moments_[i][j] = kForgetting * moments_[i][j] + belief * row[i] * row[j];
    targets_[i] = kForgetting * targets_[i] + belief * row[i];
  }
  fit();
}

void StepTimeModel::learn_extra(const StepFeatures& features, double seconds) {
  const auto tokens = static_cast<double>(features.prefill_tokens);
  const auto reads = static_cast<double>(features.prefill_kv_read);
  if (prefill_steps_ == 0) {
    const double least_s = seconds * kExtraNoise;
    const double extra_s = std::max(seconds - base_seconds(features), least_s);
    token_s_ = extra_s / (tokens + kFirstReadShare * reads);
    read_s_ = kFirstReadShare * token_s_;
    return;
  }
  const double miss = believed_miss(features, seconds);
  const double token_share = token_s_ * tokens / seconds;
  const double read_share = read_s_ * reads / seconds;
  const double step =
      kExtraRate * miss / (token_share * token_share + read_share * read_share + kExtraNoise);
  token_s_ *= std::exp(std::clamp(step * token_share, -kMostChange, kMostChange));
  read_s_ *= std::exp(std::clamp(step * read_share, -kMostChange, kMostChange));
}

// Solves the normal equations for weights of at least zero: the most negative one is set to zero
// and the others are solved for again, until none is negative.
void StepTimeModel::fit() {
  double trace = 0.0;
  for (size_t i = 0; i < kWeights; ++i)
    trace += moments_[i][i];
  const double firmness = kFirmness * trace;
  Active active;
  active.fill(true);
  Vector solution = solve(active, firmness);
  for (;;) {
    const auto least = std::ranges::min_element(solution);
    if (*least >= 0.0) break;
    active[static_cast<size_t>(least - solution.begin())] = false;
    solution = solve(active, firmness);
  }
  weights_ = solution;
}

// Gaussian elimination over the active weights; the others are 0. The matrix is symmetric and, with
// the firmness on its diagonal, positive definite: no pivoting is needed.
StepTimeModel::Vector StepTimeModel::solve(const Active& active, double firmness) const {
  Matrix matrix = moments_;
  Vector right = targets_;
  for (size_t i = 0; i < kWeights; ++i) {
    matrix[i][i] += firmness;
    right[i] += firmness * weights_[i];
  }
  for (size_t i = 0; i < kWeights; ++i) {
    if (!active[i]) continue;
    for (size_t k = i + 1; k < kWeights; ++k) {
      if (!active[k]) continue;
      const double factor = matrix[k][i] / matrix[i][i];
      for (size_t j = i; j < kWeights; ++j)
        matrix[k][j] -= factor * matrix[i][j];
      right[k] -= factor * right[i];
    }
  }
  Vector solution{};
  for (size_t i = kWeights; i-- > 0;) {
    if (!active[i]) continue;
    double sum = right[i];
    for (size_t j = i + 1; j < kWeights; ++j)
      sum -= matrix[i][j] * solution[j];
    solution[i] = sum / matrix[i][i];
  }
  return solution;
}

double StepTimeModel::predict(const StepFeatures& features) const {
  return base_seconds(features) + extra_seconds(features);
}

// The solution of (r / 2) n^2 + (p + r (first + 1/2)) n = seconds, with p the cost of a token and r
// that of a position read.
int StepTimeModel::prefill_tokens_within(double seconds, int first) const {
  if (seconds <= 0.0) return 0;
  const double linear = token_s_ + read_s_ * (first + 0.5);
  const double root = std::sqrt(linear * linear + 2.0 * read_s_ * seconds);
  const double most = linear + root > 0.0 ? 2.0 * seconds / (linear + root) : INT_MAX;
  return most < INT_MAX ? static_cast<int>(most) : INT_MAX;
}

double StepTimeModel::prefill_seconds(int first, int count) const {
  return token_s_ * count + read_s_ * static_cast<double>(positions_read(first, count));
}

}  // namespace inferno::schedule
