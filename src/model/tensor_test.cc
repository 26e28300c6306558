#include "model/tensor.h"

#include <gtest/gtest.h>

namespace inferno::model {
namespace {

TEST(Tensor, CountsTheElementsOfItsShape) {
  EXPECT_EQ(element_count({.shape = {611, 64}}), 611 * 64);
  EXPECT_EQ(element_count({.shape = {}}), 1);
  EXPECT_EQ(element_count({.shape = {4, 0}}), 0);
}

TEST(Tensor, SpellsShapesOutermostFirst) {
  const std::vector<int64_t> shape = {611, 64};
  EXPECT_EQ(shape_text(shape), "[611, 64]");
  EXPECT_EQ(shape_text({}), "[]");
}

TEST(Tensor, FactsAddUpByType) {
  TensorFacts facts;
  facts.add("F32", std::vector<int64_t>{4}, 16);
  facts.add("Q8_0", std::vector<int64_t>{2, 32}, 68);
  facts.add("F32", std::vector<int64_t>{2, 3}, 24);
  EXPECT_EQ(facts.tensor_count, 3);
  EXPECT_EQ(facts.parameter_count, 74);
  EXPECT_EQ(facts.total_bytes, 108);
  ASSERT_EQ(facts.types.size(), 2u);
  EXPECT_EQ(facts.types.at("F32").tensor_count, 2);
  EXPECT_EQ(facts.types.at("F32").parameter_count, 10);
  EXPECT_EQ(facts.types.at("Q8_0").total_bytes, 68);
}

}  // namespace
}  // namespace inferno::model
