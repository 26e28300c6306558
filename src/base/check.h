// CHECK: a bug here stops the process, in every build, with the values that show it.
//
// Only for what cannot happen unless this program is wrong. A request, file or peer must never be
// able to reach one: trouble from outside is a Result (base/result.h).
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace inferno {

// Writes "CHECK failed: EXPRESSION at FILE:LINE: MESSAGE" to stderr and aborts.
[[noreturn]] void check_failed(const char* expression, const char* file, int line,
                               std::string_view message);

}  // namespace inferno

#define CHECK(condition, ...)                                                              \
  do {                                                                                     \
    if (!(condition)) [[unlikely]] {                                                       \
      ::inferno::check_failed(#condition, __FILE__, __LINE__, ::fmt::format(__VA_ARGS__)); \
    }                                                                                      \
  } while (false)
