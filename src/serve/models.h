// GET /v1/models and /v1/models/{id}.
#pragma once

#include <memory>
#include <string_view>

#include "net/http_server.h"
#include "serve/service.h"

namespace inferno::serve {

// Every name of every served model, in memory or not, as OpenAI's list of model objects, with its
// `state` and, when it could not be loaded, `error`.
void handle_model_list(const Service& service, net::Responder& responder);

// One model by any of its names; 404 when there is none.
void handle_model(const Service& service, std::string_view name, net::Responder& responder);

}  // namespace inferno::serve
