#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

namespace inferno {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Metrics, CounterPrintsHelpTypeAndLabels) {
  MetricRegistry registry;
  registry
      .counter(
          {"vllm:prompt_tokens_total", "Prompt tokens.", {{"model_name", "m"}, {"engine", "0"}}})
      .add(17);
  EXPECT_EQ(registry.exposition(),
            "# HELP vllm:prompt_tokens_total Prompt tokens.\n"
            "# TYPE vllm:prompt_tokens_total counter\n"
            "vllm:prompt_tokens_total{model_name=\"m\",engine=\"0\"} 17.0\n");
}

TEST(Metrics, SameNameAndLabelsIsTheSameMetric) {
  MetricRegistry registry;
  Gauge& a = registry.gauge({"g", "help", {{"x", "1"}}});
  Gauge& b = registry.gauge({"g", "help", {{"x", "1"}}});
  Gauge& c = registry.gauge({"g", "help", {{"x", "2"}}});
  EXPECT_EQ(&a, &b);
  EXPECT_NE(&a, &c);
  a.set(2.5);
  c.add(-1);
  const std::string text = registry.exposition();
  EXPECT_THAT(text, HasSubstr("g{x=\"1\"} 2.5\n"));
  EXPECT_THAT(text, HasSubstr("g{x=\"2\"} -1.0\n"));
  EXPECT_EQ(text.find("# TYPE g gauge"), text.rfind("# TYPE g gauge"));
}

TEST(Metrics, HistogramBucketsAreCumulatedAndBoundsInclusive) {
  MetricRegistry registry;
  const std::vector<double> bounds = {0.5, 1.0, 10.0};
  Histogram& histogram = registry.histogram({"h", "help", {}}, bounds);
  histogram.observe(0.5);
  histogram.observe(0.75);
  histogram.observe(1.0);
  histogram.observe(11.0, 2);
  histogram.observe(std::nan(""));
  EXPECT_THAT(histogram.bucket_counts(), ElementsAre(1, 2, 0, 2));
  EXPECT_EQ(histogram.count(), 5u);
  EXPECT_EQ(registry.exposition(),
            "# HELP h help\n# TYPE h histogram\n"
            "h_bucket{le=\"0.5\"} 1.0\nh_bucket{le=\"1.0\"} 3.0\nh_bucket{le=\"10.0\"} 3.0\n"
            "h_bucket{le=\"+Inf\"} 5.0\nh_count 5.0\nh_sum 24.25\n");
}

TEST(Metrics, LabelValuesAreEscaped) {
  MetricRegistry registry;
  registry.counter({"c_total", "one\\two\nthree", {{"path", "a\"b\\c\nd"}}}).add();
  const std::string text = registry.exposition();
  EXPECT_THAT(text, HasSubstr("c_total{path=\"a\\\"b\\\\c\\nd\"} 1.0\n"));
  EXPECT_THAT(text, HasSubstr("# HELP c_total one\\\\two\\nthree\n"));
}

TEST(Metrics, OneTwoFiveBoundsEndAtTheLimit) {
  EXPECT_THAT(one_two_five_bounds(20), ElementsAre(1, 2, 5, 10, 20));
  EXPECT_THAT(one_two_five_bounds(19), ElementsAre(1, 2, 5, 10));
  EXPECT_TRUE(one_two_five_bounds(0).empty());
}

TEST(Metrics, UpdatesFromManyThreadsAreAllCounted) {
  MetricRegistry registry;
  Counter& counter = registry.counter({"c_total", "help", {}});
  const std::vector<double> bounds = {10.0};
  Histogram& histogram = registry.histogram({"h", "help", {}}, bounds);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 5000; ++i) {
          counter.add();
          histogram.observe(i % 20);
          if (i % 1000 == 0) registry.exposition();
        }
      });
    }
  }
  EXPECT_EQ(counter.value(), 20000.0);
  EXPECT_EQ(histogram.count(), 20000u);
  EXPECT_EQ(histogram.sum(), 4 * 5000 * 9.5);
}

}  // namespace
}  // namespace inferno
