#include "net/http_server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <exception>
#include <future>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "net/connection.h"

namespace inferno::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

// How long to wait before accepting again after the system had no descriptor for another
// connection.
constexpr std::chrono::milliseconds kAcceptPause{50};

// How long stop() waits for connections that it has told to close.
constexpr std::chrono::seconds kCloseWait{5};

constexpr std::string_view kTooManyConnections =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    "Content-Length: 0\r\n\r\n";

Result<void> check_options(const HttpServerOptions& options) {
  if (options.thread_count < 1 || options.thread_count > 1024) {
    return fail(Fault::kInvalid, "HTTP thread_count is {}, must be 1 to 1024",
                options.thread_count);
  }
  if (options.max_connections < 1) return fail(Fault::kInvalid, "HTTP max_connections is 0");
  if (options.max_header_bytes < 256 || options.max_header_bytes > (1u << 30)) {
    return fail(Fault::kInvalid, "HTTP max_header_bytes is {}, must be 256 to {}",
                options.max_header_bytes, 1u << 30);
  }
  if (options.max_held_body_bytes < options.max_body_bytes) {
    return fail(Fault::kInvalid, "HTTP max_held_body_bytes is {}, less than max_body_bytes, {}",
                options.max_held_body_bytes, options.max_body_bytes);
  }
  return {};
}

}  // namespace

std::optional<HttpAnswer> HttpHandler::refuse(const HttpRequest& /*head*/) {
  return std::nullopt;
}

std::string HttpHandler::error_body(int status, const std::string& message,
                                    std::string& content_type) {
  content_type = "text/plain; charset=utf-8";
  return std::string(reason_of(status)) + ": " + message + "\n";
}

class HttpServer::Impl {
 public:
  Impl(const HttpServerOptions& options, std::shared_ptr<HttpHandler> handler)
      : state_(std::make_shared<ServerState>()),
        work_(asio::make_work_guard(state_->io)),
        acceptor_(asio::make_strand(state_->io)),
        pause_(acceptor_.get_executor()) {
    state_->options = options;
    state_->bodies = std::make_shared<BodyBudget>(options.max_held_body_bytes);
    state_->handler = std::move(handler);
  }
  ~Impl() { stop(std::chrono::milliseconds(0)); }

  Result<void> listen();
  Result<void> run();
  void stop(std::chrono::milliseconds drain);
  uint16_t port() const { return port_; }
  size_t connection_count() const { return state_->open_count(); }

 private:
  void accept_next();
  void take(tcp::socket socket);
  void for_each_connection(void (Connection::*action)());

  std::shared_ptr<ServerState> state_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::vector<std::jthread> threads_;
  uint16_t port_ = 0;
  bool is_stopped_ = false;
};

Result<void> HttpServer::Impl::listen() {
  const HttpServerOptions& options = state_->options;
  error_code error;
  tcp::resolver resolver(state_->io);
  const auto found = resolver.resolve(options.host.empty() ? "0.0.0.0" : options.host,
                                      std::to_string(options.port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return fail(Fault::kInvalid, "host \"{}\" has no address: {}", options.host, error.message());
  }
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) {
    acceptor_.set_option(asio::ip::v6_only(false), error);
  }
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return fail(error == asio::error::address_in_use ? Fault::kOverloaded : Fault::kInvalid,
                "cannot listen on {}:{}: {}", options.host, options.port, error.message());
  }
  port_ = acceptor_.local_endpoint(error).port();
  return {};
}

Result<void> HttpServer::Impl::run() {
  asio::post(acceptor_.get_executor(), [this] { accept_next(); });
  try {
    for (int i = 0; i < state_->options.thread_count; ++i) {
      threads_.emplace_back([state = state_] {
        while (true) {
          try {
            state->io.run();
            return;
          } catch (const std::exception&) {
            // Memory ran out inside a completion: the other connections go on.
          }
        }
      });
    }
  } catch (const std::system_error& error) {
    return fail(Fault::kOverloaded, "cannot start HTTP thread {} of {}: {}", threads_.size() + 1,
                state_->options.thread_count, error.what());
  }
  return {};
}

void HttpServer::Impl::accept_next() {
  if (!acceptor_.is_open()) return;
  acceptor_.async_accept(asio::make_strand(state_->io),
                         [this](error_code error, tcp::socket socket) {
                           if (!acceptor_.is_open()) return;
                           if (!error) {
                             accept_next();  // first: what take() throws must not end it
                             take(std::move(socket));
                             return;
                           }
                           pause_.expires_after(kAcceptPause);
                           pause_.async_wait([this](error_code stopped) {
                             if (!stopped) accept_next();
                           });
                         });
}

void HttpServer::Impl::take(tcp::socket socket) {
  if (state_->open_count() >= state_->options.max_connections) {
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.send(asio::buffer(kTooManyConnections), 0, ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
    return;
  }
  std::make_shared<Connection>(state_, std::move(socket))->start();
}

void HttpServer::Impl::for_each_connection(void (Connection::*action)()) {
  std::vector<std::shared_ptr<Connection>> connections;
  {
    std::lock_guard lock(state_->mutex);
    for (Connection* connection : state_->open) {
      if (auto alive = connection->weak_from_this().lock()) connections.push_back(std::move(alive));
    }
  }
  for (const auto& connection : connections)
    ((*connection).*action)();
}

void HttpServer::Impl::stop(std::chrono::milliseconds drain) {
  if (std::exchange(is_stopped_, true)) return;
  state_->draining = true;
  if (!threads_.empty()) {
    std::promise<void> closed;
    asio::post(acceptor_.get_executor(), [&] {
      error_code ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      closed.set_value();
    });
    closed.get_future().wait();
    const auto all_closed = [this] { return state_->open.empty(); };
    for_each_connection(&Connection::post_drain);
    {
      std::unique_lock lock(state_->mutex);
      state_->all_closed.wait_for(lock, drain, all_closed);
    }
    for_each_connection(&Connection::post_close);
    std::unique_lock lock(state_->mutex);
    state_->all_closed.wait_for(lock, kCloseWait, all_closed);
  }
  work_.reset();
  state_->io.stop();
  threads_.clear();
  // Completions of closed sockets hold their connections, and these the io_context: run them out.
  state_->io.restart();
  try {
    state_->io.poll();
  } catch (const std::exception&) {
  }
  state_->handler.reset();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpServerOptions& options,
                                                      std::shared_ptr<HttpHandler> handler) {
  if (auto checked = check_options(options); !checked) return std::unexpected(checked.error());
  auto impl = std::make_unique<Impl>(options, std::move(handler));
  if (auto listening = impl->listen(); !listening) return std::unexpected(listening.error());
  if (auto running = impl->run(); !running) return std::unexpected(running.error());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

uint16_t HttpServer::port() const {
  return impl_->port();
}
size_t HttpServer::connection_count() const {
  return impl_->connection_count();
}
void HttpServer::stop(std::chrono::milliseconds drain) {
  impl_->stop(drain);
}

}  // namespace inferno::net
