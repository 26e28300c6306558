#include "serve/models.h"

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

json::object model_card(const ModelEntry& entry, const std::string& name) {
  const int64_t created =
      std::chrono::duration_cast<std::chrono::seconds>(entry.model.created.time_since_epoch())
          .count();
  json::object card;
  card["id"] = name;
  card["object"] = "model";
  card["created"] = created;
  card["owned_by"] = "inferno";
  card["root"] = entry.model.root.empty() ? entry.name() : entry.model.root;
  card["parent"] = nullptr;
  card["max_model_len"] = entry.limits.max_model_len;
  card["permission"] = json::array{permission_card(name, created)};
  return card;
}

}  // namespace

void handle_model_list(const Service& service, net::Responder& responder) {
  json::array cards;
  for (const auto& entry : service.models) {
    for (const std::string& name : entry->model.names)
      cards.emplace_back(model_card(*entry, name));
  }
  json::object out;
  out["object"] = "list";
  out["data"] = std::move(cards);
  send_json(responder, out);
}

void handle_model(const Service& service, std::string_view name, net::Responder& responder) {
  const ModelEntry* entry = service.find(name);
  if (entry == nullptr) {
    // The name comes from a path and may hold any bytes: it is not repeated.
    send_error(responder,
               Error{Fault::kNotFound, "The model in the path does not exist.", "model"});
    return;
  }
  send_json(responder, model_card(*entry, std::string(name)));
}

}  // namespace inferno::serve
