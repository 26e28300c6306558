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

Result<void> check_limits(const SchedulerConfig& config) {
  if (config.max_num_batched_tokens >= config.max_num_seqs) return {};
  return fail_field("max-num-batched-tokens",
                    "max-num-batched-tokens {} is less than max-num-seqs {}: every sequence that "
                    "decodes takes a token of a step",
                    config.max_num_batched_tokens, config.max_num_seqs);
}

}  // namespace inferno::schedule
