// An HTTP/1.1 client for many requests at once: kept connections, timeouts, answers as a stream.
//
//   HttpClient::send(request, sink) --> kept connection, or resolve and connect
//        --> write the request while reading --> sink: on_head, on_body..., on_end
//
// A connection carries one request at a time and is kept when its answer ended cleanly. A kept
// connection that the server closed meanwhile is noticed: before it is used, or by the end of input
// before any byte of the answer, upon which the request is sent once more on a fresh one.
//
// Invariant: each send() leads to exactly one on_end, after which its sink hears no more.
// Threads:   client, calls and sinks belong to the one thread that runs the io_context.
// Cost:      of an answer only what arrived with one read is held: 16 KiB, and headers up to
//            max_header_bytes.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/sizes.h"
#include "net/http_message.h"

namespace inferno::net {

// "http://host:port/base" in its parts.
struct HttpUrl {
  std::string host;         // a name or an address, without the brackets of IPv6
  std::string port = "80";  // 1 to 65535, in decimal
  std::string path;         // "" or "/base", without a slash at its end

  // "host:port" as the Host header has it.
  std::string authority() const;
};

// kInvalid when it is no http URL; https is one of those, as there is no TLS here.
Result<HttpUrl> parse_http_url(std::string_view text);

struct HttpClientOptions {
  std::chrono::milliseconds connect_timeout{10'000};  // resolving the name included
  std::chrono::milliseconds idle_timeout{30'000};     // longer idle: not used again
  size_t max_idle_connections = 1024;                 // of each host and port
  size_t max_header_bytes = 64 << 10;                 // of an answer: kTooLong
  size_t max_body_bytes = kGiB;                       // of an answer: kTooLong
};

struct HttpClientRequest {
  HttpUrl url;                           // where; its path is not used
  std::string method;                    // "POST"
  std::string target;                    // "/v1/models?x=1"
  HttpHeaders headers;                   // Host and Content-Length are added
  std::string body;                      // empty: none
  std::chrono::milliseconds timeout{0};  // from send() to the end of the answer; 0: none
};

// Hears of one answer.
class HttpSink {
 public:
  virtual ~HttpSink() = default;

  // Status and headers of the final answer; 1xx are skipped.
  virtual void on_head(int status, const HttpHeaders& headers) = 0;
  // Bytes of the body, as they arrive, the transfer coding undone.
  virtual void on_body(std::string_view bytes) = 0;
  // The last call. kPeerGone when the peer cannot be reached or the connection breaks, kDeadline
  // when a timeout passes, kCorrupt when the answer is not HTTP, kTooLong when it exceeds a limit,
  // kCancelled after cancel().
  virtual void on_end(Result<void> result) = 0;
};

// A request under way.
class HttpCall {
 public:
  virtual ~HttpCall() = default;

  // Closes the connection; on_end runs within this call. Does nothing when the call has ended.
  virtual void cancel() = 0;
};

class HttpClient {
 public:
  // Requires: `io` outlives the client.
  explicit HttpClient(boost::asio::io_context& io, HttpClientOptions options = {});

  // Closes idle connections; calls under way go on.
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Starts a request. The sink is not called before this returns, and is kept until on_end. The
  // call need not be kept.
  std::shared_ptr<HttpCall> send(HttpClientRequest request, std::shared_ptr<HttpSink> sink);

  // Connections kept for later requests.
  size_t idle_count() const;

 private:
  class Pool;
  class Call;

  std::shared_ptr<Pool> pool_;
};

}  // namespace inferno::net
