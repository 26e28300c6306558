// Whether a request may pass: a Bearer token that is one of the server's keys.
//
// Threads: pure functions.
// Cost:    the time depends on lengths and the number of keys, not on which bytes agree.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "net/http_message.h"

namespace inferno::serve {

// The token of the request's Authorization header when its scheme is Bearer, or empty. It lives as
// long as the request's headers.
std::string_view bearer_token(const net::HttpRequest& request);

// True for paths that need a key: all under /v1, as vLLM has it.
bool needs_api_key(std::string_view path);

// True when `keys` is empty or the Authorization header holds one of them.
bool has_api_key(const net::HttpRequest& request, std::span<const std::string> keys);

// What a request without the right key is answered: 401, as vLLM words it.
net::HttpAnswer unauthorized();

}  // namespace inferno::serve
