#include "sample/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "sample/philox.h"

namespace inferno::sample {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Logits whose mass is summed at once: small enough to walk one by one where the draw falls.
constexpr size_t kMassBlock = 512;
// Up to this many, candidates are sorted; beyond it the row itself is masked.
constexpr int kMostCandidates = 4096;
// How many of the best are tried before top_p looks at all of the row.
constexpr int kFirstTopP = 256;

// For top_p over the whole row: logits by their distance below the largest, in steps of 1/8. The
// last bucket takes the rest: below e^-31 of the largest probability.
constexpr int kBucketCount = 256;
constexpr float kBucketsPerUnit = 8.0f;

bool is_in(TokenId token, std::span<const float> logits) {
  return token >= 0 && static_cast<size_t>(token) < logits.size();
}

// vLLM's order: what is forbidden, biases, then penalties (repetition, frequency, presence).
void change_logits(std::span<float> logits, const SamplingState& state) {
  for (TokenId token : state.forbidden()) {
    if (is_in(token, logits)) logits[static_cast<size_t>(token)] = -kInfinity;
  }
  for (const auto& [token, bias] : state.params().logit_bias) {
    if (is_in(token, logits)) logits[static_cast<size_t>(token)] += bias;
  }
  const request::SamplingParams& params = state.params();
  for (const auto& [token, seen] : state.seen()) {
    if (!is_in(token, logits)) continue;
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (seen.output_count == 0) continue;
    logit -= params.frequency_penalty * static_cast<float>(seen.output_count);
    logit -= params.presence_penalty;
  }
}

// Makes impossible what is less than min_p times as probable as the best.
void mask_below(std::span<float> logits, float floor) {
  for (float& logit : logits)
    logit = logit >= floor ? logit : -kInfinity;
}

// Places in the order of Selection: larger logits first, then smaller ids.
int rank_of(TokenId token, std::span<const float> logits) {
  const float logit = logits[static_cast<size_t>(token)];
  int above = 0;
  if (std::isnan(logit)) {
    for (float other : logits)
      above += static_cast<int>(!std::isnan(other));
    for (float other : logits.first(static_cast<size_t>(token))) {
      above += static_cast<int>(std::isnan(other));
    }
    return above + 1;
  }
  for (float other : logits)
    above += static_cast<int>(other > logit);
  for (float other : logits.first(static_cast<size_t>(token))) {
    above += static_cast<int>(other == logit);
  }
  return above + 1;
}

// Turns logits of one row into log probabilities.
struct LogSoftmax {
  float maximum;
  double log_mass;

  float operator()(float logit) const {
    if (std::isnan(logit)) return -kInfinity;
    if (logit == maximum) return static_cast<float>(-log_mass);  // also where both are infinite
    return static_cast<float>(static_cast<double>(logit) - maximum - log_mass);
  }
};

int bucket_of(float logit, float maximum) {
  const float distance = (maximum - logit) * kBucketsPerUnit;
  return distance < kBucketCount - 1 ? static_cast<int>(distance) : kBucketCount - 1;
}

}  // namespace

Sampler::Sampler(const kernel::KernelTable& table, int vocab_size)
    : table_(table), block_mass_((static_cast<size_t>(vocab_size) + kMassBlock - 1) / kMassBlock) {}

request::TokenOutput Sampler::sample(std::span<float> logits, const SamplingState& state,
                                     int position) {
  const bool wants_logprobs = state.params().logprobs.has_value();
  if (wants_logprobs) raw_.assign(logits.begin(), logits.end());
  if (!state.leaves_logits_alone()) change_logits(logits, state);
  TokenId token;
  if (state.is_greedy()) {
    token = find_best(logits).token;
  } else {
    const double uniform = uniform_at(state.seed(), static_cast<uint64_t>(position));
    token = sample_by_chance(logits, state.params(), uniform);
  }
  if (wants_logprobs) return score(raw_, token, *state.params().logprobs);
  request::TokenOutput output;
  output.token = token;
  return output;
}

request::TokenOutput Sampler::score(std::span<const float> logits, TokenId given, int top_count) {
  const float maximum = find_best(logits).logit;
  double mass;
  if (std::isfinite(maximum)) {
    mass = measure_mass(logits, maximum);
  } else {  // +infinity shares all the probability; so does -infinity where there is nothing else
    mass = static_cast<double>(std::count(logits.begin(), logits.end(), maximum));
  }
  const LogSoftmax log_softmax = {maximum, std::log(mass)};
  request::TokenOutput output;
  output.token = given;
  output.logprob = log_softmax(logits[static_cast<size_t>(given)]);
  output.rank = rank_of(given, logits);
  const int count = std::min(top_count, static_cast<int>(logits.size()));
  for (const Candidate& best : selection_.largest(logits, count, -kInfinity)) {
    const int rank = static_cast<int>(output.top.size()) + 1;
    output.top.push_back({best.token, log_softmax(best.logit), rank});
  }
  return output;
}

Candidate Sampler::find_best(std::span<const float> logits) const {
  int index = 0;
  float value = 0.0f;
  table_.argmax(logits.data(), static_cast<int>(logits.size()), &index, &value);
  return {index, value};
}

double Sampler::mass_of(float logit, float maximum) const {
  if (std::isnan(logit)) return 0.0;
  return static_cast<double>(table_.sum_exp(&logit, 1, maximum));
}

double Sampler::mass_of_block(std::span<const float> logits, float maximum) const {
  const float mass = table_.sum_exp(logits.data(), static_cast<int>(logits.size()), maximum);
  if (!std::isnan(mass)) return static_cast<double>(mass);
  double sum = 0;
  for (float logit : logits)
    sum += mass_of(logit, maximum);
  return sum;
}

double Sampler::measure_mass(std::span<const float> logits, float maximum) {
  double total = 0;
  block_mass_.resize((logits.size() + kMassBlock - 1) / kMassBlock);
  for (size_t b = 0; b < block_mass_.size(); b++) {
    const size_t begin = b * kMassBlock;
    const size_t count = std::min(kMassBlock, logits.size() - begin);
    block_mass_[b] = mass_of_block(logits.subspan(begin, count), maximum);
    total += block_mass_[b];
  }
  return total;
}

// top_k first, then top_p of what is left, as in vLLM; min_p before both.
TokenId Sampler::sample_by_chance(std::span<float> logits, const request::SamplingParams& params,
                                  double uniform) {
  const int size = static_cast<int>(logits.size());
  table_.multiply_scalar(logits.data(), 1.0f / params.temperature, size);
  const Candidate best = find_best(logits);
  if (!std::isfinite(best.logit)) return best.token;
  const float floor = params.min_p > 0 ? best.logit + std::log(params.min_p) : -kInfinity;
  const bool limits_count = params.top_k > 0 && params.top_k < size;
  if (limits_count && params.top_k <= kMostCandidates) {
    const auto candidates = selection_.largest(logits, params.top_k, floor);
    if (params.top_p >= 1) return draw_from_candidates(candidates, best.logit, uniform);
    double total = 0;
    for (const Candidate& c : candidates)
      total += mass_of(c.logit, best.logit);
    const auto kept = prefix_of_mass(candidates, best.logit, params.top_p * total);
    return draw_from_candidates(candidates.first(kept.value_or(candidates.size())), best.logit,
                                uniform);
  }
  if (params.min_p > 0) mask_below(logits, floor);
  if (limits_count) selection_.keep_largest(logits, params.top_k);
  if (params.top_p < 1) {
    const double mass = params.top_p * measure_mass(logits, best.logit);
    const auto candidates = selection_.largest(logits, kFirstTopP, -kInfinity);
    if (const auto kept = prefix_of_mass(candidates, best.logit, mass)) {
      return draw_from_candidates(candidates.first(*kept), best.logit, uniform);
    }
    keep_mass(logits, best.logit, mass);
  }
  return draw_from_row(logits, best.logit, uniform);
}

std::optional<size_t> Sampler::prefix_of_mass(std::span<const Candidate> candidates, float maximum,
                                              double mass) const {
  double sum = 0;
  for (size_t i = 0; i < candidates.size(); i++) {
    sum += mass_of(candidates[i].logit, maximum);
    if (sum >= mass) return i + 1;
  }
  return std::nullopt;
}

TokenId Sampler::draw_from_candidates(std::span<const Candidate> candidates, float maximum,
                                      double uniform) const {
  double total = 0;
  for (const Candidate& c : candidates)
    total += mass_of(c.logit, maximum);
  double left = uniform * total;
  TokenId last = candidates.front().token;  // where rounding leaves something over
  for (const Candidate& c : candidates) {
    const double mass = mass_of(c.logit, maximum);
    if (mass > 0) last = c.token;
    if (left < mass) break;
    left -= mass;
  }
  return last;
}

TokenId Sampler::draw_from_row(std::span<const float> logits, float maximum, double uniform) {
  double left = uniform * measure_mass(logits, maximum);
  size_t block = 0;
  size_t last_possible = 0;
  for (; block < block_mass_.size(); block++) {
    if (block_mass_[block] > 0) last_possible = block;
    if (left < block_mass_[block]) break;
    left -= block_mass_[block];
  }
  const size_t begin = last_possible * kMassBlock;
  size_t last = begin;
  for (size_t i = begin; i < std::min(begin + kMassBlock, logits.size()); i++) {
    const double mass = mass_of(logits[i], maximum);
    if (mass > 0) last = i;
    if (left < mass) break;
    left -= mass;
  }
  return static_cast<TokenId>(last);
}

// Sets every logit after the one at which the mass, taken in order, reaches `mass` to -infinity. A
// counting sort by distance from the largest finds the bucket where that happens; only that bucket
// is sorted.
void Sampler::keep_mass(std::span<float> logits, float maximum, double mass) {
  std::array<size_t, kBucketCount + 1> begins{};
  for (float logit : logits) {
    if (logit > -kInfinity) begins[static_cast<size_t>(bucket_of(logit, maximum)) + 1]++;
  }
  for (size_t b = 0; b < kBucketCount; b++)
    begins[b + 1] += begins[b];
  std::array<size_t, kBucketCount + 1> next = begins;
  by_bucket_.resize(logits.size());
  for (float logit : logits) {
    if (logit > -kInfinity) {
      by_bucket_[next[static_cast<size_t>(bucket_of(logit, maximum))]++] = logit;
    }
  }
  double sum = 0;
  int crossing = 0;
  for (; crossing < kBucketCount; crossing++) {
    const size_t begin = begins[static_cast<size_t>(crossing)];
    const size_t count = begins[static_cast<size_t>(crossing) + 1] - begin;
    const double in_bucket =
        mass_of_block(std::span<const float>(by_bucket_).subspan(begin, count), maximum);
    if (sum + in_bucket >= mass) break;
    sum += in_bucket;
  }
  crossing_.clear();
  for (size_t i = 0; i < logits.size(); i++) {
    if (!(logits[i] > -kInfinity)) continue;
    const int bucket = bucket_of(logits[i], maximum);
    if (bucket == crossing) crossing_.push_back({static_cast<TokenId>(i), logits[i]});
    if (bucket > crossing) logits[i] = -kInfinity;
  }
  std::sort(crossing_.begin(), crossing_.end(), comes_before);
  const size_t kept = prefix_of_mass(crossing_, maximum, mass - sum).value_or(crossing_.size());
  for (size_t i = kept; i < crossing_.size(); i++) {
    logits[static_cast<size_t>(crossing_[i].token)] = -kInfinity;
  }
}

}  // namespace inferno::sample
