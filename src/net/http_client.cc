#include "net/http_client.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cerrno>
#include <charconv>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace inferno::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

// How long a name's addresses are believed: renamed hosts are seen within a minute.
constexpr std::chrono::seconds kAddressLifetime{60};

bool is_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0;
}

// What would end a header line, or hide in a name.
bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::string request_head(const HttpClientRequest& request) {
  std::string out = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.target,
                                request.url.authority());
  for (const HttpHeader& header : request.headers) {
    std::string value = header.value;
    std::ranges::replace_if(value, is_control, ' ');
    out += fmt::format("{}: {}\r\n", header.name, value);
  }
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    out += fmt::format("Content-Length: {}\r\n", request.body.size());
  }
  out += "\r\n";
  return out;
}

// Passes an answer on as it is parsed.
class AnswerParser final : public http::basic_parser<false> {
 public:
  // Passes nothing on once `is_ended` is true: the sink may cancel while it is called.
  AnswerParser(HttpSink& sink, const HttpClientOptions& options, const bool* is_ended)
      : sink_(sink), is_ended_(is_ended) {
    header_limit(static_cast<uint32_t>(options.max_header_bytes));
    body_limit(options.max_body_bytes);
    eager(true);
  }

  bool is_interim() const { return status_ >= 100 && status_ < 200; }

 private:
  void on_request_impl(http::verb, beast::string_view, beast::string_view, int,
                       error_code&) override {}
  void on_response_impl(int code, beast::string_view, int, error_code&) override { status_ = code; }
  void on_field_impl(http::field, beast::string_view name, beast::string_view value,
                     error_code&) override {
    headers_.push_back({std::string(name), std::string(value)});
  }
  void on_header_impl(error_code&) override {
    if (!is_interim() && !*is_ended_) sink_.on_head(status_, headers_);
  }
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  size_t on_body_impl(beast::string_view body, error_code&) override { return pass(body); }
  void on_chunk_header_impl(uint64_t, beast::string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, beast::string_view body, error_code&) override {
    return pass(body);
  }
  void on_finish_impl(error_code&) override {}

  size_t pass(beast::string_view body) {
    if (!body.empty() && !*is_ended_) sink_.on_body({body.data(), body.size()});
    return body.size();
  }

  HttpSink& sink_;
  const bool* is_ended_;
  int status_ = 0;
  HttpHeaders headers_;
};

}  // namespace

std::string HttpUrl::authority() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Result<HttpUrl> parse_http_url(std::string_view text) {
  const std::string_view whole = text;
  if (text.starts_with("https://")) {
    return fail(Fault::kInvalid, "url '{}' needs TLS, which this client does not speak; use http",
                whole);
  }
  if (!text.starts_with("http://") || std::ranges::any_of(text, is_control) ||
      text.find(' ') != std::string_view::npos) {
    return fail(Fault::kInvalid, "url '{}' is not http://HOST[:PORT][/PATH]", whole);
  }
  text.remove_prefix(7);
  HttpUrl url;
  const size_t path = std::min(text.find('/'), text.size());
  url.path = text.substr(path);
  while (url.path.ends_with('/'))
    url.path.pop_back();
  std::string_view place = text.substr(0, path);
  size_t host_end = place.find(':');
  if (place.starts_with('[')) {
    const size_t bracket = std::min(place.find(']'), place.size());
    url.host = place.substr(1, bracket - 1);
    host_end = std::min(bracket + 1, place.size());
    if (host_end == place.size()) host_end = std::string_view::npos;
  } else {
    url.host = place.substr(0, host_end);
  }
  if (host_end != std::string_view::npos) {
    if (place[host_end] != ':' || !is_port(place.substr(host_end + 1))) {
      return fail(Fault::kInvalid, "url '{}' has a port that is not 1 to 65535", whole);
    }
    url.port = place.substr(host_end + 1);
  }
  if (url.host.empty() || url.host.find_first_of("@?#") != std::string::npos) {
    return fail(Fault::kInvalid, "url '{}' has no host that can be used", whole);
  }
  return url;
}

// Idle connections and known addresses.
class HttpClient::Pool {
 public:
  Pool(asio::io_context& loop, HttpClientOptions limits) : io(loop), options(limits) {}

  // A connection that was idle and is still open, the most recently used first.
  std::optional<tcp::socket> take(const std::string& authority) {
    auto& kept = idle_[authority];
    while (!kept.empty()) {
      Idle last = std::move(kept.back());
      kept.pop_back();
      if (Clock::now() - last.since < options.idle_timeout && is_quiet(last.socket)) {
        return std::move(last.socket);
      }
    }
    return std::nullopt;
  }

  void keep(const std::string& authority, tcp::socket socket) {
    auto& kept = idle_[authority];
    if (is_closed || kept.size() >= options.max_idle_connections) return;
    kept.push_back({std::move(socket), Clock::now()});
  }

  size_t idle_count() const {
    size_t count = 0;
    for (const auto& [authority, kept] : idle_)
      count += kept.size();
    return count;
  }

  void close() {
    is_closed = true;
    idle_.clear();
  }

  const tcp::resolver::results_type* addresses(const std::string& authority) const {
    const auto found = addresses_.find(authority);
    if (found == addresses_.end() || Clock::now() - found->second.since > kAddressLifetime) {
      return nullptr;
    }
    return &found->second.results;
  }
  void remember(const std::string& authority, tcp::resolver::results_type results) {
    addresses_[authority] = {std::move(results), Clock::now()};
  }
  void forget(const std::string& authority) { addresses_.erase(authority); }

  asio::io_context& io;
  const HttpClientOptions options;
  bool is_closed = false;

 private:
  struct Idle {
    tcp::socket socket;
    Clock::time_point since;
  };
  struct Addresses {
    tcp::resolver::results_type results;
    Clock::time_point since;
  };

  // Neither closed by the peer nor with bytes that nobody asked for.
  static bool is_quiet(tcp::socket& socket) {
    char byte = 0;
    const ssize_t n = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  std::map<std::string, std::vector<Idle>> idle_;
  std::map<std::string, Addresses> addresses_;
};

// One request: connects, writes, reads, and gives the connection back.
class HttpClient::Call final : public HttpCall, public std::enable_shared_from_this<Call> {
 public:
  Call(std::shared_ptr<Pool> pool, HttpClientRequest request, std::shared_ptr<HttpSink> sink)
      : pool_(std::move(pool)),
        request_(std::move(request)),
        sink_(std::move(sink)),
        authority_(request_.url.authority()),
        socket_(pool_->io),
        resolver_(pool_->io),
        deadline_timer_(pool_->io),
        connect_timer_(pool_->io) {}

  void start() {
    if (request_.timeout.count() > 0) {
      deadline_timer_.expires_after(request_.timeout);
      deadline_timer_.async_wait([self = shared_from_this()](error_code error) {
        if (error) return;
        self->finish(fail(Fault::kDeadline, "{} did not answer within {} ms", self->authority_,
                          self->request_.timeout.count()));
      });
    }
    asio::post(pool_->io, [self = shared_from_this()] { self->begin(); });
  }

  void cancel() override {
    finish(fail(Fault::kCancelled, "the request to {} was cancelled", authority_));
  }

 private:
  void begin() {
    if (is_ended_) return;
    head_ = request_head(request_);
    if (auto kept = pool_->take(authority_)) {
      socket_ = std::move(*kept);
      is_reused_ = true;
      exchange();
      return;
    }
    connect();
  }

  void connect() {
    is_reused_ = false;
    connect_timer_.expires_after(pool_->options.connect_timeout);
    connect_timer_.async_wait([self = shared_from_this()](error_code error) {
      if (error) return;
      self->finish(fail(Fault::kDeadline, "cannot connect to {} within {} ms", self->authority_,
                        self->pool_->options.connect_timeout.count()));
    });
    if (const auto* known = pool_->addresses(authority_)) {
      connect_to(*known);
      return;
    }
    resolver_.async_resolve(
        request_.url.host, request_.url.port, tcp::resolver::numeric_service,
        [self = shared_from_this()](error_code error, tcp::resolver::results_type results) {
          if (self->is_ended_) return;
          if (error) {
            self->finish(fail(Fault::kPeerGone, "cannot find host {}: {}", self->request_.url.host,
                              error.message()));
            return;
          }
          self->pool_->remember(self->authority_, results);
          self->connect_to(results);
        });
  }

  void connect_to(const tcp::resolver::results_type& addresses) {
    asio::async_connect(socket_, addresses,
                        [self = shared_from_this()](error_code error, const tcp::endpoint&) {
                          if (self->is_ended_) return;
                          self->connect_timer_.cancel();
                          if (error) {
                            self->pool_->forget(self->authority_);
                            self->finish(fail(Fault::kPeerGone, "cannot connect to {}: {}",
                                              self->authority_, error.message()));
                            return;
                          }
                          error_code ignored;
                          self->socket_.set_option(tcp::no_delay(true), ignored);
                          self->exchange();
                        });
  }

  // Reads while it writes: a server may refuse a request before it has all of it.
  void exchange() {
    input_.clear();
    has_input_ = false;
    is_written_ = false;
    ++attempt_;
    make_parser();
    const std::array<asio::const_buffer, 2> output{asio::buffer(head_),
                                                   asio::buffer(request_.body)};
    asio::async_write(socket_, output,
                      [self = shared_from_this(), attempt = attempt_](error_code error, size_t) {
                        // A failed write leaves the verdict to the reader, who may have an answer.
                        if (!error && attempt == self->attempt_) self->is_written_ = true;
                      });
    read_more();
  }

  void make_parser() {
    parser_.emplace(*sink_, pool_->options, &is_ended_);
    parser_->skip(request_.method == "HEAD");
  }

  void read_more() {
    socket_.async_read_some(
        asio::buffer(block_),
        [self = shared_from_this()](error_code error, size_t n) { self->on_read(error, n); });
  }

  void on_read(error_code error, size_t byte_count) {
    if (is_ended_) return;
    if (error) {
      on_input_end(error);
      return;
    }
    has_input_ = true;
    input_.append(block_.data(), byte_count);
    parse();
  }

  void parse() {
    while (!input_.empty()) {
      error_code error;
      const size_t used = parser_->put(asio::buffer(input_), error);
      if (is_ended_) return;  // the sink cancelled
      input_.erase(0, used);
      if (error && error != http::error::need_more) {
        finish(parse_failure(error));
        return;
      }
      if (parser_->is_done()) {
        if (!parser_->is_interim()) {
          complete();
          return;
        }
        make_parser();
        continue;
      }
      if (error || used == 0) break;
    }
    read_more();
  }

  std::unexpected<Error> parse_failure(error_code error) const {
    if (error == http::error::header_limit) {
      return fail(Fault::kTooLong, "the answer of {} has headers above {} bytes", authority_,
                  pool_->options.max_header_bytes);
    }
    if (error == http::error::body_limit) {
      return fail(Fault::kTooLong, "the answer of {} has a body above {} bytes", authority_,
                  pool_->options.max_body_bytes);
    }
    return fail(Fault::kCorrupt, "the answer of {} is not HTTP/1.1: {}", authority_,
                error.message());
  }

  void on_input_end(error_code error) {
    if (!has_input_ && is_reused_) {
      close_socket();
      socket_ = tcp::socket(pool_->io);
      connect();
      return;
    }
    if (error == asio::error::eof && parser_->is_header_done() && parser_->need_eof()) {
      error_code ignored;
      parser_->put_eof(ignored);
      if (is_ended_) return;
      finish({});
      return;
    }
    finish(fail(Fault::kPeerGone, "{} closed the connection {}: {}", authority_,
                parser_->is_header_done() ? "in the middle of its answer" : "without an answer",
                error.message()));
  }

  void complete() {
    const bool can_be_kept = parser_->keep_alive() && is_written_ && input_.empty();
    if (can_be_kept) pool_->keep(authority_, std::move(socket_));
    finish({});
  }

  void finish(Result<void> result) {
    if (std::exchange(is_ended_, true)) return;
    deadline_timer_.cancel();
    connect_timer_.cancel();
    resolver_.cancel();
    close_socket();
    const auto self = shared_from_this();  // the sink may hold the last reference to this call
    const auto sink = sink_;
    sink->on_end(std::move(result));
    // The parser may be at work further up the stack, so it stays; the sink need not.
    asio::post(pool_->io, [self] { self->sink_.reset(); });
  }

  void close_socket() {
    error_code ignored;
    socket_.close(ignored);
  }

  std::shared_ptr<Pool> pool_;
  const HttpClientRequest request_;
  std::shared_ptr<HttpSink> sink_;
  const std::string authority_;
  tcp::socket socket_;
  tcp::resolver resolver_;
  asio::steady_timer deadline_timer_;
  asio::steady_timer connect_timer_;

  std::string head_;
  std::optional<AnswerParser> parser_;
  std::array<char, 16 << 10> block_{};
  std::string input_;  // read, not yet parsed
  int attempt_ = 0;
  bool is_reused_ = false;
  bool has_input_ = false;  // of the answer, on this connection
  bool is_written_ = false;
  bool is_ended_ = false;
};

HttpClient::HttpClient(asio::io_context& io, HttpClientOptions options)
    : pool_(std::make_shared<Pool>(io, options)) {}

HttpClient::~HttpClient() {
  pool_->close();
}

std::shared_ptr<HttpCall> HttpClient::send(HttpClientRequest request,
                                           std::shared_ptr<HttpSink> sink) {
  auto call = std::make_shared<Call>(pool_, std::move(request), std::move(sink));
  call->start();
  return call;
}

size_t HttpClient::idle_count() const {
  return pool_->idle_count();
}

}  // namespace inferno::net
