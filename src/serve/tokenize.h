// POST /tokenize and /detokenize.
#pragma once

#include "net/http_server.h"
#include "serve/service.h"

namespace inferno::serve {

// {prompt | messages} -> {count, max_model_len, tokens, token_strs}, exactly as a completion or
// chat would see them.
void handle_tokenize(const Service& service, const net::HttpRequest& request,
                     net::Responder& responder);

// {tokens} -> {prompt}.
void handle_detokenize(const Service& service, const net::HttpRequest& request,
                       net::Responder& responder);

}  // namespace inferno::serve
