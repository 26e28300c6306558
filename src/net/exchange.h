// One request's answer on its way from whoever makes it to the connection that sends it.
//
//   Exchange (the Responder, any thread) --bytes--> AnswerState --> Connection (its strand)
//
//   kWaiting --start_stream--> kStreaming --finish--> kComplete
//   kWaiting --send---------------------------------> kComplete
//   any but kComplete --the connection closes-------> kGone       the callback runs
//
// Threads: AnswerState is shared and guarded by its mutex; nothing is called while it is held
//          but asio::post.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "net/http_server.h"

namespace inferno::net {

// What an answer needs to know of its request and connection.
struct AnswerTerms {
  bool is_head = false;      // the answer has no body
  bool is_http_1_0 = false;  // no chunked coding: the end of a stream closes the connection
  bool keep_alive = true;    // the client's wish
  bool allow_any_origin = true;
  size_t max_buffered_bytes = 0;
};

struct AnswerState {
  enum class Phase { kWaiting, kStreaming, kComplete, kGone };

  std::mutex mutex;
  Phase phase = Phase::kWaiting;
  AnswerTerms terms;
  std::string out;             // not yet taken by the connection
  size_t in_flight_bytes = 0;  // taken, not yet accepted by the system
  bool flush_posted = false;
  bool overflowed = false;  // the client does not read: the connection must close
  std::function<void()> on_disconnect;
};

// The connection as an exchange sees it.
class AnswerCarrier {
 public:
  virtual ~AnswerCarrier() = default;
  // Has the connection look at its AnswerState soon, on its strand.
  virtual void post_flush() = 0;
  // Runs `task` on the strand.
  virtual void post_task(std::function<void()> task) = 0;
  // True when no further request will be served on this connection.
  virtual bool is_draining() const = 0;
};

class Exchange final : public Responder {
 public:
  Exchange(std::shared_ptr<AnswerState> state, std::shared_ptr<AnswerCarrier> carrier);
  // Answers 500 when nothing was answered, and cuts a stream that was not finished.
  ~Exchange() override;

  void send(int status, HttpHeaders headers, std::string body) override;
  void start_stream(int status, HttpHeaders headers) override;
  void write(std::string_view bytes) override;
  void finish() override;
  void on_disconnect(std::function<void()> callback) override;
  void post(std::function<void()> task) override;

 private:
  // Requires: the state's mutex is held.
  void append_head(int status, HttpHeaders headers);
  void flush_soon();

  std::shared_ptr<AnswerState> state_;
  std::shared_ptr<AnswerCarrier> carrier_;
};

}  // namespace inferno::net
