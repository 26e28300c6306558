#include "token/bpe.h"

#include <bit>

#include "base/check.h"

namespace inferno::token {
namespace {

// No pair has this key: ids are not negative.
constexpr uint64_t kFreeKey = UINT64_MAX;

uint64_t pair_key(TokenId left, TokenId right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

MergeRules::MergeRules(size_t count) : slots_(std::bit_ceil(2 * count + 1), Slot{kFreeKey, {}}) {}

void MergeRules::add(TokenId left, TokenId right, Joined joined) {
  CHECK(left >= 0 && right >= 0, "merge of {} and {}", left, right);
  const uint64_t key = pair_key(left, right);
  Slot& slot = slots_[slot_of(key)];
  if (slot.key == kFreeKey) slot = {key, joined};
}

std::optional<Joined> MergeRules::find(TokenId left, TokenId right) const {
  if (left < 0 || right < 0) return std::nullopt;
  const Slot& slot = slots_[slot_of(pair_key(left, right))];
  if (slot.key == kFreeKey) return std::nullopt;
  return slot.joined;
}

// The slot that holds `key`, or the free one where it would go. At most half of the slots are
// taken.
size_t MergeRules::slot_of(uint64_t key) const {
  const size_t mask = slots_.size() - 1;
  // Fibonacci hashing (Knuth, TAOCP 3, section 6.4): 2^64 divided by the golden ratio; the high
  // bits are mixed best.
  size_t slot = (key * 0x9E3779B97F4A7C15u) >> 20 & mask;
  while (slots_[slot].key != key && slots_[slot].key != kFreeKey)
    slot = (slot + 1) & mask;
  return slot;
}

}  // namespace inferno::token
