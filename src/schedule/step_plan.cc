#include "schedule/step_plan.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "schedule/step_time_model.h"

namespace inferno::schedule {

StepPlan::StepPlan(const SchedulerConfig& config)
    : max_tokens_(config.max_num_batched_tokens), layer_count_(config.layer_count) {
  chunks_.reserve(static_cast<size_t>(config.max_num_seqs));
}

void StepPlan::clear() {
  chunks_.clear();
  budget_ = max_tokens_;
}

void StepPlan::close() {
  for (const ScheduledChunk& chunk : chunks_)
    chunk.sequence->chunk_index.reset();
  budget_ = 0;
}

void StepPlan::add(Sequence& sequence, int count) {
  CHECK(count >= 1 && count <= budget_ && count <= unplanned_of(sequence),
        "{} tokens planned of {} with a budget of {}", count, unplanned_of(sequence), budget_);
  if (!sequence.chunk_index) {
    CHECK(chunks_.size() < chunks_.capacity(), "{} chunks are planned", chunks_.size());
    sequence.chunk_index = static_cast<int>(chunks_.size());
    chunks_.push_back(
        {.sequence = &sequence, .first = sequence.computed, .layers = {0, layer_count_}});
  }
  ScheduledChunk& chunk = chunks_[static_cast<size_t>(*sequence.chunk_index)];
  chunk.count += count;
  chunk.yields = chunk.count == sequence.pending_count();
  budget_ -= count;
}

void StepPlan::add_drafts(Sequence& sequence, int count) {
  CHECK(count >= 1 && count <= budget_ && sequence.chunk_index && unplanned_of(sequence) == 0,
        "{} drafts are planned with a budget of {}, {} known tokens before them are not", count,
        budget_, unplanned_of(sequence));
  ScheduledChunk& chunk = chunks_[static_cast<size_t>(*sequence.chunk_index)];
  chunk.count += count;
  chunk.draft_count += count;
  budget_ -= count;
}

void StepPlan::carry_prefills(Range layers) {
  // By their places so far: std::stable_partition would take from the heap.
  std::ranges::sort(chunks_, {}, [](const ScheduledChunk& chunk) {
    return std::pair(!chunk.is_decode(), chunk.sequence->chunk_index);
  });
  for (size_t i = 0; i < chunks_.size(); ++i) {
    ScheduledChunk& chunk = chunks_[i];
    chunk.sequence->chunk_index = static_cast<int>(i);
    if (chunk.is_decode()) continue;
    chunk.layers = layers;
    chunk.is_unfinished = layers.end < layer_count_;
    chunk.yields &= !chunk.is_unfinished;
  }
}

void StepPlan::remove(Sequence& sequence) {
  if (!sequence.chunk_index) return;
  const auto index = static_cast<size_t>(*sequence.chunk_index);
  budget_ += chunks_[index].count;
  chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(index));
  sequence.chunk_index.reset();
  for (size_t i = index; i < chunks_.size(); ++i)
    chunks_[i].sequence->chunk_index = static_cast<int>(i);
}

int StepPlan::planned_of(const Sequence& sequence) const {
  if (!sequence.chunk_index) return 0;
  return chunks_[static_cast<size_t>(*sequence.chunk_index)].known_count();
}

int StepPlan::unplanned_of(const Sequence& sequence) const {
  return sequence.pending_count() - planned_of(sequence);
}

StepFeatures StepPlan::features() const {
  StepFeatures features;
  for (const ScheduledChunk& chunk : chunks_) {
    const int64_t reads = positions_read(chunk.first, chunk.count);
    if (chunk.is_decode()) {
      features.decode_rows += chunk.count;
      features.decode_reads += reads;
    } else {
      features.prefill_tokens += chunk.count;
      features.prefill_reads += reads;
      features.prefill_share =
          static_cast<double>(chunk.layers.end - chunk.layers.begin) / layer_count_;
    }
  }
  return features;
}

}  // namespace inferno::schedule
