#include "serve/api_key.h"

namespace inferno::serve {
namespace {

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    difference |= static_cast<unsigned char>(a[i] ^ other);
  }
  return difference == 0;
}

}  // namespace

// "Bearer" in any letter case (RFC 9110 section 11.1).
std::string_view bearer_token(const net::HttpRequest& request) {
  std::string_view value = request.header("Authorization").value_or("");
  constexpr std::string_view kScheme = "bearer ";
  if (value.size() < kScheme.size()) return {};
  for (size_t i = 0; i < kScheme.size(); ++i) {
    if ((value[i] | 0x20) != (kScheme[i] | 0x20)) return {};
  }
  value.remove_prefix(kScheme.size());
  const size_t start = value.find_first_not_of(' ');
  return start == std::string_view::npos ? std::string_view() : value.substr(start);
}

bool needs_api_key(std::string_view path) {
  return path.starts_with("/v1");
}

bool has_api_key(const net::HttpRequest& request, std::span<const std::string> keys) {
  if (keys.empty()) return true;
  const std::string_view token = bearer_token(request);
  bool found = false;
  for (const std::string& key : keys)
    found |= equal_in_constant_time(token, key);
  return found && !token.empty();
}

net::HttpAnswer unauthorized() {
  return {401,
          {{"Content-Type", "application/json"}, {"WWW-Authenticate", "Bearer"}},
          "{\"error\":\"Unauthorized\"}"};
}

}  // namespace inferno::serve
