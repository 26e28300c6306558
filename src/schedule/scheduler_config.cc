#include "schedule/scheduler_config.h"

namespace inferno::schedule {
namespace {

constexpr std::array<std::string_view, 3> kPolicyNames{"fcfs", "priority", "slo"};

}  // namespace

std::string_view name_of(Policy policy) {
  return kPolicyNames[static_cast<size_t>(policy)];
}

std::optional<Policy> policy_named(std::string_view name) {
  for (size_t i = 0; i < kPolicyNames.size(); ++i) {
    if (kPolicyNames[i] == name) return static_cast<Policy>(i);
  }
  return std::nullopt;
}

}  // namespace inferno::schedule
