// Errors on their way to a client: the one place where a fault becomes an HTTP status and an OpenAI
// error body.
//
//   {"error": {"message": "...", "type": "BadRequestError", "param": "temperature", "code": 400}}
//
// Threads: pure functions.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_server.h"

namespace inferno::serve {

// 400 for what the client must change, 404, 429, 499, 504, 502, and 500 for troubles of ours.
//
// Of deadlines: 504 is for a request whose time ran out. One that was refused before it was queued,
// because the load would not let it meet its deadline, is kOverloaded: 429 and when to come back.
int http_status_of(Fault fault);

// "BadRequestError" for 400, as vLLM names its error types.
std::string_view error_type_of(int status);

// The error body above; `param` is null when no field is at fault.
boost::json::object error_object(int status, const Error& error);

// When to come back after an error, in whole seconds for Retry-After: what the error says, rounded
// up, from 1 to 3600; 1 when it says nothing.
int retry_after_seconds(const Error& error);

// The error's status and body as an answer; 429 and 503 tell when to come back.
net::HttpAnswer error_answer(int status, const Error& error);

// Answers so.
void send_error(net::Responder& responder, const Error& error);
void send_error(net::Responder& responder, int status, const Error& error);
void send_answer(net::Responder& responder, net::HttpAnswer answer);

// Appends the event that tells of an error inside a stream whose status is already sent.
void append_error_event(std::string& out, const Error& error);

// Whether `bytes`, one write to a stream, begin with such an event.
bool is_error_event(std::string_view bytes);

// Answers 200 with JSON.
void send_json(net::Responder& responder, const boost::json::object& object);

}  // namespace inferno::serve
