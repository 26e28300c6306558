#include "serve/memory_report.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace inferno::serve {
namespace {

TEST(MemoryReport, TellsOwnersTotalsAndPages) {
  MemoryTracker tracker;
  tracker.account("weights").add(1000);
  tracker.account("KV cache").add(500);
  tracker.account("KV cache").subtract(500);
  MetricRegistry metrics;
  metrics
      .gauge({"inferno:kv_pages", "KV pages by state.", {{"model_name", "a"}, {"state", "free"}}})
      .set(12);
  metrics.gauge({"inferno:kv_pages_other", "Another.", {{"model_name", "a"}}}).set(7);
  const boost::json::value report =
      memory_report(tracker, {.now_bytes = 4096, .peak_bytes = 8192}, metrics);
  EXPECT_EQ(report.at("resident").at("peak_bytes"), 8192);
  EXPECT_EQ(report.at("total").at("now_bytes"), 1000);
  EXPECT_EQ(report.at("total").at("peak_bytes"), 1500);
  ASSERT_EQ(report.at("owners").as_array().size(), 2u);
  EXPECT_EQ(report.at("owners").at(1).at("owner"), "KV cache");
  EXPECT_EQ(report.at("owners").at(1).at("now_bytes"), 0);
  EXPECT_EQ(report.at("owners").at(1).at("peak_bytes"), 500);
  ASSERT_EQ(report.at("kv_pages").as_array().size(), 1u);
  EXPECT_EQ(report.at("kv_pages").at(0).at("model_name"), "a");
  EXPECT_EQ(report.at("kv_pages").at(0).at("state"), "free");
  EXPECT_EQ(report.at("kv_pages").at(0).at("count"), 12);
}

}  // namespace
}  // namespace inferno::serve
