#include "app/local_draft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <climits>
#include <filesystem>
#include <optional>

#include "base/conformance_data.h"
#include "base/memory_tracker.h"

namespace inferno::app {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

EngineOptions with_draft(const fs::path& model) {
  EngineOptions options;
  options.speculative_config = fmt::format(R"({{"model": "{}"}})", model.string());
  return options;
}

class LocalDraftTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(path_)) GTEST_SKIP() << path_ << " is absent";
    target_ = *model::Checkpoint::open(path_);
  }

  fs::path path_ = conformance_data("models") / "llama/model-f32.gguf";
  std::shared_ptr<const model::Checkpoint> target_;
};

TEST_F(LocalDraftTest, ThereIsNoneWhereNobodyAsksForOne) {
  const auto opened = open_draft(EngineOptions(), *target_);
  ASSERT_TRUE(opened);
  EXPECT_EQ(*opened, nullptr);
}

TEST_F(LocalDraftTest, ErrorsNameTheOption) {
  const auto absent = open_draft(with_draft("/nowhere/at.all"), *target_);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().param, "speculative-config");
  EXPECT_THAT(absent.error().message, HasSubstr("/nowhere/at.all"));
  const auto foreign =
      open_draft(with_draft(conformance_data("models") / "gemma3/model-f32.gguf"), *target_);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().param, "speculative-config");
  EXPECT_EQ(foreign.error().fault, Fault::kInvalid);
}

TEST_F(LocalDraftTest, GuessesWithPagesOfItsOwn) {
  auto opened = open_draft(with_draft(path_), *target_);
  ASSERT_TRUE(opened) << opened.error().message;
  ThreadPool pool(1);
  const SystemClock clock;
  auto weights = model::Weights::load(*opened, pool, {});
  ASSERT_TRUE(weights);
  const int vocabulary = (*weights)->head().outputs();
  const kv::KvShape shape = model::Decoder::kv_shape((*weights)->config(), kernel::KvType::kF16);
  const size_t before = process_memory().account("draft KV cache").use().now_bytes;
  auto draft = LocalDraft::create(
      std::move(*weights), {.table = kernel::best_table(), .pool = pool, .clock = clock},
      {.kv_shape = shape,
       .page_count = 8,
       .decoder = {.batch_tokens = 32, .logit_rows = 4},
       .model = {.max_sequences = 2, .max_tokens = 64, .guessable_tokens = vocabulary}});
  ASSERT_TRUE(draft) << draft.error().message;
  EXPECT_EQ(process_memory().account("draft KV cache").use().now_bytes - before,
            (*draft)->kv_bytes());
  engine::DraftProposer& proposer = (*draft)->proposer();
  const auto state = proposer.begin({.max_tokens = 64});
  const std::vector<TokenId> tokens = {1, 2, 3, 4, 5};
  std::vector<TokenId> drafts;
  int match_length = 0;
  engine::DraftJob job{.state = state.get(),
                       .tokens = tokens,
                       .most = 3,
                       .drafts = &drafts,
                       .match_length = &match_length};
  proposer.propose({&job, 1}, INT_MAX);
  EXPECT_EQ(drafts.size(), 3u);
  EXPECT_EQ(proposer.held_page_count(), 1);
}

}  // namespace
}  // namespace inferno::app
