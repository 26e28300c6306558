// Experts of one tensor: written here by naive writers, and those of the conformance model.
#include "model/expert_stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/conformance_data.h"
#include "base/sizes.h"
#include "kernel/encode.h"
#include "kernel/matmul_test_data.h"
#include "model/checkpoint.h"
#include "model/safetensors_test_writer.h"
#include "model/sha256_test_data.h"

namespace inferno::model {
namespace {

namespace fs = std::filesystem;
using kernel::TensorType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kExperts = 3;

std::vector<float> stacked_values(const MatrixSource& matrix) {
  std::vector<float> values(as_size(matrix.shape().n) * as_size(matrix.shape().k));
  matrix.read({0, matrix.shape().n}, values.data());
  return values;
}

// What a tensor [n, k] of these bytes becomes when packed.
std::vector<uint8_t> packed_tensor(TensorType type, MatrixSize size,
                                   const std::vector<uint8_t>& bytes) {
  const kernel::PackedTensor packed = kernel::packed(type, size.outputs, size.inputs, bytes);
  const uint8_t* data = packed.matrix.data;
  return {data, data + kernel::packed_bytes(packed.matrix)};
}

// Panels one after the other and all at once must be the same.
std::vector<uint8_t> packed_matrix(const MatrixSource& matrix) {
  const size_t bytes = kernel::packed_bytes(matrix.shape());
  const kernel::AlignedBytes at_once(bytes), in_turn(bytes);
  const int panels = (matrix.shape().n + 15) / 16;
  matrix.pack({0, panels}, at_once.data());
  for (int panel = panels - 1; panel >= 0; --panel)
    matrix.pack({panel, panel + 1}, in_turn.data());
  EXPECT_EQ(0, std::memcmp(at_once.data(), in_turn.data(), bytes));
  return {at_once.data(), at_once.data() + bytes};
}

ExpertSlice slice_of(const std::string& stack, int expert, MatrixSize size) {
  return {.stack = stack, .expert_count = kExperts, .expert = expert, .size = size};
}

// Gate (first 0) or up (first 1).
ExpertSlice half_of(const std::string& stack, int expert, MatrixSize size, int first) {
  ExpertSlice slice = slice_of(stack, expert, size);
  slice.first = first;
  slice.step = 2;
  return slice;
}

// A file with these tensors that stays where it is.
struct File {
  explicit File(const Parts& parts)
      : bytes(file_of(parts)), tensors(*Safetensors::parse(bytes, "file")) {}
  std::vector<uint8_t> bytes;
  Safetensors tensors;
};

// --- floats -------------------------------------------------------------------------------------

// A stack [X, inputs, outputs] of numbers that differ: small whole ones, exact in every type.
std::vector<float> counted_stack(MatrixSize size) {
  std::vector<float> values(as_size(kExperts) * as_size(size.inputs) * as_size(size.outputs));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i % 251) - 125.0f;
  return values;
}

Part float_part(const std::string& dtype, std::vector<int64_t> shape,
                const std::vector<float>& values) {
  if (dtype == "F32") return {dtype, std::move(shape), bytes_of(values)};
  std::vector<uint16_t> halves;
  for (const float value : values)
    halves.push_back(dtype == "F16" ? kernel::f16_of(value) : kernel::bf16_of(value));
  return {dtype, std::move(shape), bytes_of(halves)};
}

class FloatStack : public ::testing::TestWithParam<std::pair<const char*, TensorType>> {};

TEST_P(FloatStack, IsTransposedAndTakenApartAsItIs) {
  const auto& [dtype, type] = GetParam();
  constexpr MatrixSize kSize = {.outputs = 21, .inputs = 13};
  const std::vector<float> down = counted_stack(kSize);
  const std::vector<float> both = counted_stack({.outputs = 42, .inputs = 13});
  const File file(
      {{"d", float_part(dtype, {3, 13, 21}, down)}, {"gu", float_part(dtype, {3, 13, 42}, both)}});
  for (int expert = 0; expert < kExperts; ++expert) {
    for (const ExpertSlice& slice : {slice_of("d", expert, kSize), half_of("gu", expert, kSize, 0),
                                     half_of("gu", expert, kSize, 1)}) {
      const auto matrix = expert_matrix(file.tensors, slice);
      ASSERT_TRUE(matrix) << matrix.error().message;
      std::vector<float> expected;
      for (int o = 0; o < kSize.outputs; ++o) {
        for (int i = 0; i < kSize.inputs; ++i) {
          const size_t row = as_size(expert * kSize.inputs + i) * as_size(kSize.outputs);
          const size_t output = as_size(o * slice.step + slice.first);
          expected.push_back((slice.step == 1 ? down : both)[row * as_size(slice.step) + output]);
        }
      }
      EXPECT_EQ(stacked_values(**matrix), expected);
      EXPECT_FALSE((*matrix)->is_quantized());
      EXPECT_EQ(packed_matrix(**matrix),
                packed_tensor(type, kSize, float_part(dtype, {}, expected).bytes));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, FloatStack,
                         ::testing::Values(std::pair{"F32", TensorType::kF32},
                                           std::pair{"F16", TensorType::kF16},
                                           std::pair{"BF16", TensorType::kBF16}),
                         [](const auto& param) { return std::string(param.param.first); });

TEST(ExpertBias, IsTakenApartLikeTheOutputs) {
  const File file({{"gu_bias", float_part("BF16", {3, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})},
                   {"d_bias", float_part("F32", {3, 2}, {0, 1, 2, 3, 4, 5})}});
  constexpr MatrixSize kSize = {.outputs = 2, .inputs = 5};
  EXPECT_THAT(*expert_bias(file.tensors, half_of("gu", 1, kSize, 0)), ElementsAre(4, 6));
  EXPECT_THAT(*expert_bias(file.tensors, half_of("gu", 2, kSize, 1)), ElementsAre(9, 11));
  EXPECT_THAT(*expert_bias(file.tensors, slice_of("d", 2, kSize)), ElementsAre(4, 5));
}

// --- MXFP4 --------------------------------------------------------------------------------------

// Codes [X, outputs, inputs] and scales [X, outputs, inputs / 32], at random.
struct Mxfp4Stack {
  explicit Mxfp4Stack(MatrixSize stack_size) : size(stack_size) {
    std::mt19937 random(5);
    for (int i = 0; i < kExperts * size.outputs * size.inputs; ++i)
      codes.push_back(static_cast<uint8_t>(random() % 16));
    for (int i = 0; i < kExperts * size.outputs * size.inputs / 32; ++i)
      scales.push_back(static_cast<uint8_t>(i % 7 == 0 ? random() % 256 : 120 + random() % 10));
  }

  Parts parts(const std::string& name) const {
    std::vector<uint8_t> blocks;
    for (size_t i = 0; i < codes.size(); i += 2)
      blocks.push_back(static_cast<uint8_t>(codes[i] | codes[i + 1] << 4));
    const int64_t outputs = size.outputs, groups = size.inputs / 32;
    return {{name + "_blocks", {"U8", {kExperts, outputs, groups, 16}, blocks}},
            {name + "_scales", {"U8", {kExperts, outputs, groups}, scales}}};
  }

  // Output o of an expert as a row of GGUF's MXFP4.
  std::vector<uint8_t> row(int expert, int o) const {
    std::vector<uint8_t> bytes;
    const size_t first = as_size((expert * size.outputs + o) * size.inputs);
    for (size_t at = first; at < first + as_size(size.inputs); at += 32) {
      bytes.push_back(scales[at / 32]);
      for (size_t i = 0; i < 16; ++i)
        bytes.push_back(static_cast<uint8_t>(codes[at + i] | codes[at + i + 16] << 4));
    }
    return bytes;
  }

  MatrixSize size;
  std::vector<uint8_t> codes, scales;
};

TEST(Mxfp4Experts, PackAndReadAsTheTypeOfGguf) {
  constexpr MatrixSize kSize = {.outputs = 21, .inputs = 96};
  const Mxfp4Stack down(kSize), both({.outputs = 42, .inputs = 96});
  Parts parts = down.parts("d");
  parts.merge(both.parts("gu"));
  const File file(parts);
  for (int expert = 0; expert < kExperts; ++expert) {
    for (const ExpertSlice& slice : {slice_of("d", expert, kSize), half_of("gu", expert, kSize, 0),
                                     half_of("gu", expert, kSize, 1)}) {
      const auto matrix = expert_matrix(file.tensors, slice);
      ASSERT_TRUE(matrix) << matrix.error().message;
      std::vector<uint8_t> expected;
      for (int o = 0; o < kSize.outputs; ++o) {
        const auto row = (slice.step == 1 ? down : both).row(expert, o * slice.step + slice.first);
        expected.insert(expected.end(), row.begin(), row.end());
      }
      EXPECT_TRUE((*matrix)->is_quantized());
      EXPECT_EQ((*matrix)->shape().format, kernel::PackedFormat::kQ4);
      EXPECT_EQ(packed_matrix(**matrix), packed_tensor(TensorType::kMXFP4, kSize, expected));
      std::vector<float> values(as_size(kSize.outputs) * as_size(kSize.inputs));
      ASSERT_TRUE(
          kernel::dequantize(TensorType::kMXFP4, expected.data(), values.size(), values.data()));
      EXPECT_EQ(stacked_values(**matrix), values);
    }
  }
}

// --- bytes, errors ------------------------------------------------------------------------------

// What is given back after gate, up and down have been packed is all of the expert, and gate gives
// nothing back that up still needs.
TEST(ExpertStack, BytesAreThoseOfTheExpertAndSharedOnesAreUps) {
  constexpr MatrixSize kSize = {.outputs = 20, .inputs = 32};
  const Mxfp4Stack stack({.outputs = 40, .inputs = 32});
  Parts parts = stack.parts("gu");
  parts["f"] = float_part("F32", {3, 32, 20}, counted_stack(kSize));
  const File file(parts);
  const auto gate = expert_matrix(file.tensors, half_of("gu", 1, kSize, 0));
  const auto up = expert_matrix(file.tensors, half_of("gu", 1, kSize, 1));
  const auto down = expert_matrix(file.tensors, slice_of("f", 1, kSize));
  ASSERT_TRUE(gate && up && down);
  EXPECT_TRUE((*gate)->bytes_of({0, 20}).empty());
  const uint8_t* blocks = file.tensors.find("gu_blocks")->data + 40 * 16;
  const auto some = (*up)->bytes_of({16, 4});
  ASSERT_EQ(some.size(), 1u);
  EXPECT_EQ(some[0].data(), blocks + 32 * 16);
  EXPECT_EQ(some[0].size(), 8u * 16);
  const auto all = (*up)->bytes_of({0, 20});
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].data(), blocks);
  EXPECT_EQ(all[0].size(), 40u * 16);
  EXPECT_EQ(all[1].data(), file.tensors.find("gu_scales")->data + 40);
  EXPECT_EQ(all[1].size(), 40u);
  EXPECT_TRUE((*down)->bytes_of({0, 16}).empty());
  EXPECT_EQ((*down)->bytes_of({0, 20}).at(0).size(), 20u * 32 * 4);
}

TEST(ExpertStack, NamesTheTensorThatIsMissingOrDoesNotFit) {
  constexpr MatrixSize kSize = {.outputs = 2, .inputs = 32};
  int inputs = kSize.inputs;
  const auto error = [&](const Parts& parts) {
    const File file(parts);
    const auto matrix =
        expert_matrix(file.tensors, slice_of("m", 0, {.outputs = 2, .inputs = inputs}));
    return matrix ? Error{Fault::kInternal, "opened", {}} : matrix.error();
  };
  EXPECT_EQ(error({}).fault, Fault::kNotFound);
  EXPECT_THAT(error({}).message, HasSubstr("'m' is missing"));
  const std::vector<float> floats(3 * 32 * 2);
  EXPECT_EQ(error({{"m", float_part("F32", {3, 32, 2}, floats)}}).message, "opened");
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{3, 2, 32}, {2, 48, 2}, {6, 16, 2}, {96, 2}, {3, 32, 2, 1}}) {
    const Error refused = error({{"m", float_part("F32", shape, floats)}});
    EXPECT_EQ(refused.fault, Fault::kCorrupt);
    EXPECT_THAT(refused.message,
                HasSubstr("'m' has shape " + shape_text(shape) + ", expected [3, 32, 2]"));
  }
  EXPECT_THAT(error({{"m", {"I32", {3, 32, 2}, bytes_of(floats)}}}).message,
              HasSubstr("'m' has dtype I32, F32, F16 and BF16 are supported"));

  const Parts packed = Mxfp4Stack(kSize).parts("m");
  EXPECT_EQ(error(packed).message, "opened");
  Parts changed = packed;
  changed.erase("m_scales");
  EXPECT_THAT(error(changed).message, HasSubstr("'m_scales' is missing"));
  changed = packed;
  changed["m_scales"].shape = {2, 3, 1};
  EXPECT_THAT(error(changed).message, HasSubstr("'m_scales' has shape [2, 3, 1], expected [3, 2"));
  changed = packed;
  changed["m_blocks"].shape = {3, 2, 2, 8};
  EXPECT_THAT(error(changed).message, HasSubstr("'m_blocks' has shape [3, 2, 2, 8], expected"));
  changed = packed;
  changed["m_blocks"].dtype = "I8";
  EXPECT_THAT(error(changed).message, HasSubstr("'m_blocks' has dtype I8, U8 is supported"));
  inputs = 33;
  EXPECT_THAT(error(packed).message,
              HasSubstr("'m_blocks' is of 33 inputs, must be a multiple of 32"));
}

TEST(ExpertBias, NamesTheTensorThatIsMissingOrDoesNotFit) {
  const auto message = [](const Parts& parts) {
    const File file(parts);
    const auto bias = expert_bias(file.tensors, half_of("m", 0, {.outputs = 2, .inputs = 5}, 1));
    return bias ? std::string("read") : bias.error().message;
  };
  EXPECT_THAT(message({}), HasSubstr("'m_bias' is missing"));
  EXPECT_THAT(message({{"m_bias", float_part("F32", {3, 2}, std::vector<float>(6))}}),
              HasSubstr("'m_bias' has shape [3, 2], expected [3, 4]"));
  EXPECT_THAT(message({{"m_bias", {"U8", {3, 4}, std::vector<uint8_t>(12)}}}),
              HasSubstr("'m_bias' has dtype U8"));
}

// --- the conformance model ----------------------------------------------------------------------

struct PlaceInStack {
  int expert, first, step;
};

// Writes an expert's matrix into floats [X, inputs, outputs * step], where gate and up alternate.
void put_transposed(const MatrixSource& matrix, PlaceInStack at, std::vector<float>& stack) {
  const std::vector<float> values = stacked_values(matrix);
  const size_t inputs = as_size(matrix.shape().k), outputs = as_size(matrix.shape().n);
  const size_t step = as_size(at.step);
  for (size_t o = 0; o < outputs; ++o) {
    for (size_t i = 0; i < inputs; ++i) {
      stack[((as_size(at.expert) * inputs + i) * outputs + o) * step + as_size(at.first)] =
          values[o * inputs + i];
    }
  }
}

class Mxfp4Conformance : public ::testing::TestWithParam<const char*> {};

TEST_P(Mxfp4Conformance, EveryMatrixHasTheExpectedBits) {
  const fs::path folder = conformance_data("models") / "gptoss-mxfp4";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  std::ifstream file(folder / "golden.json");
  const boost::json::value golden = boost::json::parse(file);
  const auto checkpoint = Checkpoint::open(folder / GetParam());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const ModelConfig& config = (*checkpoint)->config();
  int checked = 0;
  for (const auto& [name, expected] : golden.at("tensors").as_object()) {
    const bool is_down = name.ends_with("down_proj");
    const int step = is_down ? 1 : 2;
    const auto layer = std::string_view(name).substr(std::string_view("model.layers.").size());
    std::vector<float> stack(as_size(config.expert_count * step) * as_size(config.width) *
                             as_size(config.expert_width));
    for (int expert = 0; expert < config.expert_count; ++expert) {
      for (int first = 0; first < step; ++first) {
        const auto matrix = (*checkpoint)
                                ->matrix(fmt::format("blk.{}.ffn_{}.{}.weight", layer[0],
                                                     is_down      ? "down"
                                                     : first == 0 ? "gate"
                                                                  : "up",
                                                     expert));
        ASSERT_TRUE(matrix) << matrix.error().message;
        put_transposed(**matrix, {.expert = expert, .first = first, .step = step}, stack);
      }
    }
    EXPECT_EQ(
        sha256({reinterpret_cast<const uint8_t*>(stack.data()), stack.size() * sizeof(float)}),
        std::string_view(expected.at("sha256_of_float32").as_string()))
        << name;
    ++checked;
  }
  EXPECT_EQ(checked, 2 * config.layer_count);
}

INSTANTIATE_TEST_SUITE_P(Forms, Mxfp4Conformance, ::testing::Values("hf", "model-mxfp4.gguf"));

}  // namespace
}  // namespace inferno::model
