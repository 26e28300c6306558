// What a request's headers say of how it is to be served: for clients and gateways that cannot
// change the body.
//
//   X-Vllm-Priority: 5            as the field priority
//   X-Service-Class: batch        as the field service_class
//   X-Request-Timeout-S: 30       as the field timeout_s
//
// A header wins over the field of the body.
// Threads: pure functions.
#pragma once

#include "base/result.h"
#include "net/http_message.h"
#include "serve/call.h"

namespace inferno::serve {

// Takes the headers into `call`. kInvalid naming header, value and what is allowed, with the field
// that the header stands for as Error::param.
Result<void> read_call_headers(const net::HttpRequest& request, Call& call);

}  // namespace inferno::serve
