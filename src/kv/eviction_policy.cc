#include "kv/eviction_policy.h"

#include "base/check.h"
#include "kv/greedy_dual_policy.h"
#include "kv/lru_policy.h"

namespace inferno::kv {

std::string_view name_of(EvictionPolicyKind kind) {
  switch (kind) {
    case EvictionPolicyKind::kLru:
      return "lru";
    case EvictionPolicyKind::kLfu:
      return "lfu";
    case EvictionPolicyKind::kCost:
      return "cost";
  }
  CHECK(false, "eviction policy {}", static_cast<int>(kind));
}

Result<EvictionPolicyKind> eviction_policy_named(std::string_view name) {
  for (EvictionPolicyKind kind :
       {EvictionPolicyKind::kLru, EvictionPolicyKind::kLfu, EvictionPolicyKind::kCost}) {
    if (name == name_of(kind)) return kind;
  }
  return fail(Fault::kInvalid, "eviction policy \"{}\" is none of lru, lfu, cost", name);
}

std::unique_ptr<EvictionPolicy> make_eviction_policy(EvictionPolicyKind kind, int capacity) {
  switch (kind) {
    case EvictionPolicyKind::kLru:
      return std::make_unique<LruPolicy>(capacity);
    case EvictionPolicyKind::kLfu:
      return std::make_unique<LfuPolicy>(capacity);
    case EvictionPolicyKind::kCost:
      return std::make_unique<CostAwarePolicy>(capacity);
  }
  CHECK(false, "eviction policy {}", static_cast<int>(kind));
}

}  // namespace inferno::kv
