// What an HTTP/1.1 request and response are made of, as plain data: no sockets, no parser.
//
// Threads: plain values and pure functions.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace inferno::net {

struct HttpHeader {
  std::string name;
  std::string value;
};
using HttpHeaders = std::vector<HttpHeader>;

struct HttpRequest {
  std::string method;  // "GET", as sent
  std::string target;  // "/v1/models/a%2Fb?x=1", as sent
  std::string path;    // "/v1/models/a/b": what comes before '?', percent escapes decoded
  std::string query;   // "x=1", as sent
  HttpHeaders headers;
  std::string body;  // chunked bodies are joined
  // What the body counts against; let go with the last copy of the request.
  std::shared_ptr<const void> body_claim;
  std::string peer;  // "127.0.0.1:51234", for logs
  // Of its last byte: how fast the client sent it is no part of how fast it is answered.
  std::chrono::steady_clock::time_point arrival{};

  // The value of the first header of that name (letter case ignored), or none.
  std::optional<std::string_view> header(std::string_view name) const;
};

// A whole answer.
struct HttpAnswer {
  int status = 200;
  HttpHeaders headers;  // without Content-Length
  std::string body;
};

// "OK" for 200, "Too Many Requests" for 429; "Unknown" for a status without a name here.
std::string_view reason_of(int status);

// Decodes %XX. An escape that is not two hexadecimal digits stays as it is.
std::string percent_decoded(std::string_view text);

// Splits a request target into the decoded path and the query, for origin form ("/a?b") and
// absolute form ("http://host/a?b").
void split_target(HttpRequest& request);

// The status line and headers up to and including the empty line, with a Date header. Control
// characters in a header's value become spaces, so that no value can start a header of its own.
std::string response_head(int status, const HttpHeaders& headers);

// Appends `data` as one chunk of the chunked transfer coding (RFC 9112 section 7.1). Empty data
// adds nothing: an empty chunk would end the body.
void append_chunk(std::string& out, std::string_view data);

// Ends a body in the chunked transfer coding.
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace inferno::net
