#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>
#include <numeric>
#include <string_view>

#include "base/check.h"

namespace inferno {
namespace {

enum class MetricType { kCounter, kGauge, kHistogram };

std::string_view type_name(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "untyped";
}

// A number as Prometheus reads it; whole numbers of moderate size without an exponent.
std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{:.1f}", value);
  return fmt::format("{}", value);
}

// Appends `text` with backslashes and line ends escaped; in a label's value also quotes.
void append_escaped(std::string& out, std::string_view text, char quote) {
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == quote && quote != '\0') {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
}

// `model_name="a",engine="0"`, without braces.
std::string labels_text(const MetricLabels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!out.empty()) out += ',';
    out += name;
    out += "=\"";
    append_escaped(out, value, '"');
    out += '"';
  }
  return out;
}

void append_sample(std::string& out, std::string_view name, std::string_view labels, double value) {
  out += name;
  if (!labels.empty()) fmt::format_to(std::back_inserter(out), "{{{}}}", labels);
  out += ' ';
  out += number_text(value);
  out += '\n';
}

void append_histogram(std::string& out, const std::string& name, const std::string& labels,
                      const Histogram& histogram) {
  const std::vector<uint64_t> counts = histogram.bucket_counts();
  const std::string prefix = labels.empty() ? "" : labels + ",";
  uint64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    const auto& bounds = histogram.upper_bounds();
    const std::string bound = i < bounds.size() ? number_text(bounds[i]) : "+Inf";
    append_sample(out, name + "_bucket", fmt::format("{}le=\"{}\"", prefix, bound),
                  static_cast<double>(total));
  }
  append_sample(out, name + "_count", labels, static_cast<double>(total));
  append_sample(out, name + "_sum", labels, histogram.sum());
}

}  // namespace

Histogram::Histogram(std::vector<double> upper_bounds) : upper_bounds_(std::move(upper_bounds)) {
  CHECK(std::ranges::is_sorted(upper_bounds_), "histogram bounds must ascend");
  counts_ = std::make_unique<std::atomic<uint64_t>[]>(upper_bounds_.size() + 1);
}

void Histogram::observe(double value, uint64_t times) {
  if (std::isnan(value)) return;
  const auto bucket = std::ranges::lower_bound(upper_bounds_, value) - upper_bounds_.begin();
  counts_[static_cast<size_t>(bucket)].fetch_add(times, std::memory_order_relaxed);
  sum_.fetch_add(value * static_cast<double>(times), std::memory_order_relaxed);
}

uint64_t Histogram::count() const {
  const std::vector<uint64_t> counts = bucket_counts();
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

std::vector<uint64_t> Histogram::bucket_counts() const {
  std::vector<uint64_t> counts(upper_bounds_.size() + 1);
  for (size_t i = 0; i < counts.size(); ++i) {
    counts[i] = counts_[i].load(std::memory_order_relaxed);
  }
  return counts;
}

std::vector<double> one_two_five_bounds(double max_value) {
  std::vector<double> bounds;
  for (double decade = 1.0; decade <= max_value && std::isfinite(decade); decade *= 10.0) {
    for (double step : {1.0, 2.0, 5.0}) {
      if (step * decade <= max_value) bounds.push_back(step * decade);
    }
  }
  return bounds;
}

struct MetricRegistry::Impl {
  // The metrics that share a name, by their labels as text.
  struct Family {
    std::string name;
    std::string help;
    MetricType type;
    std::map<std::string, size_t> index;  // labels -> place in whichever deque holds the type
    std::deque<std::pair<std::string, Counter>> counters;
    std::deque<std::pair<std::string, Gauge>> gauges;
    std::deque<std::pair<std::string, Histogram>> histograms;
  };

  // Requires: mutex is held.
  Family& family(const MetricName& name, MetricType type) {
    auto found = family_index.find(name.name);
    if (found == family_index.end()) {
      found = family_index.emplace(name.name, families.size()).first;
      families.emplace_back();
      families.back().name = name.name;
      families.back().help = name.help;
      families.back().type = type;
    }
    Family& family = families[found->second];
    CHECK(family.type == type, "metric {} is a {}, asked for as a {}", name.name,
          type_name(family.type), type_name(type));
    return family;
  }

  mutable std::mutex mutex;
  std::deque<Family> families;
  std::map<std::string, size_t> family_index;
};

namespace {

// The metric of those labels in `metrics`, made from `arguments` when it is not there.
template <typename Metric, typename... Arguments>
Metric& find_or_make(std::map<std::string, size_t>& index,
                     std::deque<std::pair<std::string, Metric>>& metrics, std::string labels,
                     Arguments&&... arguments) {
  const auto [place, inserted] = index.emplace(labels, metrics.size());
  if (inserted) {
    metrics.emplace_back(std::piecewise_construct, std::forward_as_tuple(std::move(labels)),
                         std::forward_as_tuple(std::forward<Arguments>(arguments)...));
  }
  return metrics[place->second].second;
}

}  // namespace

MetricRegistry::MetricRegistry() : impl_(std::make_unique<Impl>()) {}
MetricRegistry::~MetricRegistry() = default;

Counter& MetricRegistry::counter(const MetricName& name) {
  std::lock_guard lock(impl_->mutex);
  auto& family = impl_->family(name, MetricType::kCounter);
  return find_or_make(family.index, family.counters, labels_text(name.labels));
}

Gauge& MetricRegistry::gauge(const MetricName& name) {
  std::lock_guard lock(impl_->mutex);
  auto& family = impl_->family(name, MetricType::kGauge);
  return find_or_make(family.index, family.gauges, labels_text(name.labels));
}

Histogram& MetricRegistry::histogram(const MetricName& name, std::span<const double> bounds) {
  std::lock_guard lock(impl_->mutex);
  auto& family = impl_->family(name, MetricType::kHistogram);
  return find_or_make(family.index, family.histograms, labels_text(name.labels),
                      std::vector<double>(bounds.begin(), bounds.end()));
}

std::string MetricRegistry::exposition() const {
  std::lock_guard lock(impl_->mutex);
  std::string out;
  for (const auto& family : impl_->families) {
    out += "# HELP " + family.name + ' ';
    append_escaped(out, family.help, '\0');
    fmt::format_to(std::back_inserter(out), "\n# TYPE {} {}\n", family.name,
                   type_name(family.type));
    for (const auto& [labels, metric] : family.counters) {
      append_sample(out, family.name, labels, metric.value());
    }
    for (const auto& [labels, metric] : family.gauges) {
      append_sample(out, family.name, labels, metric.value());
    }
    for (const auto& [labels, metric] : family.histograms) {
      append_histogram(out, family.name, labels, metric);
    }
  }
  return out;
}

}  // namespace inferno
