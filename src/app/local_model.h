// A model running in this process: files, tokenizer, template, weights, KV memory, engine, put
// together.
//
// Threads: made and destroyed by one thread; its parts say themselves what they allow.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "app/local_draft.h"
#include "app/options.h"
#include "base/metrics.h"
#include "base/thread_pool.h"
#include "engine/engine.h"
#include "kv/page_store.h"
#include "model/checkpoint.h"
#include "model/decoder.h"
#include "token/chat_template.h"
#include "token/tokenizer.h"

namespace inferno::app {

// What it takes to turn text into tokens, without weights.
struct ModelText {
  std::shared_ptr<const model::Checkpoint> checkpoint;
  std::unique_ptr<token::Tokenizer> tokenizer;
  std::optional<token::ChatTemplate> chat_template;
};

// Opens the model's tokenizer and, when it has one, its chat template. A template that does not
// parse is an error only for those who need it: it is left out and `warning` says why.
Result<ModelText> open_text(const std::string& model, model::Checkpoint::Need need,
                            std::string& warning);

// What a model takes of the large memory that is taken once, before it serves. Beside it there are
// tokenizer, tables and requests on the heap, some tens of MiB, and pages of the files that the
// system takes back when it wants to.
struct MemoryNeed {
  size_t weight_bytes = 0;
  size_t kv_bytes = 0;
  size_t activation_bytes = 0;
  size_t draft_bytes = 0;  // all of these of a draft model
  size_t total() const { return weight_bytes + kv_bytes + activation_bytes + draft_bytes; }
};

class LocalModel {
 public:
  enum class Progress : uint8_t { kSilent, kShown };

  // Loads everything and starts the engine; progress goes to stderr. `metrics` outlives the model.
  static Result<std::unique_ptr<LocalModel>> load(const EngineOptions& options,
                                                  MetricRegistry& metrics, Progress progress);

  const model::Checkpoint& checkpoint() const { return *text_.checkpoint; }
  const token::Tokenizer& tokenizer() const { return *text_.tokenizer; }
  const token::ChatTemplate* chat_template() const {
    return text_.chat_template ? &*text_.chat_template : nullptr;
  }
  engine::Engine& engine() { return *engine_; }
  const kernel::KernelTable& table() const { return *table_; }
  int threads() const { return pool_->size(); }
  // One line: sizes in memory, context, instruction set.
  std::string summary() const;
  MemoryNeed memory() const;
  // What memory() would be after load() with these options, from the files' headers. Where the KV
  // cache is a share of free memory, as much as there will be is only about known. Errors as
  // load()'s.
  static Result<MemoryNeed> estimate_memory(const EngineOptions& options);

 private:
  LocalModel() = default;
  Result<void> place(const EngineOptions& options);
  Result<void> load_weights(const EngineOptions& options, Progress progress);
  // The files of a model and, when it is to have one, of its draft model.
  struct Files {
    std::shared_ptr<const model::Checkpoint> model;
    std::shared_ptr<const model::Checkpoint> draft;
  };
  // How many pages the KV cache has and how long a request may be. A draft model has as many pages
  // as the model: it reads the same sequences.
  struct ContextPlan {
    int page_count = 0;
    size_t page_bytes = 0;
    size_t draft_page_bytes = 0;
    int max_model_len = 0;
  };
  // `unloaded_bytes` of weights are still to come: they are not left for the cache.
  static Result<ContextPlan> plan_context(const EngineOptions& options, const Files& files,
                                          size_t unloaded_bytes);
  static model::DecoderLimits decoder_limits(const EngineOptions& options, const ContextPlan& plan);
  static model::DecoderLimits draft_decoder_limits(const EngineOptions& options,
                                                   const ContextPlan& plan);
  Result<void> start_draft(const EngineOptions& options, std::unique_ptr<model::Weights> weights);
  Result<void> start_engine(const EngineOptions& options, MetricRegistry& metrics);

  // Destroyed in reverse: the engine's thread ends before what it works on goes.
  ModelText text_;
  const kernel::KernelTable* table_ = nullptr;
  std::unique_ptr<ThreadPool> pool_;
  int prefetch_bytes_ = kernel::kDefaultPrefetchBytes;
  std::unique_ptr<model::Weights> weights_;
  std::optional<kv::PageStore> store_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<engine::EngineMetrics> metrics_;
  SystemClock clock_;
  std::unique_ptr<LocalDraft> draft_;  // null: there is none
  std::unique_ptr<engine::Engine> engine_;
  kernel::KvType kv_type_ = kernel::KvType::kF16;
  ContextPlan plan_;
};

// What the options ask of weights. A quantization that has no such name means none.
model::WeightOptions weight_options(const EngineOptions& options);

// The parts of loading that `inferno bench` shares: weights with a progress line on stderr.
Result<std::unique_ptr<model::Weights>> load_weights(
    std::shared_ptr<const model::Checkpoint> checkpoint, ThreadPool& pool,
    LocalModel::Progress progress, model::WeightOptions options = {});

// "1.04 GiB", "22.5 KiB", "144 B".
std::string bytes_text(size_t bytes);

}  // namespace inferno::app
