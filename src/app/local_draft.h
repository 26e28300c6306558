// The draft model beside a model that runs in this process: a smaller one with the same vocabulary
// that guesses its next tokens (engine/draft_model.h).
//
// Threads: made and destroyed by one thread; in between it belongs to the engine's.
#pragma once

#include <memory>

#include "app/options.h"
#include "base/clock.h"
#include "base/thread_pool.h"
#include "engine/draft_model.h"
#include "kv/page_store.h"
#include "model/checkpoint.h"
#include "model/decoder.h"

namespace inferno::app {

// The files of the draft model that the options ask for, which fits `target`; null when they ask
// for none. Errors name the field speculative-config.
Result<std::shared_ptr<const model::Checkpoint>> open_draft(const EngineOptions& options,
                                                            const model::Checkpoint& target);

class LocalDraft {
 public:
  // What it stands on; all of it outlives the draft model.
  struct Parts {
    const kernel::KernelTable& table;
    ThreadPool& pool;
    const Clock& clock;
    int prefetch_bytes = kernel::kDefaultPrefetchBytes;  // of MatmulInput
  };

  struct Limits {
    kv::KvShape kv_shape;
    int page_count = 0;
    model::DecoderLimits decoder;
    engine::DraftModel::Limits model;  // its page_count and batch_tokens are those of above
  };

  // Fault::kOverloaded when there is no memory for pages or activations.
  static Result<std::unique_ptr<LocalDraft>> create(std::unique_ptr<model::Weights> weights,
                                                    const Parts& parts, const Limits& limits);

  engine::DraftProposer& proposer() { return *proposer_; }
  size_t weight_bytes() const { return weights_->packed_bytes(); }
  size_t kv_bytes() const { return store_.bytes(); }
  size_t activation_bytes() const { return decoder_->activation_bytes(); }

 private:
  LocalDraft(std::unique_ptr<model::Weights> weights, kv::PageStore store)
      : weights_(std::move(weights)), store_(std::move(store)) {}

  std::unique_ptr<model::Weights> weights_;
  kv::PageStore store_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<engine::DraftModel> proposer_;
};

}  // namespace inferno::app
