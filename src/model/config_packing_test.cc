#include "model/config_packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>

namespace inferno::model {
namespace {

using ::testing::HasSubstr;

Result<WeightPacking> read(std::string_view text) {
  return packing_from_json(boost::json::parse(text).as_object(), "config.json");
}

TEST(ConfigPacking, KnowsTheMethods) {
  constexpr std::pair<std::string_view, WeightPacking> kMethods[] = {
      {R"({"quant_method":"gptq","bits":4,"group_size":128})", WeightPacking::kGptq},
      {R"({"quant_method":"gptq","bits":8,"group_size":-1,"checkpoint_format":"gptq_v2"})",
       WeightPacking::kGptqV2},
      {R"({"quant_method":"awq","bits":4,"version":"gemm","zero_point":true})",
       WeightPacking::kAwq},
      {R"({"quant_method":"fp8","weight_block_size":[128,128]})", WeightPacking::kFp8},
      {R"({"quant_method":"fbgemm_fp8"})", WeightPacking::kFp8},
      {R"({"quant_method":"mxfp4"})", WeightPacking::kMxfp4},
      {R"({"quant_method":"mxfp4","modules_to_not_convert":["model.layers.*.self_attn"]})",
       WeightPacking::kMxfp4},
      {R"({"quant_method":"compressed-tensors","format":"pack-quantized","sparsity_config":{},
           "config_groups":{"g":{"weights":{"num_bits":4,"type":"int","strategy":"group"}}}})",
       WeightPacking::kCompressedTensors},
      {R"({"quant_method":"compressed-tensors","format":"float-quantized",
           "sparsity_config":{"format":"dense"},
           "config_groups":{"g":{"weights":{"num_bits":8,"type":"float","strategy":"channel"}}}})",
       WeightPacking::kCompressedTensors}};
  for (const auto& [text, packing] : kMethods) {
    const auto got = read(text);
    ASSERT_TRUE(got) << text << ": " << got.error().message;
    EXPECT_EQ(*got, packing) << text;
  }
}

TEST(ConfigPacking, NamesFieldAndValueOfWhatIsNotSupported) {
  constexpr std::pair<std::string_view, std::string_view> kRefused[] = {
      {R"({})", "quantization_config.quant_method' is ''"},
      {R"({"quant_method":"hqq"})", "is 'hqq'"},
      {R"({"quant_method":7})", "quant_method' must be a string"},
      {R"({"quant_method":"gptq"})", "bits' is missing"},
      {R"({"quant_method":"gptq","bits":3})", "bits' is 3"},
      {R"({"quant_method":"gptq","bits":4,"checkpoint_format":"marlin"})", "'marlin'"},
      {R"({"quant_method":"gptq","bits":4,"group_size":-7})", "group_size' is -7"},
      {R"({"quant_method":"awq","bits":4,"version":"gemv"})", "'gemv'"},
      {R"({"quant_method":"awq","bits":8})", "bits' is 8"},
      {R"({"quant_method":"awq","zero_point":false})", "zero_point' is false"},
      {R"({"quant_method":"fp8","fmt":"e5m2"})", "'e5m2'"},
      {R"({"quant_method":"fp8","weight_block_size":[64,128]})", "must be [128, 128]"},
      {R"({"quant_method":"fp8","weight_block_size":["a",1e300]})", "must be [128, 128]"},
      {R"({"quant_method":"mxfp4","modules_to_not_convert":"lm_head"})", "array of names"},
      {R"({"quant_method":"mxfp4","modules_to_not_convert":[1]})", "array of names"},
      {R"({"quant_method":"compressed-tensors","format":"marlin-24"})", "'marlin-24'"},
      {R"({"quant_method":"compressed-tensors","sparsity_config":{"format":"sparse-24"}})",
       "sparsity_config' is not empty"},
      {R"({"quant_method":"compressed-tensors","transform_config":{"config_groups":{}}})",
       "transform_config' is not empty"},
      {R"({"quant_method":"compressed-tensors","config_groups":{"a":5}})", "must hold objects"},
      {R"({"quant_method":"compressed-tensors",
           "config_groups":{"a":{"weights":{"num_bits":2,"type":"int"}}}})",
       "config_groups.a.weights.num_bits' is 2"},
      {R"({"quant_method":"compressed-tensors",
           "config_groups":{"a":{"weights":{"num_bits":4,"type":"float"}}}})",
       "num_bits' is 4 for floats"},
      {R"({"quant_method":"compressed-tensors",
           "config_groups":{"a":{"weights":{"num_bits":4,"strategy":"tensor_group"}}}})",
       "'tensor_group'"}};
  for (const auto& [text, message] : kRefused) {
    const auto got = read(text);
    ASSERT_FALSE(got) << text;
    EXPECT_THAT(got.error().message, HasSubstr(message));
    EXPECT_THAT(got.error().message, HasSubstr("config.json: key 'quantization_config"));
  }
}

}  // namespace
}  // namespace inferno::model
