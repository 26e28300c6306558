// The promise of the project, tried on real arithmetic: a request's tokens and logprobs are the
// same bytes alone and in a crowd, however its prompt is cut, on one thread and two, with and
// without the prefix cache, under preemption, with and without speculation, and, for quantized
// weights, on every instruction set this CPU has.
//
// INFERNO_TEST_ALL_MODELS=1 adds the large models of the cache and asks every question of all 32
// requests (minutes; tests/accept/determinism.sh). Without it every model is still served in every
// way, but fewer requests take part where a step is dear: real models, the plain table, and
// chunks of 1.
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/conformance_data.h"
#include "engine/engine.h"
#include "engine/test_oracle.h"
#include "model/decoder.h"
#include "model/model_cache.h"

namespace inferno::engine {
namespace {

namespace fs = std::filesystem;

constexpr int kRequests = 32;
constexpr int kSomeRequests = 10;  // with the first fork and every kind of sampling
constexpr int kMaxModelLen = 128;
constexpr int kFewPages = kMaxModelLen / 16;  // requests that run together preempt each other

bool tries_everything() {
  return std::getenv("INFERNO_TEST_ALL_MODELS") != nullptr;
}

// Collects one answer as text in which floats are spelled exactly.
class Transcript final : public request::EventSink {
 public:
  void on_event(request::TokenEvent event) override {
    const std::lock_guard lock(mutex_);
    for (const request::TokenOutput& token : event.tokens) {
      spelled_ += fmt::format("{} {:a} {}", token.token, token.logprob, token.rank);
      for (const auto& top : token.top)
        spelled_ += fmt::format(" {}:{:a}", top.token, top.logprob);
      spelled_ += "\n";
    }
    for (const request::TokenOutput& token : event.tokens)
      tokens_.push_back(token.token);
    spelled_ += event.text;
    cached_tokens_ = event.stats.cached_tokens;
    is_done_ = event.finish.has_value();
    if (is_done_) done_.notify_all();
  }

  std::string wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return is_done_; });
    return spelled_;
  }

  // Requires: wait() has returned.
  const std::vector<TokenId>& tokens() const { return tokens_; }
  int cached_tokens() const { return cached_tokens_; }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  std::string spelled_;
  std::vector<TokenId> tokens_;
  int cached_tokens_ = 0;
  bool is_done_ = false;
};

// Who guesses: nobody, prompt lookup by single tokens, or one who knows and lies now and then.
enum class Guesses : uint8_t { kNone, kLookup, kOracle };

enum class Order : uint8_t { kTogether, kOneByOne };

struct Variation {
  std::string name;
  kernel::Isa isa = kernel::best_table().isa;
  int budget = 512;
  int threads = 2;
  bool caching = true;
  int pages = 1024;
  int first_request = 0;
  int requests = kRequests;  // at most
  Guesses guesses = Guesses::kNone;
  int lie_percent = 15;  // of the oracle
  Order order = Order::kTogether;
};

// A model loaded once for a number of threads, to be run in several ways.
class Bench {
 public:
  Bench(const fs::path& path, int threads, model::Quantization quantization) : pool_(threads) {
    auto checkpoint = model::Checkpoint::open(path);
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    checkpoint_ = std::move(*checkpoint);
    auto vocabulary = checkpoint_->vocabulary();
    EXPECT_TRUE(vocabulary);
    tokenizer_ = std::move(*token::Tokenizer::create(std::move(*vocabulary)));
    weights_ =
        std::move(*model::Weights::load(checkpoint_, pool_, {}, {.quantization = quantization}));
  }

  std::vector<std::string> run(const Variation& how) {
    auto store = kv::PageStore::create(
        model::Decoder::kv_shape(weights_->config(), kernel::KvType::kF16), how.pages);
    const kernel::KernelTable& table = *kernel::table(how.isa);
    auto decoder = model::Decoder::create(
        {.weights = *weights_, .table = table, .pool = pool_, .store = *store},
        {.batch_tokens = how.budget,
         .logit_rows = std::min(8, how.budget),
         .carry_rows = how.budget});
    MetricRegistry registry;
    EngineMetrics metrics(registry, "model");
    SpeculationConfig speculation;
    OracleProposer oracle(texts_, {.lie_percent = how.lie_percent,
                                   .vocab_size = static_cast<int>(tokenizer_->vocab_size())});
    if (how.guesses != Guesses::kNone) {
      speculation = {.method = SpeculationMethod::kPromptLookup,
                     .num_speculative_tokens = how.guesses == Guesses::kOracle ? 9 : 4,
                     .prompt_lookup_min = 1,
                     .lengths = schedule::DraftLengthRule::kLongest};
    }
    Engine engine({.model = **decoder,
                   .tokenizer = *tokenizer_,
                   .table = table,
                   .pool = pool_,
                   .metrics = metrics,
                   .clock = clock_,
                   .proposer = how.guesses == Guesses::kOracle ? &oracle : nullptr},
                  {.core = {.scheduler = {.max_num_seqs = 16,
                                          .max_num_batched_tokens = how.budget,
                                          .prefix_caching = how.caching},
                            .max_model_len = kMaxModelLen,
                            .kv_page_count = how.pages,
                            .speculation = speculation}});
    std::vector<std::string> spelled;
    std::vector<std::shared_ptr<Transcript>> running;
    for (int i = how.first_request; i < how.first_request + how.requests; ++i) {
      request::Request request = request_of(i);
      request.id = engine.next_id();
      if (is_fork(i) && how.order == Order::kTogether) {
        request.fork_of = RequestId{request.id.value - 1};
      }
      running.push_back(std::make_shared<Transcript>());
      EXPECT_TRUE(engine.submit(std::move(request), running.back()));
      if (how.order == Order::kOneByOne) running.back()->wait();
    }
    for (const auto& transcript : running) {
      spelled.push_back(transcript->wait());
      has_copied_ |= how.order == Order::kOneByOne && transcript->cached_tokens() % 16 != 0;
    }
    if (texts_.empty()) remember(running);
    const auto& preemptions = registry.counter(
        {"vllm:num_preemptions_total", "", {{"model_name", "model"}, {"engine", "0"}}});
    has_preempted_ = preemptions.value() > 0;
    return spelled;
  }

  // Whether a request that was alone began with the copy of a page.
  bool has_copied() const { return has_copied_; }
  // Whether a request of the last run lost its pages to another.
  bool has_preempted() const { return has_preempted_; }

 private:
  // What the oracle knows.
  void remember(const std::vector<std::shared_ptr<Transcript>>& answers) {
    for (size_t i = 0; i < answers.size(); ++i) {
      texts_.push_back(request_of(static_cast<int>(i)).prompt);
      const std::vector<TokenId>& tokens = answers[i]->tokens();
      texts_.back().insert(texts_.back().end(), tokens.begin(), tokens.end());
    }
  }

  // Some requests are another choice for the prompt of the one before.
  static bool is_fork(int index) { return index % 8 == 7; }

  request::Request request_of(int index) {
    std::mt19937 random(static_cast<uint32_t>(index));
    request::Request request;
    if (is_fork(index)) request.prompt = request_of(index - 1).prompt;
    // Every second request continues the same text, so that prefixes are shared.
    std::mt19937 words(index % 2 == 0 ? 1U : static_cast<uint32_t>(index));
    const int length = 2 + static_cast<int>(random() % 70);
    for (int i = 0; i < length && !is_fork(index); ++i) {
      request.prompt.push_back(
          static_cast<TokenId>(words() % static_cast<uint32_t>(tokenizer_->vocab_size())));
    }
    // Some go on for long enough to meet others that want their pages.
    request.sampling.max_tokens = index % 4 == 3 ? 24 : 6 + index % 5;
    request.sampling.ignore_eos = true;
    request.sampling.logprobs = 3;
    request.sampling.seed = static_cast<uint64_t>(index);
    request.sampling.temperature = index % 3 == 0 ? 0.0f : 0.9f;
    request.sampling.top_p = index % 4 == 1 ? 0.9f : 1.0f;
    if (index % 6 == 2) {
      request.sampling.repetition_penalty = 1.2f;
      request.sampling.frequency_penalty = 0.3f;
    }
    if (index % 4 > 0) request.service_class = static_cast<request::ServiceClass>(index % 4 - 1);
    request.client = index % 5 == 0 ? "greedy" : "modest";
    return request;
  }

  ThreadPool pool_;
  SystemClock clock_;
  std::shared_ptr<const model::Checkpoint> checkpoint_;
  std::unique_ptr<token::Tokenizer> tokenizer_;
  std::unique_ptr<model::Weights> weights_;
  bool has_copied_ = false;
  bool has_preempted_ = false;
  KnownTexts texts_;  // prompt and answer of every request, as first answered
};

struct Subject {
  const char* name;
  fs::path path;
  bool is_large = false;
  bool is_real = false;
  model::Quantization quantization = model::Quantization::kNone;
};

std::ostream& operator<<(std::ostream& out, const Subject& subject) {
  return out << subject.name;
}

class Determinism : public ::testing::TestWithParam<Subject> {};

TEST_P(Determinism, SameBytesHoweverARequestIsServed) {
  const Subject& subject = GetParam();
  if (subject.is_large && !tries_everything()) GTEST_SKIP() << "INFERNO_TEST_ALL_MODELS is not set";
  if (!fs::exists(subject.path)) GTEST_SKIP() << subject.path << " is absent";
  const bool is_short = subject.is_real && !tries_everything();
  const int all = is_short ? kSomeRequests : kRequests;
  const int some = is_short ? 6 : kRequests;
  const int few = is_short ? 3 : tries_everything() ? kRequests : kSomeRequests;
  std::vector<Variation> variations = {
      {.name = "all at once"},
      {.name = "chunks of 64", .budget = 64},
      {.name = "chunks of 7", .budget = 7, .requests = some},
      {.name = "chunks of 1", .budget = 1, .requests = few},
      {.name = "without prefix cache", .caching = false},
      {.name = "chunks of 64 without prefix cache", .budget = 64, .caching = false},
      {.name = "after one another", .order = Order::kOneByOne},
      {.name = "under preemption", .pages = kFewPages},
      {.name = "prompt lookup", .guesses = Guesses::kLookup},
      {.name = "guesses mostly right", .guesses = Guesses::kOracle},
      {.name = "guesses, chunks of 7", .budget = 7, .requests = some, .guesses = Guesses::kOracle},
      {.name = "guesses without prefix cache", .caching = false, .guesses = Guesses::kOracle},
      {.name = "guesses under preemption",
       .pages = kFewPages,
       .guesses = Guesses::kOracle,
       .lie_percent = 70},
      {.name = "one thread", .threads = 1},
      {.name = "one thread, chunks of 64", .budget = 64, .threads = 1}};
  for (const auto isa : kernel::kIsas) {
    if (kernel::table(isa) == nullptr) continue;
    variations.push_back({.name = kernel::name_of(isa), .isa = isa});
    if (isa != kernel::Isa::kPlain) continue;
    variations.back().requests = few;
    if (is_short) {  // a tenth of a second a token: two short ones, of which one fills a page
      variations.back().first_request = 4;
      variations.back().requests = 2;
    }
  }
  Bench one(subject.path, 1, subject.quantization);
  Bench two(subject.path, 2, subject.quantization);
  const std::vector<std::string> alone =
      two.run({.name = "alone", .caching = false, .requests = all, .order = Order::kOneByOne});
  for (Variation& how : variations) {
    SCOPED_TRACE(how.name);
    how.requests = std::min(how.requests, all);
    Bench& bench = how.threads == 1 ? one : two;
    // Which requests meet, and want each other's pages, depends on how long steps take.
    for (int attempt = 0; attempt < 5; ++attempt) {
      const std::vector<std::string> answers = bench.run(how);
      for (size_t i = 0; i < answers.size(); ++i) {
        const size_t request = static_cast<size_t>(how.first_request) + i;
        ASSERT_EQ(answers[i], alone[request]) << "request " << request;
      }
      if (how.pages != kFewPages || bench.has_preempted()) break;
    }
    EXPECT_TRUE(how.pages != kFewPages || bench.has_preempted());
  }
  EXPECT_NE(alone[0], alone[1]);
  EXPECT_TRUE(two.has_copied());
}

INSTANTIATE_TEST_SUITE_P(
    Models, Determinism,
    ::testing::Values(
        Subject{"llama_f32", conformance_data("models") / "llama/model-f32.gguf"},
        Subject{"llama_bf16_folder", conformance_data("models") / "llama/hf-bf16"},
        Subject{"qwen2_f32", conformance_data("models") / "qwen2/model-f32.gguf"},
        Subject{"gemma3_f32", conformance_data("models") / "gemma3/model-f32.gguf"},
        Subject{"mixtral_f32", conformance_data("models") / "mixtral/model-f32.gguf"},
        Subject{"qwen3moe_folder", conformance_data("models") / "qwen3moe/hf"},
        Subject{.name = "qwen3moe_q8",
                .path = conformance_data("models") / "qwen3moe/hf",
                .quantization = model::Quantization::kQ8},
        Subject{"gptoss_folder", conformance_data("models") / "gptoss/hf"},
        Subject{"gptoss_mxfp4", conformance_data("models") / "gptoss-mxfp4/hf"},
        Subject{"llama_q4_k_m", conformance_data("models") / "llama-quantized/model-Q4_K_M.gguf"},
        Subject{"llama_q5_0", conformance_data("models") / "llama-quantized/model-Q5_0.gguf"},
        Subject{"smollm2", model::model_cache() / "SmolLM2-135M-Instruct.Q4_1.gguf", false, true},
        Subject{"gemma3_270m", model::model_cache() / "gemma-3-270m-q4_k_m.gguf", true, true},
        Subject{"qwen_1_5b", model::model_cache() / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", true,
                true}),
    [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace inferno::engine
