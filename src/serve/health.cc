#include "serve/health.h"

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <vector>

#include "serve/errors.h"

namespace inferno::serve {

namespace json = boost::json;

namespace {

// Loading takes seconds; a server that drains is about to be replaced by another.
constexpr double kRetryAfter_s = 2.0;

bool has_broken_engine(const std::vector<ModelStatus>& models) {
  return std::ranges::any_of(models, [](const ModelStatus& status) {
    return status.entry != nullptr && !status.entry->model.generator->healthy();
  });
}

json::string_view json_name(ServingState state) {
  const std::string_view name = name_of(state);
  return {name.data(), name.size()};
}

}  // namespace

ServerHealth::ServerHealth(ModelRegistry& models, MetricRegistry& metrics)
    : models_(models), metrics_(metrics) {}

ServingState ServerHealth::state() const {
  const ServingState phase = phase_.load();
  if (phase != ServingState::kReady) return phase;
  return has_broken_engine(models_.statuses()) ? ServingState::kFailed : phase;
}

bool ServerHealth::is_health_path(std::string_view path) {
  return path == "/health" || path == "/health/live" || path == "/health/ready" ||
         path == "/v1/health" || path == "/ping";
}

void ServerHealth::answer(std::string_view path, net::Responder& responder) const {
  const std::vector<ModelStatus> models = models_.statuses();
  ServingState state = phase_.load();
  const bool is_broken = has_broken_engine(models);
  if (state == ServingState::kReady && is_broken) state = ServingState::kFailed;
  bool is_well = state == ServingState::kReady;
  if (path == "/health/live") {
    is_well = !is_broken && state != ServingState::kStopped;
  }
  json::array cards;
  for (const ModelStatus& status : models) {
    json::object card;
    card["name"] = status.spec.names.front();
    card["state"] = json_name(status.state);
    cards.push_back(std::move(card));
  }
  json::object out;
  out["state"] = json_name(state);
  out["models"] = std::move(cards);
  net::HttpHeaders headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  if (!is_well) headers.push_back({"Retry-After", fmt::format("{:.0f}", kRetryAfter_s)});
  responder.send(is_well ? 200 : 503, std::move(headers), json::serialize(out));
}

std::optional<net::HttpAnswer> ServerHealth::refusal() const {
  // A broken engine refuses for itself; other models may still work.
  const ServingState phase = phase_.load();
  if (phase == ServingState::kReady) return std::nullopt;
  Error error{Fault::kOverloaded,
              fmt::format("The server is {}, it takes no requests.", name_of(phase)), "",
              kRetryAfter_s};
  if (phase == ServingState::kLoading) error.message += " Try again when it is ready.";
  return error_answer(503, error);
}

void ServerHealth::publish() const {
  const ServingState present = state();
  for (const ServingState state : kServingStates) {
    metrics_
        .gauge({"inferno:server_state",
                "1 for the state that the server is in, 0 for the others.",
                {{"state", std::string(name_of(state))}}})
        .set(state == present ? 1.0 : 0.0);
  }
  models_.publish_states();
}

}  // namespace inferno::serve
