#include "sample/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sample/philox.h"

namespace inferno::sample {
namespace {

// Up to this many, candidates are sorted; beyond it the row itself is masked.
constexpr int kMostCandidates = 4096;
// How many of the best top_p tries before it looks at all of the row: most rows of a language model
// need few, and the fewer there are, the fewer blocks of the row are looked at.
constexpr int kTopPCounts[] = {32, 256};

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

// Makes impossible what is below `floor`.
void mask_below(std::span<float> values, float floor) {
  for (float& value : values)
    value = value >= floor ? value : -kInfinity;
}

// The token of the largest value, the first of equals, and that value. A row of NaN has its first
// token at -infinity.
Candidate find_best(const LogitRow& row) {
  size_t block = 0;
  for (size_t b = 1; b < row.block_count(); b++) {
    if (row.maximum(b) > row.maximum(block)) block = b;
  }
  const float best = row.maximum(block);
  // A block whose maximum is -infinity may hold nothing but NaN.
  for (size_t b = block; b < row.block_count(); b++) {
    if (row.maximum(b) != best) continue;
    for (size_t i = row.block_begin(b); i < row.block_end(b); i++) {
      if (row.value(i) == best) return {static_cast<TokenId>(i), row.value(i)};
    }
  }
  return {0, best};
}

// How many of 16 are above `logit`; written so that the compiler compares them side by side.
int count_above(const float* logits, float logit) {
  int above = 0;
  for (int i = 0; i < 16; i++)
    above += static_cast<int>(logits[i] > logit);
  return above;
}

// A NaN comes after all that is none, and after those before it.
int rank_of_nan(size_t token, const LogitRow& row) {
  int above = 0;
  for (size_t i = 0; i < row.size(); i++)
    above += static_cast<int>(!std::isnan(row.value(i)) || i < token);
  return above + 1;
}

// Places in the order of Selection: larger logits first, then smaller ids.
// Requires: row.is_plain().
int rank_of(size_t token, const LogitRow& row) {
  const float logit = row.value(token);
  if (std::isnan(logit)) return rank_of_nan(token, row);
  int above = 0;
  for (size_t b = 0; b < row.block_count(); b++) {
    if (!(row.maximum(b) >= logit)) continue;
    const size_t end = row.block_end(b);
    size_t i = row.block_begin(b);
    for (; i + 16 <= end; i += 16)
      above += count_above(row.logits() + i, logit);
    for (; i < end; i++)
      above += static_cast<int>(row.value(i) > logit);
    for (i = row.block_begin(b); i < std::min(end, token); i++)
      above += static_cast<int>(row.value(i) == logit);
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

Sampler::Sampler(const kernel::KernelTable& table, int vocab_size) : table_(table) {
  const size_t blocks = (static_cast<size_t>(vocab_size) + LogitRow::kBlock - 1) / LogitRow::kBlock;
  maxima_.reserve(blocks);
  block_mass_.reserve(blocks);
}

LogitRow Sampler::survey(std::span<const float> logits, std::vector<float>& maxima) {
  maxima.resize((logits.size() + LogitRow::kBlock - 1) / LogitRow::kBlock);
  table_.block_maxima(logits.data(), static_cast<int>(logits.size()), maxima.data());
  return LogitRow(logits, maxima);
}

request::TokenOutput Sampler::sample(std::span<float> logits, const SamplingState& state,
                                     int position) {
  const request::SamplingParams& params = state.params();
  const bool changes_logits = !state.leaves_logits_alone();
  const bool wants_logprobs = params.logprobs.has_value();
  if (wants_logprobs && changes_logits) raw_.assign(logits.begin(), logits.end());
  if (changes_logits) change_logits(logits, state);
  const LogitRow row = survey(logits, maxima_);
  TokenId token;
  if (state.is_greedy()) {
    token = find_best(row).token;
  } else {
    const double uniform = uniform_at(state.seed(), static_cast<uint64_t>(position));
    token = sample_by_chance(LogitRow(logits, maxima_, 1.0f / params.temperature), params, uniform);
  }
  if (wants_logprobs) {
    return score_row(changes_logits ? survey(raw_, maxima_) : row, token, *params.logprobs);
  }
  request::TokenOutput output;
  output.token = token;
  return output;
}

request::TokenOutput Sampler::score(std::span<const float> logits, TokenId given, int top_count) {
  return score_row(survey(logits, maxima_), given, top_count);
}

request::TokenOutput Sampler::score_row(const LogitRow& row, TokenId given, int top_count) {
  const float maximum = find_best(row).logit;
  double mass;
  if (std::isfinite(maximum)) {
    mass = measure_mass(row, maximum);
  } else {  // +infinity shares all the probability; so does -infinity where there is nothing else
    mass = static_cast<double>(std::count(row.logits(), row.logits() + row.size(), maximum));
  }
  const LogSoftmax log_softmax = {maximum, std::log(mass)};
  request::TokenOutput output;
  output.token = given;
  output.logprob = log_softmax(row.value(static_cast<size_t>(given)));
  output.rank = rank_of(static_cast<size_t>(given), row);
  const int count = std::min(top_count, static_cast<int>(row.size()));
  for (const Candidate& best : selection_.largest(row, count)) {
    const int rank = static_cast<int>(output.top.size()) + 1;
    output.top.push_back({best.token, log_softmax(best.logit), rank});
  }
  return output;
}

double Sampler::mass_of(float value, float maximum) const {
  if (std::isnan(value)) return 0.0;
  return static_cast<double>(table_.sum_exp(&value, 1, maximum));
}

double Sampler::mass_of_values(std::span<const float> values, float maximum) const {
  const float mass = table_.sum_exp(values.data(), static_cast<int>(values.size()), maximum);
  if (!std::isnan(mass)) return static_cast<double>(mass);
  double sum = 0;
  for (float value : values)
    sum += mass_of(value, maximum);
  return sum;
}

double Sampler::measure_mass(const LogitRow& row, float maximum) {
  double total = 0;
  block_mass_.assign(row.block_count(), 0.0);
  std::array<float, LogitRow::kBlock> values;
  for (size_t b = 0; b < row.block_count(); b++) {
    const size_t count = row.block_end(b) - row.block_begin(b);
    const float* logits = row.logits() + row.block_begin(b);
    if (row.is_plain()) {
      block_mass_[b] = mass_of_values({logits, count}, maximum);
    } else if (row.maximum(b) > -kInfinity) {
      std::copy_n(logits, count, values.data());
      table_.multiply_scalar(values.data(), row.factor(), static_cast<int>(count));
      if (row.floor() > -kInfinity) mask_below(std::span(values).first(count), row.floor());
      block_mass_[b] = mass_of_values(std::span(values).first(count), maximum);
    }
    total += block_mass_[b];
  }
  return total;
}

// top_k first, then top_p of what is left, as in vLLM; min_p before both.
TokenId Sampler::sample_by_chance(LogitRow row, const request::SamplingParams& params,
                                  double uniform) {
  const int size = static_cast<int>(row.size());
  const Candidate best = find_best(row);
  if (!std::isfinite(best.logit)) return best.token;
  if (params.min_p > 0) row.set_floor(best.logit + std::log(params.min_p));
  const bool limits_count = params.top_k > 0 && params.top_k < size;
  if (limits_count && params.top_k <= kMostCandidates) {
    const auto candidates = selection_.largest(row, params.top_k);
    if (params.top_p >= 1) return draw_from_candidates(candidates, best.logit, uniform);
    double total = 0;
    for (const Candidate& c : candidates)
      total += mass_of(c.logit, best.logit);
    const auto kept = prefix_of_mass(candidates, best.logit, params.top_p * total);
    return draw_from_candidates(candidates.first(kept.value_or(candidates.size())), best.logit,
                                uniform);
  }
  if (limits_count) return sample_from_many(row, params, best.logit, uniform);
  if (params.top_p < 1) {
    const double mass = params.top_p * measure_mass(row, best.logit);
    const auto candidates = candidates_of_mass(row, best.logit, mass);
    if (candidates.empty()) return sample_from_many(row, params, best.logit, uniform);
    return draw_from_candidates(candidates, best.logit, uniform);
  }
  return draw_from_row(row, best.logit, uniform);
}

std::span<const Candidate> Sampler::candidates_of_mass(const LogitRow& row, float maximum,
                                                       double mass) {
  for (const int count : kTopPCounts) {
    const auto candidates = selection_.largest(row, count);
    if (const auto kept = prefix_of_mass(candidates, maximum, mass)) {
      return candidates.first(*kept);
    }
  }
  return {};
}

TokenId Sampler::sample_from_many(const LogitRow& row, const request::SamplingParams& params,
                                  float maximum, double uniform) {
  masked_.resize(row.size());
  for (size_t i = 0; i < row.size(); i++)
    masked_[i] = row.value(i);
  if (params.top_k > 0 && params.top_k < static_cast<int>(row.size())) {
    selection_.keep_largest(masked_, params.top_k);
  }
  const LogitRow masked = survey(masked_, masked_maxima_);
  if (params.top_p < 1) {
    const double mass = params.top_p * measure_mass(masked, maximum);
    const auto candidates = candidates_of_mass(masked, maximum, mass);
    if (!candidates.empty()) return draw_from_candidates(candidates, maximum, uniform);
    keep_mass(masked_, maximum, mass);
  }
  return draw_from_row(survey(masked_, masked_maxima_), maximum, uniform);
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

TokenId Sampler::draw_from_row(const LogitRow& row, float maximum, double uniform) {
  double left = uniform * measure_mass(row, maximum);
  size_t block = 0;
  size_t last_possible = 0;
  for (; block < block_mass_.size(); block++) {
    if (block_mass_[block] > 0) last_possible = block;
    if (left < block_mass_[block]) break;
    left -= block_mass_[block];
  }
  size_t last = row.block_begin(last_possible);
  for (size_t i = last; i < row.block_end(last_possible); i++) {
    const double mass = mass_of(row.value(i), maximum);
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
        mass_of_values(std::span<const float>(by_bucket_).subspan(begin, count), maximum);
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
