// A blocking HTTP client for tests: it sends any bytes, well-formed or not, and reads whole or
// chunked answers.
//
// Threads: one. Cost: reads wait up to kTestReadTimeout, then count as the end of input.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace inferno::net {

inline constexpr std::chrono::milliseconds kTestReadTimeout{20'000};

struct TestResponse {
  int status = 0;    // 0: the connection ended before a whole answer
  std::string head;  // status line and headers
  std::string body;  // chunks joined
};

class TestClient {
 public:
  // Connects to 127.0.0.1:port; `receive_buffer_bytes` > 0 makes a client that stalls early.
  explicit TestClient(uint16_t port, int receive_buffer_bytes = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer_bytes > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(int));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~TestClient() { close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool is_connected() const { return is_connected_; }

  // False when the peer does not take all of it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  // Sends a request with a body and the headers that it needs.
  bool request(std::string_view method, std::string_view path, std::string_view body = "",
               std::string_view extra_headers = "") {
    return send(fmt::format("{} {} HTTP/1.1\r\nHost: test\r\n{}Content-Length: {}\r\n\r\n{}",
                            method, path, extra_headers, body.size(), body));
  }

  // The next answer. `is_head`: an answer to HEAD, which has no body.
  TestResponse read(bool is_head = false) {
    TestResponse response;
    size_t head_end = 0;
    while ((head_end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_some()) return response;
    }
    response.head = input_.substr(0, head_end + 2);
    input_.erase(0, head_end + 4);
    const int status = std::atoi(response.head.c_str() + response.head.find(' '));
    const auto length = header_of(response.head, "Content-Length");
    bool is_whole = true;
    if (is_head || status == 100 || status == 204) {
    } else if (length) {
      is_whole = read_body(response.body, std::strtoull(length->c_str(), nullptr, 10));
    } else if (header_of(response.head, "Transfer-Encoding")) {
      is_whole = read_chunks(response.body);
    } else {
      while (read_some()) {
      }
      response.body = std::exchange(input_, {});
    }
    if (is_whole) response.status = status;
    return response;
  }

  // Bytes that have come, at least one unless the input has ended.
  std::string read_available() {
    if (input_.empty()) read_some();
    return std::exchange(input_, {});
  }

  // True when the peer closes without sending anything more.
  bool is_closed_by_peer() { return input_.empty() && !read_some(); }

  void shutdown_send() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // Closes with a reset instead of an orderly end.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

  // The value of a header in a head as read() gives it; the name's letter case must match.
  static std::optional<std::string> header_of(std::string_view head, std::string_view name) {
    const size_t start = head.find(fmt::format("\r\n{}: ", name));
    if (start == std::string_view::npos) return std::nullopt;
    const size_t value = start + 4 + name.size();
    return std::string(head.substr(value, head.find("\r\n", value) - value));
  }

 private:
  bool read_some() {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(kTestReadTimeout.count())) <= 0) return false;
    char block[16384];
    const ssize_t n = ::recv(fd_, block, sizeof block, 0);
    if (n <= 0) return false;
    input_.append(block, static_cast<size_t>(n));
    return true;
  }

  bool read_body(std::string& out, size_t byte_count) {
    while (input_.size() < byte_count) {
      if (!read_some()) return false;
    }
    out += input_.substr(0, byte_count);
    input_.erase(0, byte_count);
    return true;
  }

  bool read_chunks(std::string& out) {
    while (true) {
      size_t end = 0;
      while ((end = input_.find("\r\n")) == std::string::npos) {
        if (!read_some()) return false;
      }
      const size_t size = std::strtoull(input_.c_str(), nullptr, 16);
      input_.erase(0, end + 2);
      std::string line_end;
      if (!read_body(out, size) || !read_body(line_end, 2) || line_end != "\r\n") return false;
      if (size == 0) return true;
    }
  }

  int fd_ = -1;
  bool is_connected_ = false;
  std::string input_;
};

// The answer to one request on a connection of its own.
inline TestResponse get(uint16_t port, std::string_view path, std::string_view headers = "") {
  TestClient client(port);
  client.request("GET", path, "", headers);
  return client.read();
}
inline TestResponse post(uint16_t port, std::string_view path, std::string_view body,
                         std::string_view headers = "") {
  TestClient client(port);
  client.request("POST", path, body, headers);
  return client.read();
}

}  // namespace inferno::net
