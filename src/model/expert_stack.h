// The experts of a Hugging Face folder that keeps those of a layer in one tensor: gpt-oss. Gate and
// up are the even and the odd outputs of one matrix.
//
//   floats   gate_up_proj [X, D, 2 F]                   down_proj [X, F, D]: inputs by outputs
//   MXFP4    gate_up_proj_blocks u8 [X, 2 F, D / 32, 16]   down_proj_blocks u8 [X, D, F / 32, 16]
//            gate_up_proj_scales u8 [X, 2 F, D / 32]       down_proj_scales u8 [X, D, F / 32]
//   biases   gate_up_proj_bias [X, 2 F]                 down_proj_bias [X, D]
//
// A block holds 32 inputs as codes of 4 bits, input 2 i in the low and 2 i + 1 in the high half of
// byte i: 0, 1/2, 1, 3/2, 2, 3, 4, 6, and minus these; a scale s means 2^(s - 127).
//
// Sources: GptOssExperts and convert_moe_packed_tensors() of transformers; "OCP Microscaling
// Formats (MX) Specification", version 1.0.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/matrix_source.h"
#include "model/safetensors.h"

namespace inferno::model {

// One expert's matrix, or its bias, within such a stack: its outputs are every step-th of the
// stack's, from `first` on.
struct ExpertSlice {
  std::string stack;  // what the tensors' names begin with: "model.layers.3.mlp.experts.down_proj"
  int expert_count = 0;  // X
  int expert = 0;
  MatrixSize size{};
  int first = 0;
  int step = 1;
  bool is_bias = false;
};

// The matrix: MXFP4 as it is, floats transposed, both exact. kNotFound when there is none, kCorrupt
// when shapes do not fit, kInvalid for another dtype; errors name the tensor. The file must outlive
// it. The bytes that gate and up share count as up's, which is to be packed last.
// Requires: !slice.is_bias
Result<std::unique_ptr<MatrixSource>> expert_matrix(const Safetensors& file,
                                                    const ExpertSlice& slice);

// The bias [slice.size.outputs], with errors as above.
Result<std::vector<float>> expert_bias(const Safetensors& file, const ExpertSlice& slice);

}  // namespace inferno::model
