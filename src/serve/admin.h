// POST /v1/models/load and /v1/models/unload: which models are served, changed while it serves.
//
//   load    {"model": SOURCE, "name": NAME, "replace": false}   answers when it is in memory
//   unload  {"model": NAME}                                     answers at once
//
// Both need the admin key as Bearer token, in place of an API key. What may be loaded is the
// loader's to say (serve/model_loader.h).
//
// Threads: called on I/O threads; a load answers from the registry's model thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_server.h"
#include "serve/model_registry.h"

namespace inferno::serve {

// Whether the path is one of the two above.
bool is_admin_path(std::string_view path);

// The answer to a request for an admin path that may not pass: 403 while `admin_key` is empty, 401
// without the key.
std::optional<net::HttpAnswer> refuse_admin(const std::string& admin_key,
                                            const net::HttpRequest& head);

// Answers a POST of an admin path that passed: 400, 404 and 503 as ModelRegistry::load() and
// unload() say; 200 with the model's name and state.
void handle_admin(ModelRegistry& models, const net::HttpRequest& request,
                  std::shared_ptr<net::Responder> responder);

}  // namespace inferno::serve
