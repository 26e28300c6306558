#include "net/body_budget.h"

namespace inferno::net {

bool BodyBudget::take(size_t bytes) {
  size_t held = held_bytes();
  do {
    if (bytes > limit_bytes_ - held) return false;
  } while (!held_bytes_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
  return true;
}

}  // namespace inferno::net
