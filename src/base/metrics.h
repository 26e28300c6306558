// Counters, gauges and histograms, and the text that Prometheus scrapes (exposition format 0.0.4).
//
//   MetricRegistry registry;
//   Counter& tokens = registry.counter({"vllm:prompt_tokens_total", "Prompt tokens.", labels});
//   tokens.add(17);
//   registry.exposition();    // "# HELP vllm:prompt_tokens_total Prompt tokens.\n# TYPE ..."
//
// A metric lives as long as its registry, so whoever asked for one keeps the reference and never
// looks it up again. Asking twice for the same name and labels gives the same object.
//
// Threads: every method may be called from any thread. Updates take no lock; asking for a metric
//          and exposition() do.
// Cost:    an update is one or two relaxed atomic operations; a histogram adds a binary search
//          over its bounds.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace inferno {

// Label names and values, in the order in which they are printed.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// What a metric is called. The name is the whole printed name: a counter's ends in "_total".
struct MetricName {
  std::string name;
  std::string help;
  MetricLabels labels;
};

// A sum that only grows.
class Counter {
 public:
  void add(double amount = 1.0) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0.0};
};

// A number that goes up and down.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0.0};
};

// How often a value fell at or below each of some bounds, and the sum of all values.
class Histogram {
 public:
  // `upper_bounds` ascending; the bucket above the last one is implied.
  explicit Histogram(std::vector<double> upper_bounds);

  // Counts `value` `times` times. A value that is not a number is ignored.
  void observe(double value, uint64_t times = 1);

  uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  const std::vector<double>& upper_bounds() const { return upper_bounds_; }

  // Observations in each bucket, not cumulated: upper_bounds().size() + 1 of them.
  std::vector<uint64_t> bucket_counts() const;

 private:
  std::vector<double> upper_bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0.0};
};

// 1, 2, 5, 10, 20, 50, ... up to and including the last such number that is not above `max_value`.
std::vector<double> one_two_five_bounds(double max_value);

class MetricRegistry {
 public:
  MetricRegistry();
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  // The metric of that name and those labels, made when it is asked for first.
  // Requires: one name is used for one type of metric, and with the same bounds.
  Counter& counter(const MetricName& name);
  Gauge& gauge(const MetricName& name);
  Histogram& histogram(const MetricName& name, std::span<const double> upper_bounds);

  // All metrics as text, families in the order in which they were first asked for.
  std::string exposition() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The Content-Type that belongs to exposition().
inline constexpr const char* kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace inferno
