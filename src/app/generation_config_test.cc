#include "app/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/gguf_test_writer.h"

namespace inferno::app {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(GenerationConfig, AFolderSaysHowToSample) {
  const model::TemporaryFolder folder;
  folder.write("generation_config.json",
               R"({"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.05,
                   "repetition_penalty": 1.1, "max_new_tokens": 2048, "do_sample": true,
                   "eos_token_id": [1, 2]})");
  const GenerationDefaults defaults = read_generation_defaults(folder.path());
  EXPECT_THAT(defaults.warnings, IsEmpty());
  EXPECT_FLOAT_EQ(defaults.sampling.temperature, 0.7f);
  EXPECT_FLOAT_EQ(defaults.sampling.top_p, 0.8f);
  EXPECT_EQ(defaults.sampling.top_k, 20);
  EXPECT_FLOAT_EQ(defaults.sampling.min_p, 0.05f);
  EXPECT_FLOAT_EQ(defaults.sampling.repetition_penalty, 1.1f);
  EXPECT_EQ(defaults.max_tokens, 2048);
}

TEST(GenerationConfig, AGgufFileSaysHowToSample) {
  const model::TemporaryFolder folder;
  model::GgufTestWriter writer;
  writer.f32("general.sampling.temp", 0.6f).u32("general.sampling.top_k", 40);
  writer.f32("general.sampling.penalty_repeat", 1.2f);
  const auto file = folder.write("model.gguf", writer.finish());
  for (const auto& path : {file, folder.path()}) {
    const GenerationDefaults defaults = read_generation_defaults(path);
    EXPECT_THAT(defaults.warnings, IsEmpty());
    EXPECT_EQ(defaults.sampling.temperature, 0.6f);
    EXPECT_EQ(defaults.sampling.top_k, 40);
    EXPECT_EQ(defaults.sampling.repetition_penalty, 1.2f);
    EXPECT_EQ(defaults.sampling.top_p, 1.0f);
    EXPECT_FALSE(defaults.max_tokens);
  }
}

TEST(GenerationConfig, BadValuesAreIgnoredWithAWarning) {
  const model::TemporaryFolder folder;
  for (const char* wrong :
       {R"({"temperature": -1})", R"({"temperature": "hot"})", R"({"top_p": 0})",
        R"({"top_p": 1.5})", R"({"top_k": -2})", R"({"top_k": 1.5})", R"({"top_k": 1e300})",
        R"({"min_p": 2})", R"({"repetition_penalty": 0})", R"({"max_new_tokens": 0})",
        R"({"max_new_tokens": true})", "nonsense", "[]"}) {
    folder.write("generation_config.json", std::string_view(wrong));
    const GenerationDefaults defaults = read_generation_defaults(folder.path());
    ASSERT_EQ(defaults.warnings.size(), 1u) << wrong;
    EXPECT_THAT(defaults.warnings[0], HasSubstr("ignored")) << wrong;
    EXPECT_EQ(defaults.sampling.temperature, 1.0f) << wrong;
    EXPECT_EQ(defaults.sampling.top_k, 0) << wrong;
    EXPECT_FALSE(defaults.max_tokens) << wrong;
  }
  folder.write("generation_config.json", std::string_view(R"({"temperature": -1, "top_k": 7})"));
  EXPECT_EQ(read_generation_defaults(folder.path()).sampling.top_k, 7);
}

TEST(GenerationConfig, AFolderWithoutOneSaysNothing) {
  const model::TemporaryFolder folder;
  const GenerationDefaults defaults = read_generation_defaults(folder.path());
  EXPECT_THAT(defaults.warnings, IsEmpty());
  EXPECT_EQ(defaults.sampling.temperature, 1.0f);
  folder.write("generation_config.json", std::string_view(R"({"top_k": null})"));
  EXPECT_THAT(read_generation_defaults(folder.path()).warnings, IsEmpty());
}

}  // namespace
}  // namespace inferno::app
