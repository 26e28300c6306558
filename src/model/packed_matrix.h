// Matrices of a Hugging Face folder that several tensors hold together: integer codes with scales,
// or 8-bit floats with scales. W [outputs N, inputs K], groups of G inputs share a scale:
//
//   GPTQ        qweight i32 [K b / 32, N], scales [K / G, N], qzeros i32 [K / G, N b / 32],
//               g_idx i32 [K]: the group of each input; b is 4 or 8; values from the lowest bits up
//   AWQ         qweight i32 [K, N / 8], scales [K / G, N], qzeros i32 [K / G, N / 8]; the eight
//               values of a word are outputs 0 2 4 6 1 3 5 7, from the lowest bits up
//   compressed-tensors, packed    weight_packed i32 [N, K b / 32], weight_scale [N, K / G],
//               weight_zero_point i32 [N b / 32, K / G], weight_g_idx i32 [K]; stored plus 2^(b-1)
//   ... integers  weight i8 [N, K], weight_scale [N or 1, K / G or 1], weight_zero_point i8, alike
//   fp8         weight e4m3 [N, K], weight_scale or weight_scale_inv (a factor all the same) for
//               all, for each output, or for each block of 128 by 128
//
//   w = scale * (code - zero)
//
// Sizes are read from the shapes, so matrices of one folder may differ in bits and groups.
//
// Sources: AutoGPTQ and GPTQModel (qlinear pack), AutoAWQ (WQLinear_GEMM), compressed-tensors
// (pack_to_int32), transformers (finegrained fp8).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/config.h"
#include "model/matrix_source.h"
#include "model/safetensors.h"

namespace inferno::model {

enum class PackedForm : uint8_t { kGptq, kAwq, kPackedRows, kInt8, kFp8 };

// The tensors of one such matrix. Whoever made it has checked dtypes and shapes against each other
// and against outputs and inputs.
struct PackedParts {
  PackedForm form = PackedForm::kGptq;
  std::string name;  // without the part: "model.layers.0.mlp.up_proj"
  int outputs = 0;
  int inputs = 0;
  int bits = 8;
  int groups = 1;            // along the inputs
  int group_inputs = 0;      // inputs per group
  int group_outputs = 1;     // outputs that share a scale
  int stored_zero_adds = 0;  // GPTQ's first version stores zeros less 1
  const SafetensorsEntry* codes = nullptr;
  const SafetensorsEntry* scales = nullptr;
  const SafetensorsEntry* zeros = nullptr;  // null: the middle code
  const SafetensorsEntry* g_idx = nullptr;  // null: groups in the order of inputs
};

// The parts of the matrix whose tensors' names begin with `name`; none when there is no such
// matrix, or when NAME.weight is a plain tensor of floats. kCorrupt when parts are missing or do
// not fit, kInvalid when they mean something that is not supported; errors name the tensor.
Result<std::optional<PackedParts>> find_packed(const Safetensors& file, WeightPacking packing,
                                               const std::string& name, MatrixSize size);

// The matrix of these parts, packed so:
//   4 bits               kQ4, with integer zeros per group where they are not all 8      exact
//   8 bits, zero 128     kQ8                                                             exact
//   the rest: inputs in another order than their groups (act-order), groups that are no multiple
//   of 32, 8 bits with other zeros: float16 (bfloat16 where scales are not float16)      rounded
//   fp8                  bfloat16: its range, 1/8 of fp8's own step at most              rounded
// Scales of 32 bits become float16 or bfloat16, whichever holds them all exactly; if neither does,
// float16 when all are within its normal range, else bfloat16: a factor within 2^-11 or 2^-9 of 1.
// Scales for activations are not used: activations are quantized in blocks of their own.
// Reads zeros, order and 32-bit scales to choose the packed format.
// kCorrupt when an input's group does not exist. The parts' file must outlive it.
Result<std::unique_ptr<MatrixSource>> open_packed(const PackedParts& parts);

}  // namespace inferno::model
