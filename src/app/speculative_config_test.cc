#include "app/speculative_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace inferno::app {
namespace {

using engine::SpeculationMethod;
using ::testing::HasSubstr;

TEST(SpeculativeConfig, ReadsVllmsJson) {
  const auto config = parse_speculative_config(
      R"({"method": "ngram", "num_speculative_tokens": 5,
          "prompt_lookup_max": 3, "prompt_lookup_min": 1})");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->method, SpeculationMethod::kPromptLookup);
  EXPECT_EQ(config->num_speculative_tokens, 5);
  EXPECT_EQ(config->prompt_lookup_max, 3);
  EXPECT_EQ(config->prompt_lookup_min, 1);
}

TEST(SpeculativeConfig, IsPromptLookupUntilItIsTurnedOff) {
  EXPECT_EQ(parse_speculative_config(kDefaultSpeculativeConfig)->method,
            SpeculationMethod::kPromptLookup);
  EXPECT_EQ(parse_speculative_config("{}")->method, SpeculationMethod::kPromptLookup);
  EXPECT_EQ(parse_speculative_config(R"({"method": "off"})")->method, SpeculationMethod::kOff);
  EXPECT_EQ(parse_speculative_config("")->method, SpeculationMethod::kOff);
  EXPECT_EQ(parse_speculative_config("  ")->method, SpeculationMethod::kOff);
}

TEST(SpeculativeConfig, AModelIsADraftModel) {
  for (const char* text : {R"({"model": "small", "num_speculative_tokens": 3})",
                           R"({"method": "draft_model", "model": "small",
                               "num_speculative_tokens": 3})"}) {
    const auto config = parse_speculative_config(text);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->method, SpeculationMethod::kDraftModel);
    EXPECT_EQ(config->draft_model, "small");
    EXPECT_EQ(config->num_speculative_tokens, 3);
  }
}

TEST(SpeculativeConfig, LengthsAreMeasuredUnlessTheLongestAreAskedFor) {
  using schedule::DraftLengthRule;
  EXPECT_EQ(parse_speculative_config("{}")->lengths, DraftLengthRule::kByMeasurement);
  EXPECT_EQ(parse_speculative_config(R"({"lengths": "measured"})")->lengths,
            DraftLengthRule::kByMeasurement);
  EXPECT_EQ(parse_speculative_config(R"({"model": "small", "lengths": "longest"})")->lengths,
            DraftLengthRule::kLongest);
  const auto wrong = parse_speculative_config(R"({"lengths": 3})");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("lengths is 3, must be"));
}

TEST(SpeculativeConfig, OneLengthStandsForBoth) {
  const auto longest = parse_speculative_config(R"({"prompt_lookup_max": 7})");
  EXPECT_EQ(longest->prompt_lookup_min, 7);
  EXPECT_EQ(longest->prompt_lookup_max, 7);
  const auto shortest = parse_speculative_config(R"({"prompt_lookup_min": 1})");
  EXPECT_EQ(shortest->prompt_lookup_min, 1);
  EXPECT_EQ(shortest->prompt_lookup_max, 1);
}

TEST(SpeculativeConfig, RefusesWhatItDoesNotKnowByName) {
  const auto error_of = [](const char* text) {
    const auto config = parse_speculative_config(text);
    EXPECT_FALSE(config) << text;
    if (config) return std::string();
    EXPECT_EQ(config.error().fault, Fault::kInvalid);
    EXPECT_EQ(config.error().param, "speculative-config");
    return config.error().message;
  };
  EXPECT_THAT(error_of("ngram"), HasSubstr("ngram is not a JSON object"));
  EXPECT_THAT(error_of("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of(R"({"metod": "ngram"})"), HasSubstr("'metod' is not known"));
  EXPECT_THAT(error_of(R"({"method": "eagle"})"), HasSubstr("method is \"eagle\""));
  EXPECT_THAT(error_of(R"({"method": 3})"), HasSubstr("method is 3"));
  EXPECT_THAT(error_of(R"({"method": "eagle"})"), HasSubstr("must be \"ngram\""));
  EXPECT_THAT(error_of(R"({"method": "draft_model"})"), HasSubstr("needs a model"));
  EXPECT_THAT(error_of(R"({"model": 7})"), HasSubstr("model is 7, must be the name"));
  EXPECT_THAT(error_of(R"({"model": ""})"), HasSubstr("model is \"\", must be the name"));
  EXPECT_THAT(error_of(R"({"method": "ngram", "model": "small"})"),
              HasSubstr("model is \"small\", allowed only with method \"draft_model\""));
  EXPECT_THAT(error_of(R"({"model": "small", "prompt_lookup_max": 3})"),
              HasSubstr("prompt_lookup_max is 3, allowed only with method \"ngram\""));
  EXPECT_THAT(error_of(R"({"model": "small", "draft_tensor_parallel_size": 1})"),
              HasSubstr("'draft_tensor_parallel_size' is not known; known are method, model"));
  EXPECT_THAT(error_of(R"({"num_speculative_tokens": 0})"),
              HasSubstr("num_speculative_tokens is 0, must be a whole number from 1 to 64"));
  EXPECT_THAT(error_of(R"({"num_speculative_tokens": 2.5})"), HasSubstr("from 1 to 64"));
  EXPECT_THAT(error_of(R"({"num_speculative_tokens": "8"})"), HasSubstr("from 1 to 64"));
  EXPECT_THAT(error_of(R"({"prompt_lookup_max": 17})"), HasSubstr("from 1 to 16"));
  EXPECT_THAT(error_of(R"({"prompt_lookup_max": 2, "prompt_lookup_min": 3})"),
              HasSubstr("prompt_lookup_min is 3, must be at most prompt_lookup_max, 2"));
}

}  // namespace
}  // namespace inferno::app
