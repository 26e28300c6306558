#include "serve/errors.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "net/sse.h"

namespace inferno::serve {

namespace json = boost::json;

namespace {

constexpr const char* kJsonType = "application/json";

// The first bytes of append_error_event().
constexpr std::string_view kErrorEventStart = "data: {\"error\":";

}  // namespace

int http_status_of(Fault fault) {
  switch (fault) {
    case Fault::kInvalid:
    case Fault::kTooLong:
      return 400;
    case Fault::kNotFound:
      return 404;
    case Fault::kOverloaded:
      return 429;
    case Fault::kCancelled:
      return 499;
    case Fault::kDeadline:
      return 504;
    case Fault::kPeerGone:
      return 502;
    case Fault::kCorrupt:
    case Fault::kInternal:
      return 500;
  }
  return 500;
}

std::string_view error_type_of(int status) {
  switch (status) {
    case 400:
      return "BadRequestError";
    case 401:
      return "AuthenticationError";
    case 404:
      return "NotFoundError";
    case 405:
      return "MethodNotAllowedError";
    case 408:
      return "RequestTimeoutError";
    case 413:
      return "ContentTooLargeError";
    case 422:
      return "UnprocessableEntityError";
    case 429:
      return "TooManyRequestsError";
    case 431:
      return "HeadersTooLargeError";
    case 499:
      return "ClientClosedRequestError";
    case 501:
      return "NotImplementedError";
    case 502:
      return "BadGatewayError";
    case 503:
      return "ServiceUnavailableError";
    case 504:
      return "GatewayTimeoutError";
    default:
      return status < 500 ? "BadRequestError" : "InternalServerError";
  }
}

json::object error_object(int status, const Error& error) {
  const std::string_view type = error_type_of(status);
  json::object inner;
  inner["message"] = error.message;
  inner["type"] = json::string_view(type.data(), type.size());
  inner["param"] = error.param.empty() ? json::value(nullptr) : json::value(error.param);
  inner["code"] = status;
  json::object out;
  out["error"] = std::move(inner);
  return out;
}

int retry_after_seconds(const Error& error) {
  // Where it is not known: a step takes well under a second, and a waiting request starts after
  // some of them. An hour: who is told more asks again sooner anyway.
  constexpr double kLeast = 1.0;
  constexpr double kMost = 3600.0;
  const double seconds = error.retry_after_s.value_or(kLeast);
  if (!(seconds > kLeast)) return static_cast<int>(kLeast);
  return static_cast<int>(std::ceil(std::min(seconds, kMost)));
}

void append_error_event(std::string& out, const Error& error) {
  net::append_sse(out, json::serialize(error_object(http_status_of(error.fault), error)));
}

bool is_error_event(std::string_view bytes) {
  return bytes.starts_with(kErrorEventStart);
}

void send_error(net::Responder& responder, const Error& error) {
  send_error(responder, http_status_of(error.fault), error);
}

net::HttpAnswer error_answer(int status, const Error& error) {
  net::HttpHeaders headers = {{"Content-Type", kJsonType}};
  if (status == 429 || status == 503)
    headers.push_back({"Retry-After", fmt::format("{}", retry_after_seconds(error))});
  return {status, std::move(headers), json::serialize(error_object(status, error))};
}

void send_error(net::Responder& responder, int status, const Error& error) {
  send_answer(responder, error_answer(status, error));
}

void send_answer(net::Responder& responder, net::HttpAnswer answer) {
  responder.send(answer.status, std::move(answer.headers), std::move(answer.body));
}

void send_json(net::Responder& responder, const json::object& object) {
  responder.send(200, {{"Content-Type", kJsonType}}, json::serialize(object));
}

}  // namespace inferno::serve
