// A model running in this process: files, tokenizer, template, weights, KV memory, engine, put
// together.
//
// Threads: made and destroyed by one thread; its parts say themselves what they allow.
#pragma once

#include <memory>
#include <optional>
#include <string>

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
  // Weights, KV cache and activations.
  size_t memory_bytes() const;
  // About what load() with these options would take, from the files' headers. Errors as load()'s.
  static Result<size_t> estimate_bytes(const EngineOptions& options);

 private:
  LocalModel() = default;
  Result<void> place(const EngineOptions& options);
  Result<void> load_weights(Progress progress);
  // How many pages the KV cache has and how long a request may be.
  struct ContextPlan {
    int page_count = 0;
    size_t page_bytes = 0;
    int max_model_len = 0;
  };
  static Result<ContextPlan> plan_context(const EngineOptions& options,
                                          const model::Checkpoint& checkpoint);
  Result<void> start_engine(const EngineOptions& options, MetricRegistry& metrics);

  // Destroyed in reverse: the engine's thread ends before what it works on goes.
  ModelText text_;
  const kernel::KernelTable* table_ = nullptr;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<model::Weights> weights_;
  std::optional<kv::PageStore> store_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<engine::EngineMetrics> metrics_;
  SystemClock clock_;
  std::unique_ptr<engine::Engine> engine_;
  kernel::KvType kv_type_ = kernel::KvType::kF16;
  ContextPlan plan_;
};

// The parts of loading that `inferno bench` shares: weights with a progress line on stderr.
Result<std::unique_ptr<model::Weights>> load_weights(
    std::shared_ptr<const model::Checkpoint> checkpoint, ThreadPool& pool,
    LocalModel::Progress progress);

// "1.04 GiB".
std::string bytes_text(size_t bytes);

}  // namespace inferno::app
