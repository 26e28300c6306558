// What happened to the pages of a pool since start, and in which state they are, for metrics.
//
// A hit is counted when a sequence is admitted with the block, not when somebody only looks for it;
// so hits and misses are exact however often admission was tried (BlockTable::record_admission).
//
// Threads: written and read by the engine thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace inferno::kv {

// Why the KV of a token did not have to be computed.
enum class HitCause : uint8_t {
  kPrompt,     // part of the prompt of another request, earlier or still running
  kGenerated,  // generated for another request
  kFork,       // shared with a running sequence that this one branched off
  kResumed,    // computed before this sequence was preempted, or by others meanwhile
};
inline constexpr int kHitCauseCount = 4;

// "prompt", "generated", "fork", "resumed": the values of a metric's label.
constexpr std::string_view name_of(HitCause cause) {
  constexpr std::array<std::string_view, kHitCauseCount> kNames = {"prompt", "generated", "fork",
                                                                   "resumed"};
  return kNames[static_cast<size_t>(cause)];
}

struct BlockPoolStats {
  // Of admitted sequences. A block counts when it is whole and not needed for the logits of the
  // last token; tokens count all: hit_tokens + miss_tokens is what admitted sequences came with.
  int64_t hit_blocks = 0;
  int64_t miss_blocks = 0;
  int64_t hit_tokens = 0;
  int64_t miss_tokens = 0;
  std::array<int64_t, kHitCauseCount> hit_tokens_by_cause{};  // sums to hit_tokens

  int64_t evicted_blocks = 0;
  // Computed again while the ghost list still knew that they had been evicted: what a larger pool
  // or a better policy would have saved.
  int64_t evicted_wanted_again_blocks = 0;
  // Computed by two sequences at once; the second page was given back when the block was full.
  int64_t duplicate_blocks = 0;

  // Pages by state; they sum to the pool's capacity.
  int free_pages = 0;
  int idle_pages = 0;
  int in_use_named_pages = 0;
  int in_use_unnamed_pages = 0;
};

}  // namespace inferno::kv
