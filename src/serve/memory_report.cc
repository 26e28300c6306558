#include "serve/memory_report.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

namespace inferno::serve {

namespace json = boost::json;

namespace {

json::object use_object(const MemoryUse& use) {
  json::object out;
  out["now_bytes"] = use.now_bytes;
  out["peak_bytes"] = use.peak_bytes;
  out["block_count"] = use.block_count;
  out["allocation_count"] = use.allocation_count;
  return out;
}

// `model_name="a",state="free"} 12.0` as an object; a name with quotes in it is cut short.
json::object gauge_object(std::string_view labels_and_value) {
  json::object out;
  const size_t end = labels_and_value.rfind("} ");
  std::string_view labels = labels_and_value.substr(0, end);
  while (true) {
    const size_t equals = labels.find("=\"");
    if (equals == std::string_view::npos) break;
    const size_t close = labels.find('"', equals + 2);
    if (close == std::string_view::npos) break;
    const std::string_view value = labels.substr(equals + 2, close - equals - 2);
    out[json::string_view(labels.data(), equals)] = json::string_view(value.data(), value.size());
    labels.remove_prefix(std::min(close + 2, labels.size()));
  }
  const std::string_view number = labels_and_value.substr(end + 2);
  double count = 0.0;
  std::from_chars(number.data(), number.data() + number.size(), count);
  out["count"] = static_cast<int64_t>(count);
  return out;
}

json::array kv_pages(const MetricRegistry& metrics) {
  constexpr std::string_view kSample = "inferno:kv_pages{";
  json::array out;
  const std::string text = metrics.exposition();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    if (line.starts_with(kSample) && line.find("} ") != std::string_view::npos) {
      out.push_back(gauge_object(line.substr(kSample.size())));
    }
    at = end + 1;
  }
  return out;
}

}  // namespace

json::object memory_report(const MemoryTracker& tracker, const ResidentMemory& resident,
                           const MetricRegistry& metrics) {
  json::object out;
  out["resident"] = {{"now_bytes", resident.now_bytes}, {"peak_bytes", resident.peak_bytes}};
  out["total"] = use_object(tracker.total());
  json::array owners;
  for (const MemoryUse& use : tracker.by_owner()) {
    json::object owner;
    owner["owner"] = use.owner;
    for (auto& [key, value] : use_object(use))
      owner[key] = std::move(value);
    owners.push_back(std::move(owner));
  }
  out["owners"] = std::move(owners);
  out["kv_pages"] = kv_pages(metrics);
  return out;
}

}  // namespace inferno::serve
