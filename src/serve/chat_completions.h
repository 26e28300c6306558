// POST /v1/chat/completions.
#pragma once

#include <memory>

#include "net/http_server.h"
#include "serve/service.h"

namespace inferno::serve {

// Answers, now or by a stream, also when the request is wrong.
void handle_chat(const Service& service, net::HttpRequest request,
                 std::shared_ptr<net::Responder> responder);

}  // namespace inferno::serve
