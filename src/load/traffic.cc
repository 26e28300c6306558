#include "load/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace inferno::load {
namespace {

// `count` indices into `weights`, each as often as its weight says but for rounding, shuffled.
std::vector<int> dealt(const std::vector<double>& weights, size_t count, Random random) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int> out;
  out.reserve(count);
  // The place where each weight's run ends is rounded, so that runs add up to the count.
  double cumulated = 0.0;
  for (size_t i = 0; i < weights.size(); ++i) {
    cumulated += weights[i];
    const auto end = static_cast<size_t>(
        std::llround(static_cast<double>(count) * std::min(1.0, cumulated / sum)));
    out.resize(std::max(end, out.size()), static_cast<int>(i));
  }
  out.resize(count, static_cast<int>(weights.size()) - 1);
  random.shuffle(std::span<int>(out));
  return out;
}

bool is_class_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

Result<void> check_traffic(const TrafficOptions& traffic) {
  if (traffic.rate_per_s && !(*traffic.rate_per_s > 0.0)) {
    return fail_field("request-rate", "request-rate is {}, must be above 0", *traffic.rate_per_s);
  }
  if (!(traffic.burstiness > 0.0) || std::isinf(traffic.burstiness)) {
    return fail_field("burstiness", "burstiness is {}, must be above 0", traffic.burstiness);
  }
  if (traffic.client_count < 0 || traffic.client_count > 1'000'000) {
    return fail_field("clients", "clients is {}, must be 0 to 1000000", traffic.client_count);
  }
  if (!(traffic.greedy_factor >= 1.0 && traffic.greedy_factor <= 1e6)) {
    return fail_field("greedy-client", "greedy-client is {}, must be 1 to 1000000",
                      traffic.greedy_factor);
  }
  if (traffic.greedy_factor > 1.0 && traffic.client_count < 2) {
    return fail_field("greedy-client", "greedy-client needs at least 2 clients");
  }
  return {};
}

// How much more is sent than without a greedy client.
double surplus(const TrafficOptions& traffic) {
  if (traffic.client_count < 2) return 1.0;
  return (traffic.client_count - 1 + traffic.greedy_factor) / traffic.client_count;
}

void set_classes(Plan& plan, const TrafficOptions& traffic) {
  if (traffic.mix.empty()) return;
  std::vector<double> weights;
  for (const ClassShare& share : traffic.mix) {
    plan.classes.push_back(share.name);
    weights.push_back(share.weight);
  }
  const auto classes =
      dealt(weights, plan.conversations.size(), random_for(traffic.seed, RandomUse::kClasses));
  for (size_t i = 0; i < classes.size(); ++i)
    plan.conversations[i].class_index = classes[i];
}

void set_clients(Plan& plan, const TrafficOptions& traffic) {
  if (traffic.client_count == 0) return;
  std::vector<double> weights(static_cast<size_t>(traffic.client_count), 1.0);
  weights[0] = traffic.greedy_factor;
  for (int i = 0; i < traffic.client_count; ++i)
    plan.clients.push_back(fmt::format("client-{}", i));
  const auto clients =
      dealt(weights, plan.conversations.size(), random_for(traffic.seed, RandomUse::kClients));
  for (size_t i = 0; i < clients.size(); ++i)
    plan.conversations[i].client_index = clients[i];
}

}  // namespace

Result<std::vector<ClassShare>> parse_mix(std::string_view text) {
  std::vector<ClassShare> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t colon = part.find(':');
    const std::string_view name = part.substr(0, colon);
    double weight = 1.0;
    bool is_number = true;
    if (colon != std::string_view::npos) {
      const std::string_view digits = part.substr(colon + 1);
      const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), weight);
      is_number = parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
    }
    if (!is_class_name(name) || !is_number || !(weight > 0.0) || weight > 1e6) {
      return fail_field("mix", "mix: '{}' is not CLASS:WEIGHT with a weight above 0", part);
    }
    if (std::ranges::find(out, name, &ClassShare::name) != out.end()) {
      return fail_field("mix", "mix: class '{}' stands there twice", name);
    }
    out.push_back({std::string(name), weight});
  }
  return out;
}

Result<Plan> make_plan(DatasetOptions dataset, const TrafficOptions& traffic) {
  if (auto checked = check_traffic(traffic); !checked) return std::unexpected(checked.error());
  const double factor = surplus(traffic);
  const bool is_from_file =
      dataset.kind == DatasetKind::kTrace || dataset.kind == DatasetKind::kCustom;
  if (!is_from_file && factor > 1.0) {
    const double count = dataset.request_count.value_or(1000) * factor;
    if (count > 1e8) return fail_field("num-prompts", "{:.0f} requests, limit 100000000", count);
    dataset.request_count = static_cast<int>(std::llround(count));
  }
  auto conversations = make_conversations(dataset, traffic.seed);
  if (!conversations) return std::unexpected(conversations.error());
  Plan plan;
  plan.conversations = std::move(*conversations);
  const bool has_own_times = dataset.kind == DatasetKind::kTrace && !traffic.rate_per_s;
  if (!has_own_times) {
    ArrivalProcess process{.burstiness = traffic.burstiness};
    if (traffic.rate_per_s) process.rate_per_s = *traffic.rate_per_s * factor;
    const auto times = arrival_times(process, plan.conversations.size(),
                                     random_for(traffic.seed, RandomUse::kArrivals));
    for (size_t i = 0; i < times.size(); ++i)
      plan.conversations[i].at_s = times[i];
  }
  set_classes(plan, traffic);
  set_clients(plan, traffic);
  return plan;
}

}  // namespace inferno::load
