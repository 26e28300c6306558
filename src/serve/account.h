// Who a request counts for: the client whose fair share it uses and whose Idempotency-Keys it
// names.
//
// An account is a digest of the API key and of the end user that the request names, so that neither
// travels on to the scheduler, to a metric or to a log. It is XXH3-128 (xxhash.com), the same in
// every process and not meant to withstand an attack on the digest.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "net/http_message.h"

namespace inferno::serve {

// The account of the request's API key together with `user`; empty when it has neither. A key
// counts also where the server asks for none: it tells clients apart.
std::string account_of(const net::HttpRequest& request, std::string_view user = {});

}  // namespace inferno::serve
