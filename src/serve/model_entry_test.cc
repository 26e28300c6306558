#include "serve/model_entry.h"

#include <gtest/gtest.h>

#include "serve/fake_generator.h"

namespace inferno::serve {
namespace {

TEST(ModelEntry, DerivesLimitsFromItsParts) {
  const auto tokenizer = make_byte_tokenizer();
  FakeGenerator generator;
  MetricRegistry registry;
  ServedModel model;
  model.names = {"a", "b"};
  model.tokenizer = tokenizer.get();
  model.generator = &generator;
  model.default_sampling.top_k = 7;
  const ModelEntry entry(model, registry);
  EXPECT_EQ(entry.name(), "a");
  EXPECT_EQ(entry.limits.vocab_size, 258);
  EXPECT_EQ(entry.limits.max_model_len, 200);
  EXPECT_EQ(entry.limits.default_sampling.top_k, 7);
}

}  // namespace
}  // namespace inferno::serve
