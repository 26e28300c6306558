#include "serve/models.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>

#include "serve/errors.h"

namespace inferno::serve {

namespace json = boost::json;

namespace {

json::object permission_card(const std::string& name, int64_t created) {
  json::object card;
  card["id"] = "modelperm-" + name;
  card["object"] = "model_permission";
  card["created"] = created;
  card["allow_create_engine"] = false;
  card["allow_sampling"] = true;
  card["allow_logprobs"] = true;
  card["allow_search_indices"] = false;
  card["allow_view"] = true;
  card["allow_fine_tuning"] = false;
  card["organization"] = "*";
  card["group"] = nullptr;
  card["is_blocking"] = false;
  return card;
}

json::object model_card(const ModelStatus& status, const std::string& name) {
  const ModelEntry* const entry = status.entry.get();
  json::object card;
  card["id"] = name;
  card["object"] = "model";
  const int64_t created = entry == nullptr ? 0
                                           : std::chrono::duration_cast<std::chrono::seconds>(
                                                 entry->model.created.time_since_epoch())
                                                 .count();
  card["created"] = created;
  card["owned_by"] = "inferno";
  card["root"] = status.spec.source.empty() ? status.spec.names.front() : status.spec.source;
  card["parent"] = nullptr;
  card["max_model_len"] = nullptr;
  if (entry != nullptr) card["max_model_len"] = entry->limits.max_model_len;
  card["permission"] = json::array{permission_card(name, created)};
  const std::string_view state = name_of(status.state);
  card["state"] = json::string_view(state.data(), state.size());
  if (!status.error.empty()) card["error"] = status.error;
  return card;
}

}  // namespace

void handle_model_list(const Service& service, net::Responder& responder) {
  json::array cards;
  for (const ModelStatus& status : service.models->statuses()) {
    if (status.state == ServingState::kDraining) continue;
    for (const std::string& name : status.spec.names)
      cards.emplace_back(model_card(status, name));
  }
  json::object out;
  out["object"] = "list";
  out["data"] = std::move(cards);
  send_json(responder, out);
}

void handle_model(const Service& service, std::string_view name, net::Responder& responder) {
  for (const ModelStatus& status : service.models->statuses()) {
    if (status.state == ServingState::kDraining) continue;
    if (std::ranges::find(status.spec.names, name) == status.spec.names.end()) continue;
    return send_json(responder, model_card(status, std::string(name)));
  }
  // The name comes from a path and may hold any bytes: it is not repeated.
  send_error(responder, Error{Fault::kNotFound, "The model in the path does not exist.", "model"});
}

}  // namespace inferno::serve
