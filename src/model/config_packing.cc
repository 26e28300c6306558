#include "model/config_packing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "model/config_fields.h"

namespace inferno::model {

namespace json = boost::json;

namespace {

constexpr int kMostGroup = 1 << 20;

void check_bits(JsonFields& fields, std::string_view key) {
  const int bits = fields.integer(key, {0, 64});
  if (bits != 4 && bits != 8) fields.refuse(key, "is {}, 4 and 8 are supported", bits);
}

WeightPacking read_gptq(JsonFields& fields) {
  check_bits(fields, "bits");
  fields.integer("group_size", {-1, kMostGroup}, -1);
  const std::string form = fields.text("checkpoint_format", "gptq");
  if (form != "gptq" && form != "gptq_v2") {
    fields.refuse("checkpoint_format", "is '{}', gptq and gptq_v2 are supported", form);
  }
  return form == "gptq" ? WeightPacking::kGptq : WeightPacking::kGptqV2;
}

WeightPacking read_awq(JsonFields& fields) {
  const int bits = fields.integer("bits", {0, 64}, 4);
  if (bits != 4) fields.refuse("bits", "is {}, 4 is supported", bits);
  const std::string version = fields.text("version", "gemm");
  if (version != "gemm" && version != "GEMM") {
    fields.refuse("version", "is '{}', gemm is supported", version);
  }
  if (!fields.flag("zero_point", ConfigFields::Default::kTrue)) {
    fields.refuse("zero_point", "is false, which is not supported");
  }
  return WeightPacking::kAwq;
}

WeightPacking read_fp8(JsonFields& fields) {
  const std::string form = fields.text("fmt", "e4m3");
  if (form != "e4m3") fields.refuse("fmt", "is '{}', e4m3 is supported", form);
  if (!fields.has("weight_block_size")) return WeightPacking::kFp8;
  const json::array* block = fields.array("weight_block_size");
  const bool is_known =
      block != nullptr && block->size() == 2 &&
      std::ranges::all_of(*block, [](const json::value& length) {
        boost::system::error_code error;
        return length.is_number() && length.to_number<int64_t>(error) == 128 && !error;
      });
  if (!is_known) fields.refuse("weight_block_size", "must be [128, 128]");
  return WeightPacking::kFp8;
}

// Which modules are packed is seen by their tensors.
WeightPacking read_mxfp4(JsonFields& fields) {
  const json::array* left = fields.array("modules_to_not_convert");
  const bool is_list = left != nullptr && std::ranges::all_of(*left, [](const json::value& name) {
                         return name.is_string();
                       });
  if (fields.has("modules_to_not_convert") && !is_list) {
    fields.refuse("modules_to_not_convert", "must be an array of names");
  }
  return WeightPacking::kMxfp4;
}

// The weights of one group of compressed-tensors.
void check_weights(JsonFields& weights) {
  const std::string type = weights.text("type", "int");
  if (type == "int") {
    check_bits(weights, "num_bits");
  } else if (type == "float") {
    const int bits = weights.integer("num_bits", {0, 64});
    if (bits != 8) weights.refuse("num_bits", "is {} for floats, 8 is supported", bits);
  } else {
    weights.refuse("type", "is '{}', int and float are supported", type);
  }
  constexpr std::array<std::string_view, 4> kStrategies = {"tensor", "channel", "group", "block"};
  const std::string strategy = weights.text("strategy", "tensor");
  if (std::ranges::find(kStrategies, strategy) == kStrategies.end()) {
    weights.refuse("strategy", "is '{}', tensor, channel, group and block are supported", strategy);
  }
}

void check_format(JsonFields& fields) {
  constexpr std::array<std::string_view, 5> kFormats = {"dense", "pack-quantized", "int-quantized",
                                                        "naive-quantized", "float-quantized"};
  const std::string format = fields.text("format", "dense");
  if (std::ranges::find(kFormats, format) == kFormats.end()) {
    fields.refuse("format", "is '{}', {} are supported", format, fmt::join(kFormats, ", "));
  }
}

WeightPacking read_compressed(JsonFields& fields, std::string_view label) {
  check_format(fields);
  for (const std::string_view key : {"sparsity_config", "transform_config"}) {
    const json::object* extra = fields.object(key);
    if (extra == nullptr || extra->empty()) continue;
    const json::value* format = extra->if_contains("format");
    const bool is_dense =
        format != nullptr && format->is_string() && format->get_string() == "dense";
    if (!is_dense) fields.refuse(key, "is not empty, which is not supported");
  }
  const json::object* groups = fields.object("config_groups");
  if (groups == nullptr) return WeightPacking::kCompressedTensors;
  for (const auto& member : *groups) {
    const std::string prefix =
        fmt::format("quantization_config.config_groups.{}.", std::string_view(member.key()));
    const json::object* group = member.value().if_object();
    if (group == nullptr) {
      fields.refuse("config_groups", "must hold objects");
      continue;
    }
    JsonFields group_fields(*group, label, prefix);
    check_format(group_fields);
    if (group_fields.error()) fields.keep(*group_fields.error());
    const json::object* weights = group_fields.object("weights");
    if (weights == nullptr) continue;  // of activations only
    JsonFields weight_fields(*weights, label, prefix + "weights.");
    check_weights(weight_fields);
    if (weight_fields.error()) fields.keep(*weight_fields.error());
  }
  return WeightPacking::kCompressedTensors;
}

}  // namespace

Result<WeightPacking> packing_from_json(const json::object& json, std::string_view label) {
  JsonFields fields(json, label, "quantization_config.");
  const std::string method = fields.text("quant_method", "");
  WeightPacking packing = WeightPacking::kNone;
  if (method == "gptq") {
    packing = read_gptq(fields);
  } else if (method == "awq") {
    packing = read_awq(fields);
  } else if (method == "fp8" || method == "fbgemm_fp8") {
    packing = read_fp8(fields);
  } else if (method == "mxfp4") {
    packing = read_mxfp4(fields);
  } else if (method == "compressed-tensors") {
    packing = read_compressed(fields, label);
  } else {
    fields.refuse("quant_method",
                  "is '{}', gptq, awq, fp8, fbgemm_fp8, mxfp4 and compressed-tensors are supported",
                  method);
  }
  if (fields.error()) return std::unexpected(*fields.error());
  return packing;
}

}  // namespace inferno::model
