// Scheduler, the part that predicts how long others will have to wait.
#include <algorithm>

#include "schedule/scheduler.h"

namespace inferno::schedule {

// What a prompt token adds to a step, as one of so many as go together beside streams: with its
// part of what the first of them costs more.
double Scheduler::prefill_token_s() const {
  constexpr int kSample = ChunkSizer::kCarriedTokens;
  return (step_time_.first_prefill_seconds() + step_time_.prefill_seconds(0, kSample)) / kSample;
}

// Prompt tokens per second: what one more token adds to a step once that is known, as the measured
// rate counts the decode rows beside them too, and the reading of the weights.
double Scheduler::prefill_speed() const {
  const double measured = prefill_rate_.per_s();
  if (!step_time_.is_trusted()) return measured;
  const double seconds = prefill_token_s();
  return seconds > 0.0 ? std::max(measured, 1.0 / seconds) : measured;
}

LoadForecast Scheduler::forecast(TimePoint) const {
  LoadForecast forecast;
  forecast.prefill_tokens_per_s = prefill_speed();
  forecast.finished_per_s = finished_rate_.per_s();
  forecast.tokens_per_s = token_rate_.per_s();
  forecast.queued_requests = waiting_count() + deferred_count();
  forecast.running_requests = running_count();

  StepFeatures decodes;
  int64_t prefill_tokens = 0;
  for (const Sequence* const sequence : running_) {
    if (sequence->pending_count() > 1) {
      prefill_tokens += sequence->pending_count();
    } else {
      ++decodes.decode_rows;
      decodes.decode_reads += sequence->token_count();
    }
  }
  if (decodes.decode_rows > 0 && step_time_.knows_decoding()) {
    forecast.decode_step_s = step_time_.predict(decodes);
  }
  forecast.queued_tokens = prefill_tokens + queue_.answer_tokens();

  int ahead = 0;
  for (int c = 0; c < request::kServiceClassCount; ++c) {
    const auto service_class = static_cast<request::ServiceClass>(c);
    forecast.answer_tokens[static_cast<size_t>(c)] = lengths_.mean_of(service_class);
    ahead += queue_.size_of(service_class);
    prefill_tokens += queue_.pending_tokens_of(service_class);
    forecast.queued_tokens += queue_.pending_tokens_of(service_class);
    const double prefill_s =
        forecast.prefill_tokens_per_s > 0.0
            ? static_cast<double>(prefill_tokens) / forecast.prefill_tokens_per_s
            : 0.0;
    forecast.start_s[static_cast<size_t>(c)] =
        std::max(prefill_s, seconds_to_place(service_class, ahead));
  }
  if (config_.policy != Policy::kSlo) forecast.start_s.fill(forecast.start_s.back());
  return forecast;
}

// Seconds until a sequence of a class has a place to run in, behind `ahead` others: so many running
// ones have to end before. Less, when one of a worse class would give way to it.
double Scheduler::seconds_to_place(request::ServiceClass service_class, int ahead) const {
  const int places = lacks_pages_ ? 0 : config_.max_num_seqs - running_count();
  const int endings = ahead + 1 - places;
  if (endings <= 0 || finished_rate_.per_s() <= 0.0) return 0.0;
  const double wait_s = endings / finished_rate_.per_s();
  const double target_s = config_.targets[static_cast<size_t>(service_class)].ttft_s;
  if (config_.policy != Policy::kSlo || target_s == kNoTarget) return wait_s;
  const bool somebody_gives_way = std::ranges::any_of(running_, [&](const Sequence* sequence) {
    return !sequence->promoted && sequence->service_class() > service_class;
  });
  return somebody_gives_way ? std::min(wait_s, kDangerShare * target_s) : wait_s;
}

}  // namespace inferno::schedule
