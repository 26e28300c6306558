// What counting and timing costs a token of a stream, of `range(0)` streams in turn.
#include <benchmark/benchmark.h>

#include "serve/serve_metrics.h"

namespace inferno::serve {
namespace {

void BM_TokenMetrics(benchmark::State& state) {
  MetricRegistry registry;
  const auto metrics =
      std::make_shared<const ServeMetrics>(make_serve_metrics(registry, "bench", 4096));
  std::vector<RequestMeter> meters;
  const SystemClock clock;
  for (int64_t i = 0; i < state.range(0); ++i) {
    meters.emplace_back(
        metrics,
        RequestMeter::Shape{.prompt_tokens = 100, .max_tokens = 1000, .arrival = clock.now()});
  }
  request::TokenEvent event;
  event.tokens.resize(1);
  for (auto _ : state) {
    for (RequestMeter& meter : meters)
      meter.observe(event, clock.now());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_TokenMetrics)->Arg(1)->Arg(32)->Arg(256);

}  // namespace
}  // namespace inferno::serve
