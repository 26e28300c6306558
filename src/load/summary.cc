#include "load/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/check.h"

namespace inferno::load {
namespace {

constexpr std::array<std::string_view, 4> kMetricNames = {"ttft", "tpot", "itl", "e2el"};

double ms_of(const RequestRecord& record, Metric metric) {
  switch (metric) {
    case Metric::kTtft:
      return record.ttft_s() * 1000.0;
    case Metric::kTpot:
      return record.tpot_s() * 1000.0;
    case Metric::kE2el:
      return record.e2el_s() * 1000.0;
    case Metric::kItl:
      break;
  }
  CHECK(false, "metric {} of a single request", static_cast<int>(metric));
}

// Counts by second of the run.
class Seconds {
 public:
  void add(double at_s) { ++slot(at_s); }
  void add_span(double begin_s, double end_s) {
    for (double second = std::floor(begin_s); second <= end_s; second += 1.0)
      ++slot(second);
  }
  int most() const { return counts_.empty() ? 0 : *std::ranges::max_element(counts_); }

 private:
  int& slot(double at_s) {
    const auto second = static_cast<size_t>(std::max(0.0, at_s));
    if (second >= counts_.size()) counts_.resize(second + 1);
    return counts_[second];
  }
  std::vector<int> counts_;
};

std::string kind_of(const RequestRecord& record) {
  switch (record.outcome) {
    case Outcome::kCompleted:
    case Outcome::kUnfinished:
      return "";
    case Outcome::kRejected:
      return "HTTP 429 (rejected)";
    case Outcome::kStatus:
      return fmt::format("HTTP {}", record.status);
    case Outcome::kUnreached:
      return "no connection";
    case Outcome::kBroken:
      return "broken answer";
    case Outcome::kTimeout:
      return "timeout";
    case Outcome::kErrorEvent:
      return "error in the stream";
  }
  return "";
}

void count_outcome(Summary& out, const RequestRecord& record) {
  ++out.request_count;
  out.retry_count += record.retry_count;
  if (record.outcome == Outcome::kUnfinished) {
    ++out.unfinished_count;
  } else if (!record.is_completed()) {
    ++out.failed_count;
    if (record.outcome == Outcome::kRejected) ++out.rejected_count;
  }
}

}  // namespace

std::string_view name_of(Metric metric) {
  return kMetricNames[static_cast<size_t>(metric)];
}

std::optional<Metric> metric_named(std::string_view name) {
  const auto found = std::ranges::find(kMetricNames, name);
  if (found == kMetricNames.end()) return std::nullopt;
  return static_cast<Metric>(found - kMetricNames.begin());
}

Result<Target> parse_target(std::string_view text) {
  Target target;
  const size_t colon = text.find(':');
  std::string_view name = text.substr(0, colon);
  const size_t dot = name.find('.');
  if (dot != std::string_view::npos) {
    target.service_class = name.substr(0, dot);
    name.remove_prefix(dot + 1);
  }
  const auto metric = metric_named(name);
  const std::string_view digits = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, target.limit_ms);
  const bool is_number = !digits.empty() && parsed.ec == std::errc() && parsed.ptr == end;
  if (!metric || *metric == Metric::kItl || !is_number || !(target.limit_ms >= 0.0) || dot == 0) {
    return fail_field("goodput", "goodput: '{}' is not [CLASS.]METRIC:MS with ttft, tpot or e2el",
                      text);
  }
  target.metric = *metric;
  return target;
}

const Distribution& Summary::of(Metric metric) const {
  switch (metric) {
    case Metric::kTtft:
      return ttft_ms;
    case Metric::kTpot:
      return tpot_ms;
    case Metric::kItl:
      return itl_ms;
    case Metric::kE2el:
      return e2el_ms;
  }
  CHECK(false, "metric {}", static_cast<int>(metric));
}

bool is_good(const RequestRecord& record, const SummaryOptions& options) {
  if (!record.is_completed()) return false;
  std::string_view own_class;
  if (!options.classes.empty()) {
    own_class = options.classes[static_cast<size_t>(record.class_index)];
  }
  return std::ranges::all_of(options.targets, [&](const Target& target) {
    if (!target.service_class.empty() && target.service_class != own_class) return true;
    const bool is_replaced =
        target.service_class.empty() && !own_class.empty() &&
        std::ranges::any_of(options.targets, [&](const Target& other) {
          return other.metric == target.metric && other.service_class == own_class;
        });
    return is_replaced || ms_of(record, target.metric) <= target.limit_ms;
  });
}

Summary summarize(std::span<const RequestRecord* const> records, const SummaryOptions& options) {
  Summary out;
  out.duration_s = options.duration_s;
  std::vector<double> ttft, tpot, itl, e2el, lag, slot_wait;
  Seconds chunks;
  Seconds running;
  for (const RequestRecord* record : records) {
    count_outcome(out, *record);
    lag.push_back((record->sent_s - record->due_s) * 1000.0);
    slot_wait.push_back(record->slot_wait_s * 1000.0);
    if (!record->is_completed()) continue;
    ++out.completed_count;
    if (is_good(*record, options)) ++out.good_count;
    out.input_tokens += record->input_tokens();
    out.output_tokens += record->answer.output_tokens();
    ttft.push_back(record->ttft_s() * 1000.0);
    e2el.push_back(record->e2el_s() * 1000.0);
    if (record->answer.output_tokens() > 1) tpot.push_back(record->tpot_s() * 1000.0);
    double at_s = record->answer.first_s;
    chunks.add(at_s);
    for (const float gap_s : record->answer.gaps_s) {
      itl.push_back(static_cast<double>(gap_s) * 1000.0);
      chunks.add(at_s += static_cast<double>(gap_s));
    }
    running.add_span(record->due_s, record->answer.last_s);
  }
  out.peak_output_tokens_per_s = chunks.most();
  out.peak_concurrent = running.most();
  out.ttft_ms = distribution_of(std::move(ttft), options.percents);
  out.tpot_ms = distribution_of(std::move(tpot), options.percents);
  out.itl_ms = distribution_of(std::move(itl), options.percents);
  out.e2el_ms = distribution_of(std::move(e2el), options.percents);
  out.lag_ms = distribution_of(std::move(lag), options.percents);
  out.slot_wait_ms = distribution_of(std::move(slot_wait), options.percents);
  return out;
}

Summary summarize(std::span<const RequestRecord> records, const SummaryOptions& options) {
  std::vector<const RequestRecord*> all;
  all.reserve(records.size());
  for (const RequestRecord& record : records)
    all.push_back(&record);
  return summarize(std::span<const RequestRecord* const>(all), options);
}

std::map<std::string, FailureGroup> failures_of(std::span<const RequestRecord> records) {
  std::map<std::string, FailureGroup> out;
  for (const RequestRecord& record : records) {
    const std::string kind = kind_of(record);
    if (kind.empty()) continue;
    FailureGroup& group = out[kind];
    if (group.count++ == 0) group.example = record.error;
  }
  return out;
}

}  // namespace inferno::load
