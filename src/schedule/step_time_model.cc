#include "schedule/step_time_model.h"

#include <algorithm>
#include <climits>
#include <cmath>

namespace inferno::schedule {
namespace {

// Features are brought to about 1, so that the weights are of one size.
constexpr double kRowScale = 1.0 / 16;
constexpr double kPrefillScale = 1.0 / 256;
constexpr double kReadScale = 1.0 / 65536;

// The last hundred steps or two count: seconds to tens of seconds of serving.
constexpr double kForgetting = 0.99;
// How firmly a weight of which nothing is seen stays what it was, as a part of what is known of
// all: far below anything that a step says, far above rounding.
constexpr double kFirmness = 1e-6;
// A miss of more than so many usual ones is an outlier; a lasting change passes nevertheless, as
// the usual miss grows with every one.
constexpr double kOutlier = 4.0;
// No machine repeats itself better than to two per cent.
constexpr double kUsualShare = 0.02;
// So much more firmly the cost of a first token stays what it was than that of each. Where all
// steps have equally many, nothing tells the two apart, and what they cost together is each
// token's: so more of them are not taken to be nearly free.
constexpr double kStartFirmness = 1e4;
// Misses before the usual one is known.
constexpr int kFirstMisses = 4;

}  // namespace

StepTimeModel::Vector StepTimeModel::vector_of(const StepFeatures& features) {
  const double share = features.prefill_tokens > 0 ? features.prefill_share : 0.0;
  return {1.0,
          features.decode_rows * kRowScale,
          static_cast<double>(features.decode_reads) * kReadScale,
          share,
          share * features.prefill_tokens * kPrefillScale,
          share * static_cast<double>(features.prefill_reads) * kReadScale};
}

double StepTimeModel::product(const Vector& a, const Vector& b) {
  double sum = 0.0;
  for (size_t i = 0; i < kWeights; ++i)
    sum += a[i] * b[i];
  return sum;
}

// How far a relative miss is believed: 1 up to a few usual ones, less the further it lies beyond
// (Huber's weight).
double StepTimeModel::belief(double miss) {
  const double most = usual_miss_.count() < kFirstMisses
                          ? miss
                          : kOutlier * std::max(usual_miss_.value(), kUsualShare);
  usual_miss_.add(std::min(miss, most));
  return miss > most ? most / miss : 1.0;
}

void StepTimeModel::learn(const StepFeatures& features, double seconds) {
  if (seconds <= 0.0) return;
  const double miss = std::abs(predict(features) - seconds) / seconds;
  if (is_trusted()) error_.add(miss);
  if (features.prefill_tokens > 0) {
    ++prefill_steps_;
    // Where nothing decodes, prefill disturbs nobody, and a step without it cannot be.
    if (features.decode_rows > 0) ++steps_since_decode_only_;
  } else {
    ++decode_only_steps_;
    steps_since_decode_only_ = 0;
  }
  // Divided by its duration a step says: the weights make 1 of this. So a short step's ten per cent
  // count as much as a long one's.
  Vector row = vector_of(features);
  for (double& x : row)
    x /= seconds;
  const double weight = belief(miss);
  for (size_t i = 0; i < kWeights; ++i) {
    for (size_t j = 0; j < kWeights; ++j)
      moments_[i][j] = kForgetting * moments_[i][j] + weight * row[i] * row[j];
    targets_[i] = kForgetting * targets_[i] + weight * row[i];
  }
  fit();
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
    const double own = i == kPrefillStart ? kStartFirmness * firmness : firmness;
    matrix[i][i] += own;
    right[i] += own * weights_[i];
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
  return product(weights_, vector_of(features));
}

// The solution of (k / 2) n^2 + (p + k (first + 1/2)) n = seconds, with p the cost of a token and k
// that of a position read.
int StepTimeModel::prefill_tokens_within(double seconds, int first) const {
  if (seconds <= 0.0) return 0;
  const double per_read = weights_[kPrefillRead] * kReadScale;
  const double linear = weights_[kPrefill] * kPrefillScale + per_read * (first + 0.5);
  const double root = std::sqrt(linear * linear + 2.0 * per_read * seconds);
  const double most = linear + root > 0.0 ? 2.0 * seconds / (linear + root) : INT_MAX;
  return most < INT_MAX ? static_cast<int>(most) : INT_MAX;
}

double StepTimeModel::prefill_seconds(int first, int count) const {
  return weights_[kPrefill] * kPrefillScale * count +
         weights_[kPrefillRead] * kReadScale * static_cast<double>(positions_read(first, count));
}

}  // namespace inferno::schedule
