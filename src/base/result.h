// Result<T>: a value, or an Error that says what the caller should do and why, with its numbers.
//
//   Result<Config> load(...);
//   if (!config) return std::unexpected(config.error());
//
// A Fault is named by what the caller should do about it; serve/ maps each to one HTTP status.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace inferno {

enum class Fault : uint8_t {
  kInvalid,     // the request or file is wrong: change it
  kTooLong,     // it exceeds a limit of the model or of the configuration: shorten it
  kNotFound,    // no such model, route or file: name another
  kOverloaded,  // no room now: try again later
  kCancelled,   // the caller asked for it
  kDeadline,    // its time ran out
  kPeerGone,    // another process went away: try another
  kCorrupt,     // bytes do not mean what they claim: do not use them
  kInternal,    // a trouble of ours that is not the caller's doing
};

// "invalid", "too_long", ... as metrics and logs spell it.
std::string_view name_of(Fault fault);

struct Error {
  Fault fault = Fault::kInternal;
  std::string message;  // one sentence: the field, the value, the limit
  std::string param;    // the request's field at fault ("temperature"), or empty
  // For kOverloaded and kDeadline: seconds after which the same request may be taken, if known.
  std::optional<double> retry_after_s = std::nullopt;
};

template <typename T>
using Result = std::expected<T, Error>;

// return fail(Fault::kTooLong, "prompt has {} tokens, limit {}", 9000, 8192);
template <typename... Args>
std::unexpected<Error> fail(Fault fault, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{fault, fmt::format(format, std::forward<Args>(args)...), {}});
}

// As fail(), for a wrong field of a request: Error::param is `param`.
template <typename... Args>
std::unexpected<Error> fail_field(std::string_view param, fmt::format_string<Args...> format,
                                  Args&&... args) {
  return std::unexpected(
      Error{Fault::kInvalid, fmt::format(format, std::forward<Args>(args)...), std::string(param)});
}

}  // namespace inferno
