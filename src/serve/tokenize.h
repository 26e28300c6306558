// POST /tokenize and /detokenize.
//
// Threads: called on the responder's strand; long bodies are worked on elsewhere (off_strand.h).
#pragma once

#include <memory>

#include "net/http_server.h"
#include "serve/service.h"

namespace inferno::serve {

// {prompt | messages} -> {count, max_model_len, tokens, token_strs}, exactly as a completion or
// chat would see them.
void handle_tokenize(const Service& service, net::HttpRequest request,
                     std::shared_ptr<net::Responder> responder);

// {tokens} -> {prompt}.
void handle_detokenize(const Service& service, net::HttpRequest request,
                       std::shared_ptr<net::Responder> responder);

}  // namespace inferno::serve
