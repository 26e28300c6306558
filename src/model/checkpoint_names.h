// The names and shapes of a model's tensors: GGUF's names, which Checkpoint speaks, and those of
// Hugging Face folders. Internal to Checkpoint.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/expert_stack.h"

namespace inferno::model {

// The shape that a tensor of this name must have in such a model; none when the name is not one of
// checkpoint.h's.
std::optional<std::vector<int64_t>> expected_shape(const ModelConfig& config,
                                                   std::string_view name);

// The names without which such a model cannot be computed: outside of layers, and of one layer.
std::vector<std::string> required_tensors(const ModelConfig& config);
std::vector<std::string> required_tensors(const ModelConfig& config, int layer);

// What a GGUF file calls it: the name itself but for gpt-oss, whose norm before the experts goes by
// its place, blk.N.post_attention_norm.weight.
std::string gguf_name(const ModelConfig& config, std::string_view name);

// Where a GGUF file holds the tensor of one expert within that of all: "blk.3.ffn_up.5.weight" is
// [5] of "blk.3.ffn_up_exps.weight". None when the name is not an expert's.
struct StackedName {
  std::string name;
  int expert;
};
std::optional<StackedName> stacked_name(const ModelConfig& config, std::string_view name);

// The same tensor in a folder whose decoder's names begin with `prefix` ("model."):
// "blk.3.attn_q.weight" is "model.layers.3.self_attn.q_proj.weight". None when folders have no such
// tensor. output.weight is "lm_head.weight", without the prefix.
std::optional<std::string> folder_name(const ModelConfig& config, std::string_view name,
                                       std::string_view prefix);

// Where a folder that keeps a layer's experts together (gpt-oss) has the tensor of one of them.
// None for other names and other models.
std::optional<ExpertSlice> folder_slice(const ModelConfig& config, std::string_view name,
                                        std::string_view prefix);

}  // namespace inferno::model
