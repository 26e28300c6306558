// What the operator decides about scheduling: limits of a step, the order of waiting requests, the
// targets of each service class.
//
// | policy   | who is next                                   | who gives way when pages run out   |
// | -------- | --------------------------------------------- | ---------------------------------- |
// | fcfs     | first come                                    | last admitted                      |
// | priority | lowest `priority`, then first come            | highest `priority`, then last come |
// | slo      | urgency, fair share, slack (waiting_queue.h)  | least urgent, then last admitted   |
//
// No policy changes a request's tokens, only when they are computed.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "request/request.h"

namespace inferno::schedule {

inline constexpr double kNoTarget = std::numeric_limits<double>::infinity();

// What a class of requests is promised, in seconds; kNoTarget: nothing.
struct ServiceTarget {
  double ttft_s = kNoTarget;  // arrival to first token
  double tpot_s = kNoTarget;  // between tokens after the first, on average
};

enum class Policy : uint8_t { kFcfs, kPriority, kSlo };

// "fcfs", "priority", "slo".
std::string_view name_of(Policy policy);
std::optional<Policy> policy_named(std::string_view name);

struct SchedulerConfig {
  int max_num_seqs = 64;             // sequences in one step
  int max_num_batched_tokens = 512;  // tokens in one step
  int layer_count = 1;               // parts in which chunks may be computed; 1: whole
  bool prefix_caching = true;        // off: nothing is adopted, published or waited for
  Policy policy = Policy::kSlo;

  // Indexed by request::ServiceClass. A request without a class has the standard one's.
  std::array<ServiceTarget, request::kServiceClassCount> targets{
      ServiceTarget{.ttft_s = 2.0, .tpot_s = 0.2}, ServiceTarget{.ttft_s = 10.0, .tpot_s = 0.5},
      ServiceTarget{}};

  // How long a request may be overtaken, in seconds, before it enters the aged lane; infinity
  // switches ageing off (slo only).
  double ageing_s = 30.0;
  // One admission in so many, and one prefill token in so many, is the aged lane's; so are
  // max_num_seqs / aged_share of the places in a step, rounded up. At least 1.
  int aged_share = 8;

  // A step that prefills may take at most so many times what it would take without prefill, so that
  // running streams without a class do not stutter, unless more requests wait than stream; 0
  // switches the rule off, and the least share of prefill (chunk_sizer.h) is the least it can ask.
  // What it was measured with: docs/decisions/0010-scheduling.md.
  double max_itl_stretch = 1.5;

  // Clients whose virtual counters lie in one interval of this many tokens are as good as equal:
  // the order between them is by slack (slo only). Small is fairer, large keeps targets better.
  int fairness_quantum_tokens = 512;
  // Clients without live requests of whom counter and answer lengths are remembered.
  int max_idle_clients = 1024;
};

// kInvalid when limits contradict each other: a step that holds fewer tokens than sequences could
// never let all of them decode side by side.
Result<void> check_limits(const SchedulerConfig& config);

}  // namespace inferno::schedule
