#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <random>
#include <thread>

#include "engine/fake_model.h"

namespace inferno::engine {
namespace {

// Collects the events of one request.
class Collector final : public request::EventSink {
 public:
  void on_event(request::TokenEvent event) override {
    const std::lock_guard lock(mutex_);
    text += event.text;
    for (auto& token : event.tokens)
      tokens.push_back(std::move(token));
    if (!event.prompt_tokens.empty()) prompt_tokens = std::move(event.prompt_tokens);
    if (event.finish) {
      EXPECT_FALSE(last) << "events after the last one";
      last = std::move(event);
    }
    changed_.notify_all();
  }

  bool wait(size_t token_count = SIZE_MAX) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30),
                             [&] { return last.has_value() || tokens.size() >= token_count; });
  }

  std::string text;
  std::vector<request::TokenOutput> tokens;
  std::vector<request::TokenOutput> prompt_tokens;
  std::optional<request::TokenEvent> last;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

struct RigOptions {
  EngineConfig config{.core = {.scheduler = {.max_num_seqs = 8, .max_num_batched_tokens = 64},
                               .max_model_len = 256,
                               .kv_page_count = 64},
                      .max_queued = 10000};
  int threads = 2;
};

// A fake model that takes its time.
class UnhurriedModel final : public FakeModel {
 public:
  using FakeModel::FakeModel;
  void forward(std::span<const model::ForwardPiece> pieces) override {
    std::this_thread::sleep_for(pause);
    FakeModel::forward(pieces);
  }
  std::chrono::milliseconds pause{0};
};

struct Rig {
  explicit Rig(const RigOptions& setup = {})
      : tokenizer(letter_tokenizer()),
        model(setup.config.core.kv_page_count),
        pool(setup.threads),
        metrics(registry, "fake"),
        engine(std::make_unique<Engine>(EngineCore::Parts{.model = model,
                                                          .tokenizer = *tokenizer,
                                                          .table = kernel::best_table(),
                                                          .pool = pool,
                                                          .metrics = metrics,
                                                          .clock = clock},
                                        setup.config)) {}

  std::shared_ptr<Collector> submit(request::Request request) {
    auto sink = std::make_shared<Collector>();
    request.id = engine->next_id();
    request.arrival = std::chrono::steady_clock::now();
    const auto taken = engine->submit(std::move(request), sink);
    EXPECT_TRUE(taken) << taken.error().message;
    return sink;
  }

  std::shared_ptr<Collector> finish(request::Request request) {
    auto sink = submit(std::move(request));
    EXPECT_TRUE(sink->wait());
    return sink;
  }

  double gauge(const char* state) {
    return registry.gauge({"inferno:kv_pages", "", {{"model_name", "fake"}, {"state", state}}})
        .value();
  }

  SystemClock clock;
  std::unique_ptr<token::Tokenizer> tokenizer;
  UnhurriedModel model;
  ThreadPool pool;
  MetricRegistry registry;
  EngineMetrics metrics;
  std::unique_ptr<Engine> engine;
};

request::Request request_of(uint64_t seed, int prompt_tokens = 0) {
  std::mt19937_64 random(seed);
  request::Request request;
  const int length = prompt_tokens > 0 ? prompt_tokens : 1 + static_cast<int>(random() % 100);
  // Two families of prompts, so that some share a prefix.
  for (int i = 0; i < length; ++i) {
    request.prompt.push_back(static_cast<TokenId>((static_cast<uint64_t>(i) * 7 + seed % 2) % 26));
  }
  request.prompt.back() = static_cast<TokenId>(seed % 26);
  request.sampling.max_tokens = 1 + static_cast<int>(random() % 40);
  request.sampling.seed = seed;
  request.sampling.temperature = seed % 3 == 0 ? 0.0f : 1.5f;
  request.sampling.top_k = static_cast<int>(seed % 4) * 5;
  request.sampling.logprobs = static_cast<int>(seed % 3);
  if (seed % 5 == 0) request.sampling.stop = {"ab", "zzz"};
  if (seed % 7 == 0) request.sampling.prompt_logprobs = 2;
  if (seed % 4 == 0) request.sampling.repetition_penalty = 1.2f;
  return request;
}

// Everything an answer says, as text that can be compared.
std::string spell(const Collector& answer) {
  std::string out = answer.text + "|" + std::string(name_of(*answer.last->finish)) + "|";
  const auto add = [&](const request::TokenOutput& token) {
    out += fmt::format("{} {:a} {} [", token.token, token.logprob, token.rank);
    for (const auto& top : token.top)
      out += fmt::format("{}:{:a} ", top.token, top.logprob);
    out += "]" + token.text;
  };
  for (const auto& token : answer.tokens)
    add(token);
  out += "||";
  for (const auto& token : answer.prompt_tokens)
    add(token);
  return out;
}

TEST(Engine, SameAnswerAloneInACrowdInChunksWithoutCacheAndUnderPreemption) {
  constexpr uint64_t kRequests = 60;
  std::vector<std::string> alone;
  {
    Rig rig;
    for (uint64_t seed = 1; seed <= kRequests; ++seed)
      alone.push_back(spell(*rig.finish(request_of(seed))));
  }
  std::vector<RigOptions> setups;
  for (const int budget : {1, 7, 64, 512}) {
    for (const bool caching : {true, false}) {
      for (const int pages : {16, 200}) {
        setups.push_back({.config = {.core = {.scheduler = {.max_num_seqs = 16,
                                                            .max_num_batched_tokens = budget,
                                                            .prefix_caching = caching},
                                              .max_model_len = 256,
                                              .kv_page_count = pages}},
                          .threads = budget == 7 ? 1 : 2});
      }
    }
  }
  for (const RigOptions& setup : setups) {
    SCOPED_TRACE(fmt::format(
        "budget {}, caching {}, pages {}", setup.config.core.scheduler.max_num_batched_tokens,
        setup.config.core.scheduler.prefix_caching, setup.config.core.kv_page_count));
    Rig rig(setup);
    std::vector<std::shared_ptr<Collector>> sinks;
    for (uint64_t seed = 1; seed <= kRequests; ++seed)
      sinks.push_back(rig.submit(request_of(seed)));
    for (uint64_t seed = 1; seed <= kRequests; ++seed) {
      ASSERT_TRUE(sinks[seed - 1]->wait());
      EXPECT_EQ(spell(*sinks[seed - 1]), alone[seed - 1]) << "request " << seed;
    }
    EXPECT_GT(rig.model.largest_batch(), 0);
    EXPECT_EQ(rig.gauge("in_use"), 0);
  }
}

TEST(Engine, CachedPrefixIsNotComputedAgain) {
  Rig rig;
  rig.finish(request_of(2, 100));
  const int64_t before = rig.model.computed_tokens();
  request::Request again = request_of(2, 100);
  again.sampling.max_tokens = 1;
  const auto answer = rig.finish(std::move(again));
  EXPECT_EQ(answer->last->stats.cached_tokens, 99);
  EXPECT_EQ(rig.model.computed_tokens() - before, 1);
}

TEST(Engine, DifferentSaltsShareNoPrefix) {
  Rig rig;
  rig.finish(request_of(2, 100));
  request::Request other = request_of(2, 100);
  other.cache_salt = "tenant";
  EXPECT_EQ(rig.finish(std::move(other))->last->stats.cached_tokens, 0);
}

TEST(Engine, StopStringEndsTheAnswerAndIsLeftOut) {
  Rig rig;
  request::Request request = request_of(3, 5);
  request.sampling = {};
  request.sampling.temperature = 0.0f;
  request.sampling.max_tokens = 100;
  request.sampling.ignore_eos = true;
  const std::string whole = rig.finish(request)->text;
  ASSERT_GT(whole.size(), 20u);
  const std::string stop = whole.substr(10, 3);
  request.sampling.stop = {"<never>", stop};
  const auto stopped = rig.finish(request);
  EXPECT_EQ(stopped->text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(stopped->last->finish, request::FinishReason::kStop);
  EXPECT_EQ(stopped->last->stop_string, stop);
  request.sampling.include_stop_str_in_output = true;
  EXPECT_EQ(rig.finish(request)->text, whole.substr(0, whole.find(stop) + 3));
}

TEST(Engine, MinTokensHoldsOffTheEnd) {
  Rig rig;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    request::Request request = request_of(seed, 5);
    request.sampling = {};
    request.sampling.seed = seed;
    request.sampling.min_tokens = 30;
    request.sampling.max_tokens = 60;
    EXPECT_GE(rig.finish(std::move(request))->tokens.size(), 30u);
  }
}

TEST(Engine, EndsAtTheLongestSequenceWithReasonLength) {
  Rig rig;
  request::Request request = request_of(1, 250);
  request.sampling = {};
  request.sampling.ignore_eos = true;
  request.sampling.max_tokens = 1000;
  const auto answer = rig.finish(std::move(request));
  EXPECT_EQ(answer->tokens.size(), 6u);
  EXPECT_EQ(answer->last->finish, request::FinishReason::kLength);
}

TEST(Engine, RefusesWhatItCannotServe) {
  Rig rig;
  const auto refused = [&](std::vector<TokenId> prompt) {
    request::Request request;
    request.id = rig.engine->next_id();
    request.prompt = std::move(prompt);
    const auto taken = rig.engine->submit(std::move(request), std::make_shared<Collector>());
    EXPECT_FALSE(taken);
    return taken ? Error{} : taken.error();
  };
  EXPECT_EQ(refused({}).fault, Fault::kInvalid);
  EXPECT_EQ(refused({1, 27}).fault, Fault::kInvalid);
  EXPECT_EQ(refused({-1}).fault, Fault::kInvalid);
  const Error too_long = refused(std::vector<TokenId>(256, 1));
  EXPECT_EQ(too_long.fault, Fault::kTooLong);
  EXPECT_NE(too_long.message.find("256"), std::string::npos);
}

TEST(Engine, RefusesMoreThanItsQueueHolds) {
  RigOptions setup;
  setup.config.max_queued = 3;
  Rig rig(setup);
  int refused = 0;
  std::vector<std::shared_ptr<Collector>> sinks;
  for (int i = 0; i < 200; ++i) {
    request::Request request = request_of(static_cast<uint64_t>(i), 100);
    request.sampling.max_tokens = 100;
    request.sampling.ignore_eos = true;
    request.id = rig.engine->next_id();
    auto sink = std::make_shared<Collector>();
    const auto taken = rig.engine->submit(std::move(request), sink);
    if (taken) {
      sinks.push_back(sink);
    } else {
      EXPECT_EQ(taken.error().fault, Fault::kOverloaded);
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
  for (const auto& sink : sinks)
    EXPECT_TRUE(sink->wait());
}

TEST(Engine, CancellationsNeitherBeginNorFillTheWaitForCompanions) {
  RigOptions setup;
  setup.config.batch_timeout_s = 3600.0;
  setup.config.core.scheduler.max_num_seqs = 3;
  Rig rig(setup);
  for (uint64_t id = 1000; id < 1003; ++id)
    rig.engine->cancel(RequestId{id});
  std::vector<std::shared_ptr<Collector>> sinks;
  for (uint64_t i = 0; i < 3; ++i) {
    request::Request request = request_of(i, 5);
    request.sampling = {};
    request.sampling.max_tokens = 1;
    sinks.push_back(rig.submit(std::move(request)));
    rig.engine->cancel(RequestId{2000 + i});
  }
  for (const auto& sink : sinks)
    EXPECT_TRUE(sink->wait());
  EXPECT_EQ(rig.model.largest_batch(), 3);
}

TEST(Engine, RefusesAnAnswerThatCannotEndBeforeItsDeadline) {
  Rig rig;
  rig.model.pause = std::chrono::milliseconds(5);
  const auto request_with = [](uint64_t seed, int max_tokens) {
    request::Request request = request_of(seed, 20);
    request.sampling = {};
    request.sampling.ignore_eos = true;
    request.sampling.max_tokens = max_tokens;
    return request;
  };
  for (uint64_t seed = 0; seed < 20; ++seed)  // so that step times are learned
    rig.finish(request_with(seed, 3));
  const auto running = rig.submit(request_with(100, 230));
  ASSERT_TRUE(running->wait(2));
  const auto submit_for = [&](double seconds) {
    request::Request request = request_with(101, 200);
    request.id = rig.engine->next_id();
    request.deadline = after_seconds(rig.clock.now(), seconds);
    return rig.engine->submit(std::move(request), std::make_shared<Collector>());
  };
  const auto refused = submit_for(0.25);
  ASSERT_FALSE(refused) << "199 steps of 5 ms";
  EXPECT_EQ(refused.error().fault, Fault::kOverloaded);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("an answer of 200 tokens"));
  EXPECT_GE(refused.error().retry_after_s.value_or(0.0), 1.0);
  EXPECT_TRUE(submit_for(3600.0));
}

TEST(Engine, CancelEndsARequestAndFreesItsPages) {
  Rig rig;
  request::Request request = request_of(1, 20);
  request.sampling = {};
  request.sampling.ignore_eos = true;
  request.sampling.max_tokens = 200;
  request.id = rig.engine->next_id();
  const RequestId id = request.id;
  auto sink = std::make_shared<Collector>();
  ASSERT_TRUE(rig.engine->submit(std::move(request), sink));
  ASSERT_TRUE(sink->wait(1));
  rig.engine->cancel(id);
  ASSERT_TRUE(sink->wait());
  ASSERT_TRUE(sink->last);
  rig.engine->cancel(id);
  rig.finish(request_of(4));
  EXPECT_EQ(rig.gauge("in_use"), 0);
}

TEST(Engine, DestructionCancelsWhatRuns) {
  auto rig = std::make_unique<Rig>();
  request::Request request = request_of(1, 20);
  request.sampling = {};
  request.sampling.ignore_eos = true;
  request.sampling.max_tokens = 200;
  std::vector<std::shared_ptr<Collector>> sinks;
  for (int i = 0; i < 20; ++i)
    sinks.push_back(rig->submit(request));
  rig->engine.reset();
  for (const auto& sink : sinks)
    EXPECT_TRUE(sink->last);
}

}  // namespace
}  // namespace inferno::engine
