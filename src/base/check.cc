#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace inferno {

void check_failed(const char* expression, const char* file, int line, std::string_view message) {
  fmt::print(stderr, "CHECK failed: {} at {}:{}: {}\n", expression, file, line, message);
  std::fflush(stderr);
  std::abort();
}

}  // namespace inferno
