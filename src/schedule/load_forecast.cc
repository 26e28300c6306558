#include "schedule/load_forecast.h"

#include <algorithm>

namespace inferno::schedule {
namespace {

constexpr double kSoonestRetryS = 1.0;  // Retry-After counts whole seconds
constexpr double kHopefulShare = 0.5;
constexpr double kLatestRetryS = 600.0;  // beyond ten minutes a forecast says nothing

}  // namespace

double predicted_ttft_s(const LoadForecast& forecast, int prompt_tokens,
                        request::ServiceClass service_class) {
  const double start = forecast.start_s[static_cast<size_t>(service_class)];
  const double prefill =
      forecast.prefill_tokens_per_s > 0.0 ? prompt_tokens / forecast.prefill_tokens_per_s : 0.0;
  return start + prefill;
}

int expected_answer_tokens(const LoadForecast& forecast, request::ServiceClass service_class,
                           const AnswerLimits& limits) {
  const double mean = forecast.answer_tokens[static_cast<size_t>(service_class)];
  const int usual = std::min(static_cast<int>(mean), limits.most);
  return std::max({usual, limits.least, 1});
}

double least_answer_s(const LoadForecast& forecast, int tokens) {
  return kHopefulShare * forecast.decode_step_s * (tokens - 1);
}

double retry_after_s(const LoadForecast& forecast) {
  double wait = 0.0;
  if (forecast.finished_per_s > 0.0) wait = forecast.queued_requests / forecast.finished_per_s;
  if (forecast.tokens_per_s > 0.0) {
    wait = std::max(wait, static_cast<double>(forecast.queued_tokens) / forecast.tokens_per_s);
  }
  return std::clamp(wait, kSoonestRetryS, kLatestRetryS);
}

}  // namespace inferno::schedule
