#include "serve/admin.h"

#include <algorithm>
#include <boost/json.hpp>
#include <span>
#include <utility>

#include "serve/api_key.h"
#include "serve/errors.h"
#include "serve/fields.h"

namespace inferno::serve {

namespace json = boost::json;

namespace {

constexpr std::string_view kLoadPath = "/v1/models/load";
constexpr std::string_view kUnloadPath = "/v1/models/unload";
constexpr size_t kMaxNameBytes = 256;

// Names go into URLs, metrics and logs.
bool is_usable_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f; });
}

// The last part of a path, without ".gguf".
std::string name_of_source(std::string_view source) {
  while (source.ends_with('/'))
    source.remove_suffix(1);
  source = source.substr(source.find_last_of('/') + 1);
  if (source.ends_with(".gguf")) source.remove_suffix(5);
  return std::string(source);
}

// A load that cannot be done now is no rate limit: 503, where chat would say 429.
void send_refusal(net::Responder& responder, const Error& error) {
  const int status = error.fault == Fault::kOverloaded ? 503 : http_status_of(error.fault);
  send_error(responder, status, error);
}

json::object model_object(const std::string& name, ServingState state) {
  const std::string_view state_name = name_of(state);
  json::object out;
  out["id"] = name;
  out["object"] = "model";
  out["state"] = json::string_view(state_name.data(), state_name.size());
  return out;
}

Result<ModelRegistry::Change> read_change(const json::object& body) {
  FieldReader fields(body);
  const auto source = fields.text("model");
  const auto name = fields.text("name");
  ModelRegistry::Change change;
  change.replaces = fields.boolean("replace").value_or(false);
  if (!source || source->empty()) fields.refuse("model", "must name a model");
  if (fields.error()) return std::unexpected(*fields.error());
  change.spec = {.names = {name ? *name : name_of_source(*source)}, .source = *source};
  if (!is_usable_name(change.spec.names.front())) {
    return fail_field("name", "name is {}, must be 1 to {} printable ASCII characters",
                      shown(json::value(change.spec.names.front())), kMaxNameBytes);
  }
  return change;
}

void load_model(ModelRegistry& models, const json::object& body,
                const std::shared_ptr<net::Responder>& responder) {
  ModelLoader* const loader = models.loader();
  if (loader == nullptr) {
    send_error(*responder, 501,
               Error{Fault::kInvalid, "This server cannot load models while it runs.", {}});
    return;
  }
  auto change = read_change(body);
  if (!change) return send_refusal(*responder, change.error());
  auto source = loader->check_source(change->spec.source);
  if (!source) return send_refusal(*responder, source.error());
  change->spec.source = std::move(*source);
  models.load(std::move(*change), [responder](Result<EntryPtr> entry) {
    if (!entry) return send_refusal(*responder, entry.error());
    const std::string name = (*entry)->name();
    entry->reset();  // whoever reads the answer finds the model unused
    send_json(*responder, model_object(name, ServingState::kReady));
  });
}

void unload_model(ModelRegistry& models, const json::object& body, net::Responder& responder) {
  FieldReader fields(body);
  const auto name = fields.text("model");
  if (!name || name->empty()) fields.refuse("model", "must name a model that is served");
  if (fields.error()) return send_refusal(responder, *fields.error());
  const auto is_in_use = models.unload(*name);
  if (!is_in_use) return send_refusal(responder, is_in_use.error());
  send_json(responder,
            model_object(*name, *is_in_use ? ServingState::kDraining : ServingState::kStopped));
}

}  // namespace

bool is_admin_path(std::string_view path) {
  return path == kLoadPath || path == kUnloadPath;
}

std::optional<net::HttpAnswer> refuse_admin(const std::string& admin_key,
                                            const net::HttpRequest& head) {
  if (admin_key.empty()) {
    return error_answer(
        403, Error{Fault::kInvalid, "Models cannot be changed: the server has no admin key.", {}});
  }
  if (!has_api_key(head, std::span(&admin_key, 1))) return unauthorized();
  return std::nullopt;
}

void handle_admin(ModelRegistry& models, const net::HttpRequest& request,
                  std::shared_ptr<net::Responder> responder) {
  auto body = parse_json_object(request.body);
  if (!body) return send_refusal(*responder, body.error());
  if (request.path == kLoadPath) {
    load_model(models, *body, responder);
  } else {
    unload_model(models, *body, *responder);
  }
}

}  // namespace inferno::serve
