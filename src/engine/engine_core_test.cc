#include "engine/engine_core.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "engine/allocation_counter.h"
#include "engine/fake_model.h"

namespace inferno::engine {
namespace {

// What one request was told. Keeps only what fits without the heap while `is_counting`.
class Record final : public request::EventSink {
 public:
  void on_event(request::TokenEvent event) override {
    for (const request::TokenOutput& token : event.tokens) {
      if (text.size() < text.capacity()) text += token.text;
      ++token_count;
    }
    for (const request::TokenOutput& token : event.prompt_tokens)
      prompt_text += token.text;
    if (event.finish) last = std::move(event);
  }

  std::string text = reserved();
  std::string prompt_text;
  int token_count = 0;
  std::optional<request::TokenEvent> last;

 private:
  static std::string reserved() {
    std::string out;
    out.reserve(10000);
    return out;
  }
};

struct CoreRig {
  explicit CoreRig(const CoreConfig& config = {.scheduler = {.max_num_seqs = 8,
                                                             .max_num_batched_tokens = 64},
                                               .max_model_len = 1024,
                                               .kv_page_count = 128},
                   DraftProposer* proposer = nullptr)
      : model(config.kv_page_count),
        core({.model = model,
              .tokenizer = *tokenizer,
              .table = kernel::best_table(),
              .pool = pool,
              .metrics = metrics,
              .clock = clock,
              .proposer = proposer},
             config) {}

  std::shared_ptr<Record> start(request::Request request) {
    auto sink = std::make_shared<Record>();
    request.id = {++last_id};
    request.arrival = clock.now();
    core.start(std::move(request), sink);
    return sink;
  }

  void step(int times = 1) {
    for (int i = 0; i < times; ++i) {
      clock.advance(0.01);
      core.step();
    }
  }

  void run_until_idle() {
    while (!core.idle())
      step();
  }

  std::unique_ptr<token::Tokenizer> tokenizer = letter_tokenizer();
  ManualClock clock;
  FakeModel model;
  ThreadPool pool{1};
  MetricRegistry registry;
  EngineMetrics metrics{registry, "fake"};
  EngineCore core;
  uint64_t last_id = 0;
};

request::Request core_request(int prompt_tokens, int max_tokens, uint64_t seed = 1) {
  request::Request request;
  for (int i = 0; i < prompt_tokens; ++i)
    request.prompt.push_back((i * 7 + i / 26) % 26);
  request.sampling.max_tokens = max_tokens;
  request.sampling.ignore_eos = true;
  request.sampling.seed = seed;
  return request;
}

TEST(EngineCore, EndsARequestWhoseTimeRanOutWhileItWaits) {
  CoreRig rig({.scheduler = {.max_num_seqs = 1, .max_num_batched_tokens = 64},
               .max_model_len = 1024,
               .kv_page_count = 128});
  const auto running = rig.start(core_request(10, 500));
  rig.step();
  request::Request late = core_request(10, 10);
  late.deadline = after_seconds(rig.clock.now(), 0.1);
  const auto waiting = rig.start(std::move(late));
  rig.step(5);
  EXPECT_FALSE(waiting->last);
  rig.step(10);
  ASSERT_TRUE(waiting->last);
  EXPECT_EQ(waiting->last->error->fault, Fault::kDeadline);
  EXPECT_EQ(waiting->token_count, 0);
  EXPECT_FALSE(running->last);
}

TEST(EngineCore, EndsARequestWhoseTimeRanOutInTheMiddleAndFreesItsPages) {
  CoreRig rig;
  request::Request late = core_request(100, 500);
  late.deadline = after_seconds(rig.clock.now(), 0.2);
  const auto record = rig.start(std::move(late));
  rig.step(50);
  ASSERT_TRUE(record->last);
  EXPECT_EQ(record->last->error->fault, Fault::kDeadline);
  EXPECT_GT(record->token_count, 0);
  EXPECT_LT(record->token_count, 50);
  EXPECT_EQ(rig.core.pages().in_use_count(), 0);
}

// Tokens a prompt's answer has, alone or beside a stream that its tokens are carried beside.
TEST(EngineCore, CarriesAPromptThroughTheLayersBesideAStreamAndAnswersTheSame) {
  CoreRig alone;
  const auto expected = alone.start(core_request(300, 20));
  alone.run_until_idle();
  EXPECT_EQ(alone.model.carried_pieces(), 0) << "nobody else decodes";
  CoreRig rig;
  const auto stream = rig.start(core_request(10, 400, 7));
  rig.step(5);
  const auto record = rig.start(core_request(300, 20));
  // One that ends while its tokens are on their way.
  const auto cancelled = rig.start(core_request(200, 20, 3));
  rig.step(6);
  rig.core.cancel({rig.last_id});
  rig.run_until_idle();
  EXPECT_GT(rig.model.carried_pieces(), 10);
  EXPECT_EQ(record->text, expected->text);
  EXPECT_EQ(record->token_count, 20);
  EXPECT_EQ(stream->token_count, 400);
  EXPECT_EQ(cancelled->last->error->fault, Fault::kCancelled);
  EXPECT_EQ(rig.core.pages().in_use_count(), 0);
}

// Its notes of every other sequence do not fit into memory.
class NoProposer final : public DraftProposer {
 public:
  std::unique_ptr<DraftState> begin(const DraftSubject&) override {
    if (++made_ % 2 == 0) throw std::bad_alloc();
    return std::make_unique<DraftState>();
  }
  void propose(std::span<DraftJob>, int) override {}

 private:
  int made_ = 0;
};

TEST(EngineCore, TellsARequestThatThereIsNoMemoryForItAndServesTheOthers) {
  NoProposer proposer;
  CoreRig rig({.scheduler = {.max_num_seqs = 8, .max_num_batched_tokens = 64},
               .max_model_len = 1024,
               .kv_page_count = 128,
               .speculation = {.method = SpeculationMethod::kPromptLookup}},
              &proposer);
  std::vector<std::shared_ptr<Record>> records;
  for (int i = 0; i < 6; ++i)
    records.push_back(rig.start(core_request(20, 4)));
  EXPECT_TRUE(rig.core.finished_clients().empty()) << "they did not start";
  rig.run_until_idle();
  for (size_t i = 0; i < records.size(); ++i) {
    ASSERT_TRUE(records[i]->last) << i;
    EXPECT_EQ(records[i]->last->error.has_value(), i % 2 == 1) << i;
    EXPECT_EQ(records[i]->token_count, i % 2 == 1 ? 0 : 4) << i;
  }
  EXPECT_EQ(records[1]->last->error->fault, Fault::kOverloaded);
  EXPECT_EQ(rig.core.finished_clients().size(), 3u);
  EXPECT_EQ(rig.core.pages().in_use_count(), 0);
}

TEST(EngineCore, ForksShareTheirPromptAndAnswerAsIfAlone) {
  constexpr int kPrompt = 75;  // four pages and 11 positions of a fifth
  std::vector<std::string> alone;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    CoreRig rig;
    const auto record = rig.start(core_request(kPrompt, 40, seed));
    rig.run_until_idle();
    alone.push_back(record->text);
  }
  CoreRig rig;
  std::vector<std::shared_ptr<Record>> records = {rig.start(core_request(kPrompt, 40, 1))};
  for (uint64_t seed = 2; seed <= 3; ++seed) {
    request::Request fork = core_request(kPrompt, 40, seed);
    fork.fork_of = RequestId{1};
    records.push_back(rig.start(std::move(fork)));
  }
  rig.run_until_idle();
  for (size_t i = 0; i < records.size(); ++i)
    EXPECT_EQ(records[i]->text, alone[i]) << "choice " << i;
  // The prompt once, its last token again for each fork, and what was generated (the last token of
  // an answer is never computed).
  EXPECT_EQ(rig.model.computed_tokens(), kPrompt + 2 + 3 * 39);
  EXPECT_EQ(rig.model.copied_pages(), 2);
  EXPECT_EQ(rig.core.pages().in_use_count(), 0);
}

TEST(EngineCore, APrefixIsComputedOnceByTwoThatArriveTogether) {
  CoreRig rig;
  const auto first = rig.start(core_request(320, 2, 1));
  const auto second = rig.start(core_request(320, 2, 2));
  rig.run_until_idle();
  EXPECT_EQ(first->last->stats.cached_tokens, 0);
  EXPECT_EQ(second->last->stats.cached_tokens, 319);
  EXPECT_EQ(rig.model.computed_tokens(), 320 + 1 + 1 + 1);
}

TEST(EngineCore, PromptTokensSpellThePrompt) {
  CoreRig rig;
  request::Request request = core_request(100, 1);
  request.sampling.prompt_logprobs = 0;
  std::string spelled;
  for (const TokenId token : request.prompt)
    spelled += static_cast<char>('a' + token);
  const auto record = rig.start(std::move(request));
  rig.run_until_idle();
  EXPECT_EQ(record->prompt_text, spelled);
}

TEST(EngineCore, ASteadyStepTakesNothingFromTheHeap) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers bring a heap of their own";
#endif
  CoreRig rig({.scheduler = {.max_num_seqs = 4, .max_num_batched_tokens = 32},
               .max_model_len = 1024,
               .kv_page_count = 64});
  // More than fit, so that admission, chunks and preemption are part of it.
  std::vector<std::shared_ptr<Record>> records;
  for (uint64_t seed = 1; seed <= 8; ++seed)
    records.push_back(rig.start(core_request(150, 400, seed)));
  rig.step(60);  // buffers grow to their size
  const int64_t before = heap_allocation_count();
  rig.step(300);
  EXPECT_EQ(heap_allocation_count() - before, 0);
  EXPECT_FALSE(rig.core.idle());
  rig.run_until_idle();
  for (const auto& record : records)
    EXPECT_EQ(record->token_count, 400);
}

}  // namespace
}  // namespace inferno::engine
