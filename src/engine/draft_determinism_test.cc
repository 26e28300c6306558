// A draft model on real arithmetic: tokens and logprobs are the same bytes with it and without,
// alone and in a batch, for any chunk size, on one thread and two; a model that is its own draft is
// right every time, another quantization of it most times.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "base/conformance_data.h"
#include "engine/draft_model.h"
#include "engine/engine_core.h"
#include "model/decoder.h"

namespace inferno::engine {
namespace {

namespace fs = std::filesystem;

constexpr int kDraftedRequests = 12;
constexpr int kDraftedModelLen = 160;
constexpr int kLogitRows = 4;

// One answer, floats spelled exactly.
class DraftTranscript final : public request::EventSink {
 public:
  void on_event(request::TokenEvent event) override {
    for (const request::TokenOutput& token : event.tokens) {
      spelled += fmt::format("{} {:a} {}", token.token, token.logprob, token.rank);
      for (const auto& top : token.top)
        spelled += fmt::format(" {}:{:a}", top.token, top.logprob);
      spelled += "\n";
    }
    is_done = event.finish.has_value();
  }
  std::string spelled;
  bool is_done = false;
};

// Which requests draw their tokens at random.
enum class Sampled : uint8_t { kNever, kMostly };

struct DraftVariation {
  const char* name;
  bool drafts = true;
  int budget = 512;
  bool caching = true;
  int pages = 256;
  int draft_pages = 256;
  int seqs = 8;
  Sampled sampled = Sampled::kMostly;
  schedule::DraftLengthRule lengths = schedule::DraftLengthRule::kLongest;
};

struct Answers {
  std::vector<std::string> spelled;
  double draft_tokens = 0.0;
  double accepted_tokens = 0.0;
};

// Weights and their vocabulary.
struct Loaded {
  Loaded(const fs::path& path, ThreadPool& pool)
      : checkpoint(*model::Checkpoint::open(path)),
        tokenizer(*token::Tokenizer::create(*checkpoint->vocabulary())),
        weights(*model::Weights::load(checkpoint, pool, {})) {}

  kv::PageStore make_store(int pages) const {
    return *kv::PageStore::create(model::Decoder::kv_shape(weights->config(), kernel::KvType::kF16),
                                  pages);
  }

  std::shared_ptr<const model::Checkpoint> checkpoint;
  std::unique_ptr<token::Tokenizer> tokenizer;
  std::unique_ptr<model::Weights> weights;
};

double spec_decode_total(const std::string& exposition, const std::string& name) {
  const size_t found = exposition.find("\nvllm:spec_decode_" + name + "_total{");
  if (found == std::string::npos) return 0.0;
  return std::strtod(exposition.c_str() + exposition.find("} ", found) + 2, nullptr);
}

class LoadedPair {
 public:
  LoadedPair(const fs::path& target, const fs::path& draft, int threads)
      : pool_(threads), target_(target, pool_), draft_(draft, pool_) {}

  Answers run(const DraftVariation& how) {
    kv::PageStore store = target_.make_store(how.pages);
    kv::PageStore draft_store = draft_.make_store(how.draft_pages);
    const kernel::KernelTable& table = kernel::best_table();
    model::DecoderLimits limits{.batch_tokens = how.budget,
                                .logit_rows = std::min(kLogitRows, how.budget),
                                .carry_rows = how.budget};
    const auto decoder = *model::Decoder::create(
        {.weights = *target_.weights, .table = table, .pool = pool_, .store = store}, limits);
    limits.carry_rows = 0;
    const auto draft_decoder = *model::Decoder::create(
        {.weights = *draft_.weights, .table = table, .pool = pool_, .store = draft_store}, limits);
    DraftModel drafter({.model = *draft_decoder, .table = table, .pool = pool_, .clock = clock_},
                       {.page_count = how.draft_pages,
                        .batch_tokens = how.budget,
                        .max_sequences = how.seqs,
                        .max_tokens = kDraftedModelLen,
                        .guessable_tokens = decoder->vocab_size(),
                        .prefix_caching = how.caching});
    MetricRegistry registry;
    EngineMetrics metrics(registry, "model");
    EngineCore core({.model = *decoder,
                     .tokenizer = *target_.tokenizer,
                     .table = table,
                     .pool = pool_,
                     .metrics = metrics,
                     .clock = clock_,
                     .proposer = &drafter},
                    {.scheduler = {.max_num_seqs = how.seqs,
                                   .max_num_batched_tokens = how.budget,
                                   .prefix_caching = how.caching},
                     .max_model_len = kDraftedModelLen,
                     .kv_page_count = how.pages,
                     .speculation = {.method = how.drafts ? SpeculationMethod::kDraftModel
                                                          : SpeculationMethod::kOff,
                                     .num_speculative_tokens = 5,
                                     .lengths = how.lengths}});
    std::vector<std::shared_ptr<DraftTranscript>> sinks;
    for (int i = 0; i < kDraftedRequests; ++i) {
      sinks.push_back(std::make_shared<DraftTranscript>());
      core.start(request_of(i, how.sampled), sinks.back());
      core.step();
    }
    while (!core.idle())
      core.step();
    EXPECT_EQ(core.pages().in_use_count(), 0);
    EXPECT_EQ(drafter.held_page_count(), 0);
    Answers answers;
    for (const auto& sink : sinks) {
      EXPECT_TRUE(sink->is_done);
      answers.spelled.push_back(sink->spelled);
    }
    const std::string text = registry.exposition();
    answers.draft_tokens = spec_decode_total(text, "num_draft_tokens");
    answers.accepted_tokens = spec_decode_total(text, "num_accepted_tokens");
    return answers;
  }

 private:
  // Every second prompt begins like the others; each sixth request is another choice of the one
  // before.
  request::Request request_of(int index, Sampled sampled) const {
    const bool is_fork = index % 6 == 5;
    std::mt19937 random(static_cast<uint32_t>(is_fork ? index - 1 : index));
    std::mt19937 words(index % 2 == 0 || is_fork ? 1U : static_cast<uint32_t>(index));
    const bool is_greedy = sampled == Sampled::kNever;
    request::Request request;
    request.id = {static_cast<uint64_t>(index) + 1};
    if (is_fork) request.fork_of = RequestId{static_cast<uint64_t>(index)};
    const int length = 2 + static_cast<int>(random() % 70);
    const auto vocabulary = static_cast<uint32_t>(target_.tokenizer->vocab_size());
    for (int i = 0; i < length; ++i)
      request.prompt.push_back(static_cast<TokenId>(words() % vocabulary));
    request.sampling.max_tokens = 20 + index % 5;
    request.sampling.ignore_eos = true;
    request.sampling.logprobs = 3;
    request.sampling.seed = static_cast<uint64_t>(index);
    request.sampling.temperature = is_greedy || index % 3 == 0 ? 0.0f : 0.7f;
    request.sampling.top_p = index % 4 == 1 ? 0.9f : 1.0f;
    if (!is_greedy && index % 6 == 2) request.sampling.repetition_penalty = 1.2f;
    return request;
  }

  ThreadPool pool_;
  SystemClock clock_;
  Loaded target_;
  Loaded draft_;
};

struct PairCase {
  const char* name;
  const char* target;
  const char* draft;
};

std::ostream& operator<<(std::ostream& out, const PairCase& subject) {
  return out << subject.name;
}

class DraftDeterminism : public ::testing::TestWithParam<PairCase> {};

TEST_P(DraftDeterminism, SameBytesWithADraftModelAndWithout) {
  const PairCase& subject = GetParam();
  const fs::path target = conformance_data("models") / subject.target;
  const fs::path draft = conformance_data("models") / subject.draft;
  if (!fs::exists(target) || !fs::exists(draft)) GTEST_SKIP() << target << " is absent";
  const DraftVariation variations[] = {
      {.name = "in a batch"},
      {.name = "alone", .seqs = 1},
      {.name = "chunks of 64", .budget = 64},
      {.name = "chunks of 7", .budget = 7},
      {.name = "without prefix cache", .caching = false},
      {.name = "under preemption", .pages = kDraftedModelLen / 16},
      {.name = "few pages of its own", .draft_pages = kDraftedModelLen / 16},
      {.name = "as measured", .lengths = schedule::DraftLengthRule::kByMeasurement}};
  std::vector<std::string> plain;
  for (const int threads : {1, 2}) {
    LoadedPair pair(target, draft, threads);
    if (plain.empty()) plain = pair.run({.name = "plain", .drafts = false}).spelled;
    for (const DraftVariation& how : variations) {
      SCOPED_TRACE(fmt::format("{}, {} threads", how.name, threads));
      const Answers answers = pair.run(how);
      for (size_t i = 0; i < plain.size(); ++i)
        ASSERT_EQ(answers.spelled[i], plain[i]) << "request " << i;
      if (how.lengths == schedule::DraftLengthRule::kLongest) {
        EXPECT_GT(answers.draft_tokens, 30);
        EXPECT_GT(answers.accepted_tokens, 0);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, DraftDeterminism,
    ::testing::Values(PairCase{"llama_itself", "llama/model-f32.gguf", "llama/model-f32.gguf"},
                      PairCase{"llama_bf16", "llama/model-f32.gguf", "llama/model-BF16.gguf"},
                      PairCase{"q4_k_m_q2_k", "llama-quantized/model-Q4_K_M.gguf",
                               "llama-quantized/model-Q2_K.gguf"},
                      PairCase{"qwen2_itself", "qwen2/model-f32.gguf", "qwen2/model-f32.gguf"},
                      PairCase{"gemma3_itself", "gemma3/model-f32.gguf", "gemma3/model-f32.gguf"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(DraftAcceptanceOnModels, AModelIsAlwaysRightAboutItself) {
  const fs::path path = conformance_data("models") / "llama/model-f32.gguf";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
  const Answers answers =
      LoadedPair(path, path, 2).run({.name = "greedy", .sampled = Sampled::kNever});
  EXPECT_GT(answers.draft_tokens, 100);
  EXPECT_EQ(answers.accepted_tokens, answers.draft_tokens);
}

TEST(DraftAcceptanceOnModels, AnotherQuantizationIsOftenRight) {
  const fs::path target = conformance_data("models") / "llama-quantized/model-Q8_0.gguf";
  const fs::path draft = conformance_data("models") / "llama-quantized/model-Q4_0.gguf";
  if (!fs::exists(target) || !fs::exists(draft)) GTEST_SKIP() << target << " is absent";
  const Answers answers =
      LoadedPair(target, draft, 2).run({.name = "greedy", .sampled = Sampled::kNever});
  EXPECT_GT(answers.draft_tokens, 100);
  EXPECT_GT(answers.accepted_tokens, 0.1 * answers.draft_tokens);
  EXPECT_LT(answers.accepted_tokens, answers.draft_tokens);
}

}  // namespace
}  // namespace inferno::engine
