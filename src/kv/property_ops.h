// How long the property tests of this folder run: about a second in all, or as long as asked for.
//
//   INFERNO_PROPERTY_OPS=5000000 kv_test --gtest_filter='*Random*'
#pragma once

#include <cstdint>
#include <cstdlib>

namespace inferno::kv {

// Operations that one property test performs: the environment's INFERNO_PROPERTY_OPS when that is a
// positive number, else `usual`.
inline int64_t property_ops(int64_t usual) {
  const char* asked = std::getenv("INFERNO_PROPERTY_OPS");
  const int64_t count = asked == nullptr ? 0 : std::atoll(asked);
  return count > 0 ? count : usual;
}

}  // namespace inferno::kv
