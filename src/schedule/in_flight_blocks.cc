#include "schedule/in_flight_blocks.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace inferno::schedule {

InFlightBlocks::InFlightBlocks(int max_num_seqs)
    : buckets_(std::bit_ceil(static_cast<size_t>(max_num_seqs) * 2)),
      blocks_(BlockMap::bucket_traits(buckets_.data(), buckets_.size())) {}

void InFlightBlocks::update(Sequence& running) {
  if (running.is_computing) blocks_.erase(blocks_.iterator_to(running));
  running.is_computing = false;
  const std::optional<token::BlockHash> block = running.table.next_block_hash();
  if (!block) return;
  running.computing_block = *block;
  running.is_computing = true;
  blocks_.insert(running);
}

void InFlightBlocks::remove(Sequence& sequence) {
  CHECK(first_waiter(sequence) == nullptr, "sequence {} goes while others wait for it",
        sequence.id.value);
  if (sequence.is_computing) blocks_.erase(blocks_.iterator_to(sequence));
  sequence.is_computing = false;
}

Sequence* InFlightBlocks::computer_of(const token::BlockHash& block) {
  const auto found = blocks_.find(block);
  return found == blocks_.end() ? nullptr : &*found;
}

void InFlightBlocks::defer(Sequence& sequence, Sequence& computer, int tokens) {
  CHECK(computer.state == SequenceState::kRunning && tokens > computer.computed,
        "sequence {} would wait for {} of {} computed tokens of {}", sequence.id.value, tokens,
        computer.computed, computer.id.value);
  sequence.computer = &computer;
  sequence.awaited_tokens = tokens;
  sequence.state = SequenceState::kDeferred;
  waiters_.insert(sequence);
  ++deferred_count_;
}

Sequence* InFlightBlocks::first_waiter(const Sequence& computer) {
  const auto first = waiters_.lower_bound(Wait{.computer_order = computer.order});
  if (first == waiters_.end() || first->computer != &computer) return nullptr;
  return &*first;
}

Sequence* InFlightBlocks::pop_ready(const Sequence& computer) {
  if (deferred_count_ == 0) return nullptr;
  Sequence* const first = first_waiter(computer);
  if (!first || first->awaited_tokens > computer.computed) return nullptr;
  cancel(*first);
  return first;
}

Sequence* InFlightBlocks::pop_any(const Sequence& computer) {
  if (deferred_count_ == 0) return nullptr;
  Sequence* const first = first_waiter(computer);
  if (first) cancel(*first);
  return first;
}

void InFlightBlocks::cancel(Sequence& sequence) {
  waiters_.erase(waiters_.iterator_to(sequence));
  sequence.computer = nullptr;
  sequence.state = SequenceState::kOutside;
  --deferred_count_;
}

int shared_block_tokens(const Sequence& waiting, const Sequence& running) {
  const auto [end, ignored] = std::ranges::mismatch(waiting.tokens, running.tokens);
  const int equal = static_cast<int>(end - waiting.tokens.begin());
  return std::min(equal, waiting.token_count() - 1) / kv::kPageTokens * kv::kPageTokens;
}

}  // namespace inferno::schedule
