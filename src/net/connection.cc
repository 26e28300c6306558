#include "net/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <exception>
#include <new>
#include <utility>

namespace inferno::net {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

// How much of later requests is read while one is being answered. A client that sends more than
// that ahead is cut off: without reading on, nobody would notice that it went away.
constexpr size_t kMaxAheadBytes = 256 << 10;

// How long a connection that is done reads on, so that the client can still read the last answer.
constexpr std::chrono::milliseconds kLingerTime{2000};
// The same while the server stops: a stop should not wait for clients that keep their side open.
constexpr std::chrono::milliseconds kDrainLingerTime{200};

// Seconds after which a client may send again what there was no memory for: bodies are held for as
// long as they arrive and are parsed.
constexpr const char* kMemoryRetryAfter = "1";

// A body as the parser fills it, counted against the server's budget while it arrives. Room is made
// for what has come, not for what the header announces.
struct CountedBody {
  struct value_type {  // NOLINT(readability-identifier-naming): Beast names it
    std::string bytes;
    std::shared_ptr<BodyClaim> claim;  // set before the first byte
  };

  class reader {  // NOLINT(readability-identifier-naming): Beast names it
   public:
    template <bool kIsRequest, typename Fields>
    reader(http::header<kIsRequest, Fields>& /*header*/, value_type& body) : body_(body) {}

    void init(const boost::optional<uint64_t>& /*length*/, error_code& error) { error = {}; }

    template <typename Buffers>
    size_t put(const Buffers& buffers, error_code& error) {
      const size_t byte_count = asio::buffer_size(buffers);
      error = {};
      if (body_.claim->grow(byte_count) && append(buffers)) return byte_count;
      error = boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);
      return 0;
    }

    void finish(error_code& error) { error = {}; }

   private:
    template <typename Buffers>
    bool append(const Buffers& buffers) try {
      const auto end = asio::buffer_sequence_end(buffers);
      for (auto at = asio::buffer_sequence_begin(buffers); at != end; ++at)
        body_.bytes.append(static_cast<const char*>(at->data()), at->size());
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }

    value_type& body_;
  };
};

int status_of(error_code error) {
  if (error == boost::system::errc::not_enough_memory) return 503;
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit) return 413;
  return 400;
}

std::string message_of(error_code error, const HttpServerOptions& options) {
  if (error == http::error::header_limit) {
    return fmt::format("The request's headers exceed {} bytes.", options.max_header_bytes);
  }
  if (error == boost::system::errc::not_enough_memory) {
    return fmt::format(
        "The server has no memory for this request now: it holds up to {} bytes of "
        "requests at a time.",
        options.max_held_body_bytes);
  }
  if (error == http::error::body_limit) {
    return fmt::format("The request's body exceeds {} bytes.", options.max_body_bytes);
  }
  return fmt::format("The request is not HTTP/1.1: {}.", error.message());
}

}  // namespace

size_t ServerState::open_count() {
  std::lock_guard lock(mutex);
  return open.size();
}

struct Connection::Parser : http::request_parser<CountedBody> {};

Connection::Connection(std::shared_ptr<ServerState> server, asio::ip::tcp::socket socket)
    : server_(std::move(server)), socket_(std::move(socket)), timer_(socket_.get_executor()) {
  error_code error;
  const auto endpoint = socket_.remote_endpoint(error);
  if (!error) {
    peer_ = fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port());
  }
  socket_.set_option(asio::ip::tcp::no_delay(true), error);
}

Connection::~Connection() {
  // Only a connection whose completion threw comes here without close().
  std::lock_guard lock(server_->mutex);
  if (server_->open.erase(this) > 0 && server_->open.empty()) server_->all_closed.notify_all();
}

void Connection::start() {
  {
    std::lock_guard lock(server_->mutex);
    server_->open.insert(this);
  }
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->guarded([&] {
      self->set_read_deadline(self->server_->options.idle_timeout);
      self->read_more();
    });
  });
}

void Connection::post_drain() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->phase_ == Phase::kIdle && self->input_.empty()) self->close();
  });
}

void Connection::post_close() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->close(); });
}

void Connection::post_flush() {
  asio::post(socket_.get_executor(),
             [self = shared_from_this()] { self->guarded([&] { self->flush(); }); });
}

void Connection::post_task(std::function<void()> task) {
  asio::post(socket_.get_executor(),
             [self = shared_from_this(), task = std::move(task)] { self->guarded(task); });
}

template <typename Action>
void Connection::guarded(Action action) {
  try {
    action();
  } catch (const std::exception&) {
    close();
  }
}

void Connection::read_more() {
  if (is_reading_ || input_ended_ || phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kAnswering && input_.size() >= kMaxAheadBytes) {
    close();
    return;
  }
  is_reading_ = true;
  socket_.async_read_some(asio::buffer(block_),
                          [self = shared_from_this()](error_code error, size_t n) {
                            self->guarded([&] { self->on_read(error, n); });
                          });
}

void Connection::on_read(error_code error, size_t byte_count) {
  is_reading_ = false;
  if (phase_ == Phase::kClosed) return;
  if (error == asio::error::eof) {
    input_ended_ = true;
    on_input_end();
    return;
  }
  if (error) {
    close();
    return;
  }
  if (phase_ != Phase::kLingering && !is_rejected_) input_.append(block_.data(), byte_count);
  if (phase_ == Phase::kIdle || phase_ == Phase::kHeaders || phase_ == Phase::kBody) parse();
  read_more();
}

void Connection::on_input_end() {
  switch (phase_) {
    case Phase::kHeaders:
    case Phase::kBody:
      reject(400, "The request ends before it is complete.");
      return;
    case Phase::kAnswering: {
      bool is_complete = false;
      {
        std::lock_guard lock(answer_->mutex);
        is_complete = answer_->phase == AnswerState::Phase::kComplete;
      }
      if (!is_complete) close();
      return;
    }
    default:
      close();
  }
}

void Connection::begin_request() {
  parser_ = std::make_unique<Parser>();
  parser_->eager(true);
  parser_->header_limit(static_cast<uint32_t>(server_->options.max_header_bytes));
  parser_->body_limit(server_->options.max_body_bytes);
  parser_->get().body().claim = std::make_shared<BodyClaim>(server_->bodies);
  phase_ = Phase::kHeaders;
  set_read_deadline(server_->options.header_timeout);
}

void Connection::parse() {
  if (phase_ == Phase::kIdle) {
    // A client may end its last body with an extra line end (RFC 9112 section 2.2).
    input_.erase(0, std::min(input_.find_first_not_of("\r\n"), input_.size()));
    if (input_.empty()) return;
    begin_request();
  }
  error_code error;
  size_t used_bytes = 0;
  while (!parser_->is_done() && used_bytes < input_.size() && !error) {
    const size_t taken =
        parser_->put(asio::buffer(input_.data() + used_bytes, input_.size() - used_bytes), error);
    used_bytes += taken;
    if (taken == 0 && !error) break;
  }
  if (error && error != http::error::need_more) {
    reject(status_of(error), message_of(error, server_->options));
    return;
  }
  input_.erase(0, used_bytes);
  // The parser takes all but an unfinished line or trailer, and limits only those of the headers.
  if (!parser_->is_done() && input_.size() > server_->options.max_header_bytes) {
    reject(431, fmt::format("A chunk's size line or the trailer exceeds {} bytes.",
                            server_->options.max_header_bytes));
    return;
  }
  if (phase_ == Phase::kHeaders && parser_->is_header_done()) on_headers_complete();
  if (phase_ == Phase::kBody && parser_->is_done()) dispatch();
}

void Connection::on_headers_complete() {
  phase_ = Phase::kBody;
  set_read_deadline(server_->options.body_timeout);
  const auto& message = parser_->get();
  if (message.version() >= 11 && message.count(http::field::host) != 1) {
    reject(400, "An HTTP/1.1 request needs one Host header.");
    return;
  }
  if (!refuse_head()) say_continue();
}

// Refuses what is not worth reading on for: what the handler does not want, and a body for which
// there is no room.
bool Connection::refuse_head() {
  const bool is_whole = parser_->is_done();
  const bool is_preflight =
      server_->options.allow_any_origin && parser_->get().method() == http::verb::options;
  std::optional<HttpAnswer> refusal;
  try {
    if (!is_preflight) refusal = server_->handler->refuse(head_of_request());
  } catch (const std::exception& trouble) {
    refusal = failure_answer(trouble);
  }
  if (!refusal) {
    const auto coming = parser_->content_length_remaining();
    if (is_whole || !coming || server_->bodies->has_room(*coming)) return false;
    const auto no_room =
        boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);
    reject(503, message_of(no_room, server_->options));
    return true;
  }
  AnswerTerms terms = answer_terms();
  if (!is_whole) {
    // What follows is the rest of the body, which nobody wants.
    terms.keep_alive = false;
    input_.clear();
    is_rejected_ = true;
  }
  parser_.reset();
  Exchange exchange(begin_answer(terms), shared_from_this());
  exchange.send(refusal->status, std::move(refusal->headers), std::move(refusal->body));
  return true;
}

void Connection::say_continue() {
  const auto& message = parser_->get();
  const bool expects =
      boost::beast::iequals(message[http::field::expect], "100-continue") && !parser_->is_done();
  if (!expects || message.version() < 11 || !input_.empty()) return;
  // Nothing else is being written between requests, and 25 bytes fit into the socket's buffer: a
  // client for which they do not has a broken connection.
  error_code error;
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  socket_.non_blocking(true, error);
  socket_.send(asio::buffer(kContinue), 0, error);
  if (error) close();
}

HttpRequest Connection::head_of_request() const {
  const auto& message = parser_->get();
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  split_target(request);
  for (const auto& field : message) {
    request.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  request.peer = peer_;
  return request;
}

AnswerTerms Connection::answer_terms() const {
  AnswerTerms terms;
  terms.is_head = parser_->get().method() == http::verb::head;
  terms.is_http_1_0 = parser_->get().version() < 11;
  terms.keep_alive = parser_->get().keep_alive();
  return terms;
}

std::shared_ptr<AnswerState> Connection::begin_answer(AnswerTerms terms) {
  phase_ = Phase::kAnswering;
  set_read_deadline(std::nullopt);
  terms.allow_any_origin = server_->options.allow_any_origin;
  terms.max_buffered_bytes = server_->options.max_buffered_bytes;
  answer_ = std::make_shared<AnswerState>();
  answer_->terms = terms;
  return answer_;
}

void Connection::dispatch() {
  auto responder = std::make_shared<Exchange>(begin_answer(answer_terms()), shared_from_this());
  try {
    HttpRequest request = head_of_request();
    auto& body = parser_->get().body();
    request.body = std::move(body.bytes);
    request.body_claim = std::move(body.claim);
    request.arrival = Clock::now();
    parser_.reset();
    if (server_->options.allow_any_origin && request.method == "OPTIONS") {
      answer_preflight(*responder, request);
    } else {
      server_->handler->handle(std::move(request), responder);
    }
  } catch (const std::exception& trouble) {
    HttpAnswer answer = failure_answer(trouble);
    responder->send(answer.status, std::move(answer.headers), std::move(answer.body));
  }
}

HttpAnswer Connection::error_answer(int status, const std::string& message) {
  std::string type = "text/plain";
  std::string body = server_->handler->error_body(status, message, type);
  HttpHeaders headers = {{"Content-Type", type}};
  if (status == 503) headers.push_back({"Retry-After", kMemoryRetryAfter});
  return {status, std::move(headers), std::move(body)};
}

HttpAnswer Connection::failure_answer(const std::exception& trouble) {
  if (dynamic_cast<const std::bad_alloc*>(&trouble) != nullptr) {
    return error_answer(503, "The server has no memory for this request now.");
  }
  return error_answer(500, "The server failed on this request.");
}

// CORS preflight (WHATWG Fetch section 3.2): any origin, method and header, without credentials.
void Connection::answer_preflight(Responder& responder, const HttpRequest& request) {
  const auto asked = request.header("Access-Control-Request-Headers");
  responder.send(200,
                 {{"Access-Control-Allow-Methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"},
                  {"Access-Control-Allow-Headers", asked ? std::string(*asked) : "*"},
                  {"Access-Control-Max-Age", "600"},
                  {"Content-Type", "text/plain; charset=utf-8"}},
                 "OK");
}

void Connection::reject(int status, const std::string& message) {
  parser_.reset();
  input_.clear();
  is_rejected_ = true;
  AnswerTerms terms;
  terms.keep_alive = false;
  Exchange exchange(begin_answer(terms), shared_from_this());
  HttpAnswer answer = error_answer(status, message);
  exchange.send(answer.status, std::move(answer.headers), std::move(answer.body));
}

void Connection::flush() {
  if (phase_ != Phase::kAnswering) return;
  bool is_complete = false;
  bool overflowed = false;
  {
    std::lock_guard lock(answer_->mutex);
    answer_->flush_posted = false;
    overflowed = answer_->overflowed;
    if (is_writing_ && !overflowed) return;  // the end of the write flushes
    if (!overflowed) {
      is_complete = answer_->phase == AnswerState::Phase::kComplete;
      output_.clear();
      output_.swap(answer_->out);
      answer_->in_flight_bytes = output_.size();
    }
  }
  if (overflowed) {
    close();
  } else if (!output_.empty()) {
    output_sent_bytes_ = 0;
    write_some();
  } else if (is_complete) {
    on_answer_sent();
  }
}

void Connection::write_some() {
  is_writing_ = true;
  write_deadline_ = Clock::now() + server_->options.write_timeout;
  arm_timer();
  socket_.async_write_some(
      asio::buffer(output_.data() + output_sent_bytes_, output_.size() - output_sent_bytes_),
      [self = shared_from_this()](error_code error, size_t byte_count) {
        self->guarded([&] { self->on_written(error, byte_count); });
      });
}

void Connection::on_written(error_code error, size_t byte_count) {
  is_writing_ = false;
  write_deadline_.reset();
  if (phase_ == Phase::kClosed) return;
  if (error) {
    close();
    return;
  }
  output_sent_bytes_ += byte_count;
  {
    std::lock_guard lock(answer_->mutex);
    answer_->in_flight_bytes = output_.size() - output_sent_bytes_;
  }
  if (output_sent_bytes_ < output_.size()) {
    write_some();
  } else {
    flush();
  }
}

void Connection::on_answer_sent() {
  const bool keep = answer_->terms.keep_alive && !server_->draining;
  answer_.reset();
  output_ = std::string();
  if (!keep) {
    linger();
    return;
  }
  phase_ = Phase::kIdle;
  set_read_deadline(server_->options.idle_timeout);
  parse();
  if (input_ended_ && phase_ != Phase::kClosed) on_input_end();
  read_more();
}

void Connection::linger() {
  if (input_ended_) {
    close();
    return;
  }
  phase_ = Phase::kLingering;
  input_.clear();
  error_code error;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
  set_read_deadline(server_->draining ? kDrainLingerTime : kLingerTime);
  read_more();
}

void Connection::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  error_code error;
  socket_.close(error);
  timer_.cancel();
  parser_.reset();  // and what its body holds of the budget
  std::function<void()> callback;
  if (answer_) {
    std::lock_guard lock(answer_->mutex);
    if (answer_->phase != AnswerState::Phase::kComplete) {
      answer_->phase = AnswerState::Phase::kGone;
      callback.swap(answer_->on_disconnect);
    }
    answer_->out = std::string();
  }
  if (callback) {
    try {
      callback();
    } catch (const std::exception&) {
      // The connection is gone; there is nobody left to tell.
    }
  }
  std::lock_guard lock(server_->mutex);
  server_->open.erase(this);
  if (server_->open.empty()) server_->all_closed.notify_all();
}

void Connection::set_read_deadline(std::optional<Clock::duration> timeout) {
  read_deadline_.reset();
  if (timeout) read_deadline_ = Clock::now() + *timeout;
  arm_timer();
}

// The timer is only moved when a deadline is nearer than it: deadlines mostly move away, and an
// early wake costs less than moving the timer with every write.
void Connection::arm_timer() {
  std::optional<Clock::time_point> next = read_deadline_;
  if (write_deadline_ && (!next || *write_deadline_ < *next)) next = write_deadline_;
  if (!next || phase_ == Phase::kClosed || (timer_expiry_ && *timer_expiry_ <= *next)) return;
  timer_expiry_ = next;
  timer_.expires_at(*next);
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (error == asio::error::operation_aborted) return;
    self->timer_expiry_.reset();
    self->guarded([&] { self->on_timer(); });
  });
}

void Connection::on_timer() {
  if (phase_ == Phase::kClosed) return;
  const auto now = Clock::now();
  if (write_deadline_ && now >= *write_deadline_) {
    close();
    return;
  }
  if (read_deadline_ && now >= *read_deadline_) {
    if (phase_ == Phase::kHeaders || phase_ == Phase::kBody) {
      reject(408, "The request did not arrive in time.");
    } else {
      close();
      return;
    }
  }
  arm_timer();
}

}  // namespace inferno::net
