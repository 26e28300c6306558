#include "app/local_draft.h"

#include <utility>

#include "app/model_names.h"
#include "app/speculative_config.h"
#include "engine/draft_vocabulary.h"

namespace inferno::app {
namespace {

std::unexpected<Error> of_draft(const std::string& model, const Error& error) {
  return std::unexpected(Error{
      error.fault, fmt::format("{}: model {}: {}", kSpeculativeConfigField, model, error.message),
      kSpeculativeConfigField});
}

}  // namespace

Result<std::shared_ptr<const model::Checkpoint>> open_draft(const EngineOptions& options,
                                                            const model::Checkpoint& target) {
  const auto speculation = parse_speculative_config(options.speculative_config);
  if (!speculation) return std::unexpected(speculation.error());
  if (speculation->method != engine::SpeculationMethod::kDraftModel) return nullptr;
  const std::string& model = speculation->draft_model;
  auto path = find_model(model);
  if (!path) return of_draft(model, path.error());
  auto checkpoint = model::Checkpoint::open(*path, model::Checkpoint::Need::kModel);
  if (!checkpoint) return of_draft(model, checkpoint.error());
  const auto own = (*checkpoint)->vocabulary();
  if (!own) return of_draft(model, own.error());
  const auto others = target.vocabulary();
  if (!others) return std::unexpected(others.error());
  if (auto fits = engine::check_draft_vocabulary(*others, *own); !fits)
    return std::unexpected(fits.error());
  return std::move(*checkpoint);
}

Result<std::unique_ptr<LocalDraft>> LocalDraft::create(std::unique_ptr<model::Weights> weights,
                                                       const Parts& parts, const Limits& limits) {
  auto store = kv::PageStore::create(limits.kv_shape, limits.page_count, "draft KV cache");
  if (!store) return std::unexpected(store.error());
  auto draft = std::unique_ptr<LocalDraft>(new LocalDraft(std::move(weights), std::move(*store)));
  auto decoder = model::Decoder::create({.weights = *draft->weights_,
                                         .table = parts.table,
                                         .pool = parts.pool,
                                         .store = draft->store_,
                                         .prefetch_bytes = parts.prefetch_bytes},
                                        limits.decoder);
  if (!decoder) return std::unexpected(decoder.error());
  draft->decoder_ = std::move(*decoder);
  engine::DraftModel::Limits model = limits.model;
  model.page_count = limits.page_count;
  model.batch_tokens = limits.decoder.batch_tokens;
  draft->proposer_ =
      std::make_unique<engine::DraftModel>(engine::DraftModel::Parts{.model = *draft->decoder_,
                                                                     .table = parts.table,
                                                                     .pool = parts.pool,
                                                                     .clock = parts.clock},
                                           model);
  return draft;
}

}  // namespace inferno::app
