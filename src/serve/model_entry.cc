#include "serve/model_entry.h"

#include <utility>

#include "token/tokenizer.h"

namespace inferno::serve {

ModelEntry::ModelEntry(ServedModel served, MetricRegistry& registry)
    : model(std::move(served)),
      limits{.vocab_size = model.tokenizer->vocab_size(),
             .max_model_len = model.generator->max_model_len(),
             .default_sampling = model.default_sampling,
             .takes_priority = model.takes_priority},
      metrics(std::make_shared<const ServeMetrics>(make_serve_metrics(
          registry, model.names.front(), limits.max_model_len, model.targets))) {}

}  // namespace inferno::serve
