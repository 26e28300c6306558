// Speculation changes when tokens are computed and nothing else: every event of every request is
// the same with guesses that are right, wrong or mixed, however requests are served.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "engine/allocation_counter.h"
#include "engine/draft_model.h"
#include "engine/engine_core.h"
#include "engine/fake_model.h"
#include "engine/test_oracle.h"

namespace inferno::engine {
namespace {

constexpr int kServedRequests = 24;
constexpr int kPromptLetters = 26;

// All events of one request, floats spelled exactly.
class ServedTranscript final : public request::EventSink {
 public:
  void on_event(request::TokenEvent event) override {
    for (const request::TokenOutput& token : event.tokens) {
      spelled += fmt::format("{} '{}' {:a} {}", token.token, token.text, token.logprob, token.rank);
      for (const request::TokenLogprob& top : token.top)
        spelled += fmt::format(" {}:{:a}", top.token, top.logprob);
      tokens.push_back(token.token);
    }
    spelled += fmt::format(" \"{}\" prompt {}\n", event.text, event.prompt_tokens.size());
    if (!event.finish) return;
    spelled +=
        fmt::format("{} stop '{}' {} generated {}", request::name_of(*event.finish),
                    event.stop_string, event.stop_token.value_or(-1), event.stats.generated_tokens);
    is_done = true;
  }

  std::string spelled;
  std::vector<TokenId> tokens;
  bool is_done = false;
};

// Says what the fake model says, but for one row in three.
class WaywardModel final : public FakeModel {
 public:
  using FakeModel::FakeModel;
  void logits(std::span<const int> rows, float* out) override {
    FakeModel::logits(rows, out);
    for (size_t row = 0; row < rows.size(); ++row) {
      float* const first = out + row * static_cast<size_t>(vocab_size());
      if (static_cast<int>(first[0] * 1000.0f) % 3 == 0) std::reverse(first, first + vocab_size());
    }
  }
};

// Who guesses: one who knows the answers, the model itself as its own draft, or a model much like
// it.
enum class Guesser : uint8_t { kOracle, kItself, kWayward };

struct Setting {
  const char* name;
  Guesser guesser = Guesser::kOracle;
  int lie_percent = 0;
  int most_drafts = 6;
  int budget = 64;
  int pages = 256;
  int seqs = 8;
  bool caching = true;
  int cancelled = -1;  // the request that is cancelled after some steps
  int draft_pages = 256;
  double timeout_s = 0.0;      // of every third request; 0: none
  bool spares_streams = true;  // false: prompts are never held back, so that steps can be counted
};

// Every kind of sampling, and every way to end.
request::Request repetitive_request(int index) {
  request::Request request;
  const int length = 3 + index * 7 % 60;
  const int kind = index % 8 == 7 ? index - 1 : index;  // each eighth is a choice of the one before
  for (int i = 0; i < (index % 8 == 7 ? 3 + kind * 7 % 60 : length); ++i)
    request.prompt.push_back((i * 5 + kind * 3 + i / 7) % kPromptLetters);
  request::SamplingParams& sampling = request.sampling;
  sampling.max_tokens = 5 + index * 3 % 50;
  sampling.seed = static_cast<uint64_t>(index);
  sampling.temperature = index % 3 == 0 ? 0.0f : 0.8f;
  if (index % 4 == 1) sampling.top_p = 0.7f;
  if (index % 5 == 2) sampling.top_k = 5;
  if (index % 2 == 0) sampling.logprobs = 2;
  if (index % 6 == 4) {
    sampling.repetition_penalty = 1.3f;
    sampling.frequency_penalty = 0.4f;
    sampling.presence_penalty = 0.2f;
  }
  if (index % 7 == 3) sampling.stop = {"ab", "q", "zx"};
  if (index % 7 == 5) sampling.stop_token_ids = {3, 17};
  if (index % 9 == 8) sampling.min_tokens = 12;
  if (index % 9 == 6) sampling.logit_bias = {{4, 1.5f}, {9, -3.0f}};
  if (index % 11 == 10) sampling.prompt_logprobs = 1;
  sampling.include_stop_str_in_output = index % 7 == 3 && index % 2 == 0;
  return request;
}

struct ServedResult {
  std::vector<std::string> spelled;
  int64_t steps = 0;
  std::string metrics;
};

class Served {
 public:
  Served(const Setting& how, const KnownTexts& texts)
      : how_(how),
        oracle_(texts, {.lie_percent = how.lie_percent, .vocab_size = 27}),
        draft_(how.guesser == Guesser::kItself ? std::make_unique<FakeModel>(how.draft_pages)
                                               : std::make_unique<WaywardModel>(how.draft_pages)),
        drafter_({.model = *draft_, .table = kernel::best_table(), .pool = pool_, .clock = clock_},
                 {.page_count = how.draft_pages,
                  .batch_tokens = how.budget,
                  .max_sequences = how.seqs,
                  .max_tokens = 128,
                  .guessable_tokens = 27,
                  .prefix_caching = how.caching}),
        model_(how.pages),
        core_({.model = model_,
               .tokenizer = *tokenizer_,
               .table = kernel::best_table(),
               .pool = pool_,
               .metrics = metrics_,
               .clock = clock_,
               .proposer = proposer()},
              config_of(how)) {}

  ServedResult run(KnownTexts* texts = nullptr) {
    std::vector<std::shared_ptr<ServedTranscript>> sinks;
    for (int i = 0; i < kServedRequests; ++i) {
      request::Request request = repetitive_request(i);
      request.id = {static_cast<uint64_t>(i) + 1};
      request.arrival = clock_.now();
      if (i % 8 == 7) request.fork_of = RequestId{static_cast<uint64_t>(i)};
      if (how_.timeout_s > 0.0 && i % 3 == 0) {
        request.deadline = after_seconds(clock_.now(), how_.timeout_s);
      }
      sinks.push_back(std::make_shared<ServedTranscript>());
      core_.start(std::move(request), sinks.back());
      step();
    }
    for (int i = 0; i < 5; ++i)
      step();
    if (how_.cancelled >= 0) core_.cancel({static_cast<uint64_t>(how_.cancelled) + 1});
    while (!core_.idle())
      step();
    EXPECT_EQ(core_.pages().in_use_count(), 0);
    EXPECT_EQ(drafter_.held_page_count(), 0);
    ServedResult result;
    for (int i = 0; i < kServedRequests; ++i) {
      const ServedTranscript& sink = *sinks[static_cast<size_t>(i)];
      EXPECT_TRUE(sink.is_done);
      result.spelled.push_back(sink.spelled);
      if (texts == nullptr) continue;
      std::vector<TokenId> text = repetitive_request(i).prompt;
      text.insert(text.end(), sink.tokens.begin(), sink.tokens.end());
      texts->push_back(std::move(text));
    }
    result.steps = steps_;
    result.metrics = registry_.exposition();
    return result;
  }

  // Starts all requests, runs some steps and leaves them to the destructor's care.
  void run_unfinished(int steps) {
    const auto sink = std::make_shared<ServedTranscript>();
    for (int i = 0; i < kServedRequests; ++i) {
      request::Request request = repetitive_request(i);
      request.id = {static_cast<uint64_t>(i) + 1};
      core_.start(std::move(request), sink);
    }
    for (int i = 0; i < steps; ++i)
      step();
    EXPECT_GT(drafter_.held_page_count(), 0);
    core_.cancel_all();
    EXPECT_EQ(drafter_.held_page_count(), 0);
  }

  const schedule::SchedulerStats& stats() const { return core_.scheduler().stats(); }
  const kv::BlockPool& draft_pages() const { return drafter_.pages(); }

 private:
  DraftProposer* proposer() {
    if (how_.guesser == Guesser::kOracle) return &oracle_;
    return &drafter_;
  }

  static CoreConfig config_of(const Setting& how) {
    CoreConfig config{
        .scheduler = {.max_num_seqs = how.seqs,
                      .max_num_batched_tokens = how.budget,
                      .prefix_caching = how.caching},
        .max_model_len = 128,
        .kv_page_count = how.pages,
        .speculation = {.method = how.most_drafts > 0 ? SpeculationMethod::kPromptLookup
                                                      : SpeculationMethod::kOff,
                        .num_speculative_tokens = how.most_drafts,
                        .lengths = schedule::DraftLengthRule::kLongest}};
    if (!how.spares_streams) {
      config.scheduler.max_itl_stretch = 0.0;
      config.scheduler.targets = {};
    }
    return config;
  }

  void step() {
    clock_.advance(0.01);
    core_.step();
    ++steps_;
  }

  Setting how_;
  ManualClock clock_;
  ThreadPool pool_{2};
  OracleProposer oracle_;
  std::unique_ptr<FakeModel> draft_;
  DraftModel drafter_;
  std::unique_ptr<token::Tokenizer> tokenizer_ = letter_tokenizer();
  FakeModel model_;
  MetricRegistry registry_;
  EngineMetrics metrics_{registry_, "fake"};
  EngineCore core_;
  int64_t steps_ = 0;
};

class Speculation : public ::testing::Test {
 protected:
  void SetUp() override { plain_ = Served({.name = "plain", .most_drafts = 0}, {}).run(&texts_); }

  KnownTexts texts_;
  ServedResult plain_;
};

TEST_F(Speculation, EveryEventIsTheSameAsWithout) {
  const Setting settings[] = {
      {.name = "always right"},
      {.name = "always wrong", .lie_percent = 100},
      {.name = "mixed", .lie_percent = 30},
      {.name = "one draft", .lie_percent = 30, .most_drafts = 1},
      {.name = "sixty drafts", .lie_percent = 5, .most_drafts = 60, .budget = 200},
      {.name = "no cache", .lie_percent = 30, .caching = false},
      {.name = "small budget", .lie_percent = 30, .budget = 7},
      {.name = "tiny pool", .lie_percent = 30, .pages = 8},
      {.name = "tiny pool, right", .pages = 8},
      {.name = "tiny pool, no cache", .lie_percent = 20, .pages = 8, .caching = false},
      {.name = "one at a time", .lie_percent = 30, .seqs = 1},
      {.name = "itself", .guesser = Guesser::kItself},
      {.name = "itself, sixty drafts",
       .guesser = Guesser::kItself,
       .most_drafts = 60,
       .budget = 200},
      {.name = "itself, no cache", .guesser = Guesser::kItself, .caching = false},
      {.name = "wayward", .guesser = Guesser::kWayward},
      {.name = "wayward, small budget", .guesser = Guesser::kWayward, .budget = 7},
      {.name = "wayward, tiny pool", .guesser = Guesser::kWayward, .pages = 8},
      {.name = "wayward, few pages of its own", .guesser = Guesser::kWayward, .draft_pages = 9},
      {.name = "wayward, hardly any pages of its own",
       .guesser = Guesser::kWayward,
       .caching = false,
       .draft_pages = 2},
      {.name = "wayward, one at a time", .guesser = Guesser::kWayward, .seqs = 1}};
  for (const Setting& how : settings) {
    SCOPED_TRACE(how.name);
    Served served(how, texts_);
    const ServedResult result = served.run();
    for (size_t i = 0; i < plain_.spelled.size(); ++i)
      EXPECT_EQ(result.spelled[i], plain_.spelled[i]) << "request " << i;
    if (how.pages == 8) {
      EXPECT_GT(served.stats().memory_preemptions, 0);
    }
  }
}

TEST_F(Speculation, RightGuessesSaveSteps) {
  const ServedResult plain =
      Served({.name = "plain", .most_drafts = 0, .spares_streams = false}, {}).run();
  EXPECT_LT(Served({.name = "right", .spares_streams = false}, texts_).run().steps * 1.8,
            plain.steps);
}

TEST_F(Speculation, ACancelledRequestLeavesTheOthersAsTheyAre) {
  const ServedResult result =
      Served({.name = "cancelled", .lie_percent = 30, .cancelled = kServedRequests - 1}, texts_)
          .run();
  for (size_t i = 0; i + 1 < plain_.spelled.size(); ++i)
    EXPECT_EQ(result.spelled[i], plain_.spelled[i]) << "request " << i;
}

TEST_F(Speculation, ADraftModelSavesSteps) {
  // Most requests are sampled, and a greedy draft rarely guesses what a sampler draws.
  const ServedResult plain =
      Served({.name = "plain", .most_drafts = 0, .spares_streams = false}, {}).run();
  const Setting itself = {.name = "itself", .guesser = Guesser::kItself, .spares_streams = false};
  EXPECT_LT(Served(itself, texts_).run().steps * 1.1, plain.steps);
}

TEST_F(Speculation, WhoeverEndsGivesTheDraftModelsPagesBack) {
  for (const int cancelled : {0, 6, 13, 23}) {
    Served({.name = "cancelled", .guesser = Guesser::kItself, .cancelled = cancelled}, texts_)
        .run();
  }
  for (const double timeout_s : {0.02, 0.1, 0.5}) {
    Served({.name = "late", .guesser = Guesser::kWayward, .timeout_s = timeout_s}, texts_).run();
    Served({.name = "late, tiny pools",
            .guesser = Guesser::kWayward,
            .pages = 8,
            .draft_pages = 9,
            .timeout_s = timeout_s},
           texts_)
        .run();
  }
  for (const int steps : {2, 9, 30}) {
    Served({.name = "ended", .guesser = Guesser::kItself}, texts_).run_unfinished(steps);
  }
}

double metric(const std::string& exposition, const std::string& name) {
  const size_t found = exposition.find(name);
  if (found == std::string::npos) return -1.0;
  return std::strtod(exposition.c_str() + exposition.find("} ", found) + 2, nullptr);
}

TEST_F(Speculation, IsCountedUnderVllmsNames) {
  const std::string text = Served({.name = "right", .most_drafts = 3}, texts_).run().metrics;
  const double drafts = metric(text, "\nvllm:spec_decode_num_drafts_total{");
  const double tokens = metric(text, "\nvllm:spec_decode_num_draft_tokens_total{");
  const double accepted = metric(text, "\nvllm:spec_decode_num_accepted_tokens_total{");
  EXPECT_GT(drafts, 50);
  EXPECT_GT(tokens, drafts);
  EXPECT_LE(tokens, 3 * drafts);
  EXPECT_GT(accepted, 0.7 * tokens);
  double by_position = 0.0;
  for (const char* position : {"0", "1", "2"}) {
    const double count = metric(
        text, fmt::format("_per_pos_total{{model_name=\"fake\",engine=\"0\",position=\"{}\"}} ",
                          position));
    EXPECT_GT(count, 0.0) << position;
    by_position += count;
  }
  EXPECT_EQ(by_position, accepted);
  EXPECT_EQ(plain_.metrics.find("spec_decode"), std::string::npos);
}

// Serves eight long answers and counts what steps take from the heap once buffers have their size.
void expect_steps_without_heap(SpeculationMethod method) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers bring a heap of their own";
#endif
  class Count final : public request::EventSink {
   public:
    void on_event(request::TokenEvent event) override {
      tokens += static_cast<int>(event.tokens.size());
    }
    int tokens = 0;
  };
  const auto tokenizer = letter_tokenizer();
  ManualClock clock;
  FakeModel model(64);
  ThreadPool pool(1);
  MetricRegistry registry;
  EngineMetrics metrics(registry, "fake");
  FakeModel draft(64);
  DraftModel drafter(
      {.model = draft, .table = kernel::best_table(), .pool = pool, .clock = clock},
      {.page_count = 64, .max_sequences = 4, .max_tokens = 1024, .guessable_tokens = 27});
  EngineCore core({.model = model,
                   .tokenizer = *tokenizer,
                   .table = kernel::best_table(),
                   .pool = pool,
                   .metrics = metrics,
                   .clock = clock,
                   .proposer = method == SpeculationMethod::kDraftModel ? &drafter : nullptr},
                  {.scheduler = {.max_num_seqs = 4, .max_num_batched_tokens = 32},
                   .max_model_len = 1024,
                   .kv_page_count = 64,
                   .speculation = {.method = method,
                                   .prompt_lookup_min = 1,
                                   .lengths = schedule::DraftLengthRule::kLongest}});
  const auto sink = std::make_shared<Count>();
  for (uint64_t id = 1; id <= 8; ++id) {
    request::Request request;
    request.id = {id};
    for (int i = 0; i < 150; ++i)
      request.prompt.push_back((i * 7 + i / 26) % kPromptLetters);
    request.sampling.max_tokens = 800;
    request.sampling.ignore_eos = true;
    request.sampling.seed = id;
    request.sampling.top_k = 3;  // few letters, so that many guesses come true
    core.start(std::move(request), sink);
  }
  const auto run = [&](int steps) {
    for (int i = 0; i < steps; ++i) {
      clock.advance(0.01);
      core.step();
    }
  };
  run(60);  // buffers grow to their size
  const int64_t before = heap_allocation_count();
  run(300);
  EXPECT_EQ(heap_allocation_count() - before, 0);
  ASSERT_FALSE(core.idle()) << "steps without work were counted";
  EXPECT_GT(metric(registry.exposition(), "\nvllm:spec_decode_num_accepted_tokens_total{"), 10);
  while (!core.idle())
    run(1);
  EXPECT_EQ(sink->tokens, 8 * 800);
}

TEST(SpeculationByLookup, AStepTakesNothingFromTheHeap) {
  expect_steps_without_heap(SpeculationMethod::kPromptLookup);
}

TEST(SpeculationByDraftModel, AStepTakesNothingFromTheHeap) {
  expect_steps_without_heap(SpeculationMethod::kDraftModel);
}

}  // namespace
}  // namespace inferno::engine
