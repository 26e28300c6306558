// How long a request waits on an idle engine before its first step begins, what a step costs
// besides its forward pass, and what metrics cost of that.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <future>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "engine/simulated_model.h"

namespace inferno::engine {
namespace {

// Notes when the forward pass begins and does nothing else.
class StampModel final : public model::ForwardPass {
 public:
  void forward(std::span<const model::ForwardPiece>) override { begun_ = clock_.now(); }
  void logits(std::span<const int> rows, float* out) override {
    std::fill_n(out, rows.size() * 2, 1.0f);
  }
  void copy_page(PageId, PageId) override {}
  int vocab_size() const override { return 2; }
  int max_logit_rows() const override { return 256; }
  TimePoint begun() const { return begun_; }

 private:
  SystemClock clock_;
  TimePoint begun_{};
};

class LastEvent final : public request::EventSink {
 public:
  void on_event(request::TokenEvent event) override {
    if (event.finish) done_.set_value();
  }
  void wait() { done_.get_future().wait(); }

 private:
  std::promise<void> done_;
};

struct Rig {
  explicit Rig(int max_num_seqs)
      : engine({.model = model,
                .tokenizer = *tokenizer,
                .table = kernel::best_table(),
                .pool = pool,
                .metrics = metrics,
                .clock = clock},
               {.core = {.scheduler = {.max_num_seqs = max_num_seqs, .max_num_batched_tokens = 512},
                         .max_model_len = 4096,
                         .kv_page_count = 65536},
                .max_queued = 20000}) {}

  request::Request request_of(int max_tokens) {
    request::Request request;
    request.id = engine.next_id();
    request.prompt = {0};
    request.sampling.temperature = 0.0f;
    request.sampling.ignore_eos = true;
    request.sampling.max_tokens = max_tokens;
    request.arrival = clock.now();
    return request;
  }

  SystemClock clock;
  StampModel model;
  std::unique_ptr<token::Tokenizer> tokenizer = simulated_tokenizer();
  ThreadPool pool{1};
  MetricRegistry registry;
  EngineMetrics metrics{registry, "bench"};
  Engine engine;
};

void BM_EnqueueToFirstStep(benchmark::State& state) {
  Rig rig(64);
  std::vector<double> waits;
  for (auto _ : state) {
    state.PauseTiming();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // so that the engine is asleep
    state.ResumeTiming();
    auto sink = std::make_shared<LastEvent>();
    const TimePoint submitted = rig.clock.now();
    const auto taken = rig.engine.submit(rig.request_of(1), sink);
    if (!taken) state.SkipWithError(taken.error().message.c_str());
    sink->wait();
    waits.push_back(seconds_between(submitted, rig.model.begun()) * 1e6);
  }
  std::ranges::sort(waits);
  const auto at = [&](double share) {
    return waits[static_cast<size_t>(share * static_cast<double>(waits.size() - 1))];
  };
  state.counters["p50_us"] = at(0.50);
  state.counters["p99_us"] = at(0.99);
}
BENCHMARK(BM_EnqueueToFirstStep)->Iterations(2000)->UseRealTime();

// `range(0)` sequences decode side by side; the time is that of a token in all of them.
void BM_StepWithoutForwardPass(benchmark::State& state) {
  const int sequences = static_cast<int>(state.range(0));
  constexpr int kTokens = 2000;
  for (auto _ : state) {
    Rig rig(sequences);
    std::vector<std::shared_ptr<LastEvent>> sinks;
    for (int i = 0; i < sequences; ++i) {
      sinks.push_back(std::make_shared<LastEvent>());
      if (auto taken = rig.engine.submit(rig.request_of(kTokens), sinks.back()); !taken) {
        state.SkipWithError(taken.error().message.c_str());
        return;
      }
    }
    for (const auto& sink : sinks)
      sink->wait();
  }
  state.counters["us_a_step"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kTokens * 1e-6,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_StepWithoutForwardPass)->Arg(1)->Arg(32)->Arg(256)->UseRealTime();

// What the engine records of a step of `range(0)` sequences that all have drafts. Of what is kept
// for whole steps, pages and times change every time, as under load.
void BM_StepMetrics(benchmark::State& state) {
  const SystemClock clock;
  MetricRegistry registry;
  EngineMetrics metrics(registry, "bench");
  metrics.expect_drafts(4);
  kv::BlockPool pool(4096);
  const schedule::Scheduler scheduler({}, pool);
  std::vector<PageId> pages;
  for (auto _ : state) {
    const TimePoint now = clock.now();
    if (const auto page = pool.acquire()) {
      pages.push_back(*page);
    } else {
      for (const PageId held : pages)
        pool.release(held);
      pages.clear();
    }
    const auto after = [&](int us) { return now + std::chrono::microseconds(us); };
    metrics.record_batch(static_cast<int>(state.range(0)));
    for (int64_t i = 0; i < state.range(0); ++i)
      metrics.record_drafts(4, 2);
    metrics.record_step({.begin = now,
                         .scheduled = after(10),
                         .computed = after(2000),
                         .sampled = after(2100),
                         .emitted = after(2110),
                         .guessed = after(2115)});
    metrics.record_state(scheduler, pool);
  }
}
BENCHMARK(BM_StepMetrics)->Arg(1)->Arg(32)->Arg(256);

}  // namespace
}  // namespace inferno::engine
