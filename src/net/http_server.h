// An HTTP/1.1 server: sockets, limits, timeouts, keep-alive and streams. It knows no route; a
// handler does.
//
//   accept -> Connection (one strand each) --header---> HttpHandler::refuse(head)
//                                          --request--> HttpHandler::handle(request, responder)
//                                          <--bytes---- Responder: send, or a stream
//
// A connection handles one request at a time, in order, so pipelined requests are safe. While a
// request is being answered the connection keeps reading, which is how a client that went away is
// noticed at once; one that sends 256 KiB ahead meanwhile is cut off. End of input counts as gone
// unless the answer is already complete.
//
// Invariant: every request handed to the handler gets exactly one answer, or its connection is
//            closed: a Responder that is dropped unanswered answers 500.
// Threads:   handlers run on I/O threads and must not block for long; a Responder may be used from
//            any thread.
// Cost:      one timer and one read buffer a connection; of a stream at most
//            max_buffered_bytes and one write of unsent bytes; of all bodies together
//            max_held_body_bytes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_message.h"

namespace inferno::net {

// How one request is answered. Calls that come too late (the answer is complete or the client is
// gone) do nothing.
// Threads: every method may be called from any thread.
class Responder {
 public:
  virtual ~Responder() = default;

  // Answers at once. Content-Length is added; headers should name the Content-Type.
  virtual void send(int status, HttpHeaders headers, std::string body) = 0;

  // Starts an answer whose length is not known; write() and finish() follow.
  virtual void start_stream(int status, HttpHeaders headers) = 0;
  // Queues bytes. When more than max_buffered_bytes of earlier writes are unsent and the client
  // takes no more, the connection is closed as if the client had gone.
  virtual void write(std::string_view bytes) = 0;
  // Completes the stream; the connection may then serve its next request.
  virtual void finish() = 0;

  // `callback` runs once, on an I/O thread, if the client goes away before the answer is complete;
  // on the calling thread if it has gone already. Replaces an earlier callback.
  virtual void on_disconnect(std::function<void()> callback) = 0;

  // Runs `task` on the connection's strand: never at the same time as another task, as handle() or
  // as the disconnect callback of this connection, and in the order posted. Dropped when the answer
  // is complete or the client is gone.
  virtual void post(std::function<void()> task) = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;

  // Asked of every request when its header is read and its body is not: an answer refuses it, and
  // the body is not kept. `head` has no body. Called on an I/O thread; an exception answers 500.
  virtual std::optional<HttpAnswer> refuse(const HttpRequest& head);

  // Called on an I/O thread with what refuse() let pass. An exception answers 500.
  virtual void handle(HttpRequest request, std::shared_ptr<Responder> responder) = 0;

  // The answer to a request that never reaches handle(): malformed, too large, too slow. A JSON API
  // overrides it to give its own error body. Returns the body and sets `content_type`.
  virtual std::string error_body(int status, const std::string& message, std::string& content_type);
};

struct HttpServerOptions {
  std::string host = "0.0.0.0";  // a name or an address; "::" also takes IPv4 where the system does
  uint16_t port = 8000;          // 0: the system chooses
  int thread_count = 2;
  size_t max_connections = 1024;                   // one more is answered 503 and closed
  size_t max_header_bytes = 64 << 10;              // more: 431
  size_t max_body_bytes = 32 << 20;                // more: 413
  size_t max_held_body_bytes = 256 << 20;          // of all requests; what does not fit: 503
  size_t max_buffered_bytes = 4 << 20;             // unsent bytes of an answer in a stream
  std::chrono::milliseconds idle_timeout{75'000};  // between requests on a kept connection
  std::chrono::milliseconds header_timeout{
      30'000};  // from the first byte to the end of the headers: 408
  std::chrono::milliseconds body_timeout{
      300'000};  // from the end of the headers to the end of the body: 408
  std::chrono::milliseconds write_timeout{60'000};  // without any progress in sending
  bool allow_any_origin =
      true;  // CORS: answers say Access-Control-Allow-Origin: *, OPTIONS is answered here
};

class HttpServer {
 public:
  // Binds, listens and starts the I/O threads. kInvalid when the host has no address or options
  // make no sense, kOverloaded when the address is in use or threads cannot be started.
  static Result<std::unique_ptr<HttpServer>> start(const HttpServerOptions& options,
                                                   std::shared_ptr<HttpHandler> handler);

  // Stops without a drain.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // The bound port.
  uint16_t port() const;

  // Connections open now.
  size_t connection_count() const;

  // Accepts no more, closes idle connections, gives requests being answered up to `drain` to
  // complete, then closes what is left (their disconnect callbacks run) and joins the threads.
  // Later calls do nothing. Requires: not called from an I/O thread.
  void stop(std::chrono::milliseconds drain);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace inferno::net
