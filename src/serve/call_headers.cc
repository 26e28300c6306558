#include "serve/call_headers.h"

#include <boost/json.hpp>
#include <charconv>

namespace inferno::serve {
namespace {

// A header's value as JSON text: quoted, escaped and cut. Bytes that are not ASCII become '?',
// since headers need not be UTF-8 and JSON must be.
std::string shown_header(std::string_view value) {
  std::string ascii(value);
  for (char& c : ascii) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return shown(boost::json::value(ascii));
}

// The whole of `text` as a number.
template <typename T>
std::optional<T> number_in(std::string_view text) {
  T value{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<void> read_call_headers(const net::HttpRequest& request, Call& call) {
  if (const auto text = request.header("X-Vllm-Priority")) {
    const auto priority = number_in<int>(*text);
    if (!priority) {
      return fail_field("priority", "X-Vllm-Priority is {}, must be a 32-bit integer",
                        shown_header(*text));
    }
    call.priority = *priority;
  }
  if (const auto text = request.header("X-Service-Class")) {
    const auto found = request::service_class_named(*text);
    if (!found) {
      return fail_field("service_class",
                        "X-Service-Class is {}, must be \"interactive\", \"standard\" or \"batch\"",
                        shown_header(*text));
    }
    call.service_class = *found;
  }
  if (const auto text = request.header("X-Request-Timeout-S")) {
    const auto seconds = number_in<double>(*text);
    if (!seconds || !(*seconds > 0.0 && *seconds <= kMaxTimeoutSeconds)) {
      return fail_field("timeout_s",
                        "X-Request-Timeout-S is {}, must be a number above 0 and at most {}",
                        shown_header(*text), kMaxTimeoutSeconds);
    }
    call.timeout_s = *seconds;
  }
  return {};
}

}  // namespace inferno::serve
