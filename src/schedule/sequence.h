// One request while it is being served by this worker: its tokens, how many of them are computed,
// its pages.
//
//   tokens     prompt, then generated
//   computed   the first `computed` tokens have their keys and values in the pages
//
// There is no prefill and no decode phase: every step computes some of tokens[computed, end), and
// the step that computes the last one yields the next token.
//
// Threads: belongs to the engine thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "kv/block_table.h"

namespace inferno::schedule {

enum class SequenceState : uint8_t { kWaiting, kRunning, kPreempted };

struct Sequence {
  Sequence(RequestId request_id, std::vector<TokenId> prompt, token::BlockHash root, int max_tokens)
      : id(request_id),
        prompt_count(static_cast<int>(prompt.size())),
        tokens(std::move(prompt)),
        table(root, max_tokens) {
    tokens.reserve(static_cast<size_t>(max_tokens));
  }

  int token_count() const { return static_cast<int>(tokens.size()); }
  int pending_count() const { return token_count() - computed; }

  RequestId id;
  int prompt_count;
  std::vector<TokenId> tokens;
  kv::BlockTable table;
  int computed = 0;
  int cached_count = 0;  // prompt tokens adopted from the cache when it was first admitted
  bool reads_prefix_cache = true;  // false when the logits of every prompt token are wanted
  bool was_admitted = false;
  int preemption_count = 0;
  SequenceState state = SequenceState::kWaiting;
};

}  // namespace inferno::schedule
