// One client's connection: reads and parses its requests one after another and sends the answers.
//
//   kIdle --first byte--> kHeaders --> kBody --request whole--> kAnswering --answer sent--> kIdle
//   kHeaders, kBody --malformed, too large, too slow, refused--> kAnswering (the answer closes)
//   kAnswering --answer sent, not kept--> kLingering --client closes, or time--> closed
//
// A read is always outstanding, also while an answer is made, so that the end of input is seen at
// once; bytes that come meanwhile are the next request's. Lingering reads on after the last answer,
// since closing a socket with unread input would destroy what the client has not yet read.
//
// Threads: everything but the posting functions runs on the strand of the connection's socket.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "net/body_budget.h"
#include "net/exchange.h"
#include "net/http_server.h"

namespace inferno::net {

class Connection;

// What the connections of one server share. Connections keep it alive, for their sockets need the
// io_context.
struct ServerState {
  boost::asio::io_context io;
  HttpServerOptions options;
  std::shared_ptr<HttpHandler> handler;
  std::shared_ptr<BodyBudget> bodies;
  std::atomic<bool> draining{false};

  std::mutex mutex;  // guards what follows
  std::condition_variable all_closed;
  std::unordered_set<Connection*> open;  // each removes itself before it can be destroyed

  size_t open_count();
};

class Connection final : public AnswerCarrier, public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerState> server, boost::asio::ip::tcp::socket socket);
  ~Connection() override;

  // Enters the server's list and starts to read.
  void start();

  // Closes when it is idle; else it closes after the answer that is being made. Any thread.
  void post_drain();
  // Closes in any state. Any thread.
  void post_close();

  void post_flush() override;
  void post_task(std::function<void()> task) override;
  bool is_draining() const override { return server_->draining; }

 private:
  enum class Phase { kIdle, kHeaders, kBody, kAnswering, kLingering, kClosed };
  using Clock = std::chrono::steady_clock;
  struct Parser;

  // Runs what a completion has to do. One that throws, for want of memory, ends the connection:
  // a timer that still waits would keep it, silent, for minutes.
  template <typename Action>
  void guarded(Action action);

  void read_more();
  void on_read(boost::system::error_code error, size_t byte_count);
  void on_input_end();
  void parse();
  void begin_request();
  void on_headers_complete();
  bool refuse_head();
  void say_continue();
  void dispatch();
  HttpRequest head_of_request() const;
  AnswerTerms answer_terms() const;
  void answer_preflight(Responder& responder, const HttpRequest& request);
  HttpAnswer error_answer(int status, const std::string& message);
  HttpAnswer failure_answer(const std::exception& trouble);
  void reject(int status, const std::string& message);
  std::shared_ptr<AnswerState> begin_answer(AnswerTerms terms);
  void flush();
  void write_some();
  void on_written(boost::system::error_code error, size_t byte_count);
  void on_answer_sent();
  void linger();
  void close();
  void set_read_deadline(std::optional<Clock::duration> timeout);
  void arm_timer();
  void on_timer();

  std::shared_ptr<ServerState> server_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  std::string peer_;

  Phase phase_ = Phase::kIdle;
  std::unique_ptr<Parser> parser_;
  std::array<char, 16 << 10> block_{};
  std::string input_;  // read, not yet parsed
  bool is_reading_ = false;
  bool input_ended_ = false;
  bool is_rejected_ = false;  // nothing after the refused request is parsed

  std::shared_ptr<AnswerState> answer_;  // while kAnswering
  std::string output_;                   // being sent
  size_t output_sent_bytes_ = 0;
  bool is_writing_ = false;

  std::optional<Clock::time_point> read_deadline_;
  std::optional<Clock::time_point> write_deadline_;
  std::optional<Clock::time_point> timer_expiry_;
};

}  // namespace inferno::net
