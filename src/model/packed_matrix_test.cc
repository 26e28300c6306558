// Packed matrices of folders: written here by naive packers from random codes, and those of the
// conformance models.
#include "model/packed_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include "base/conformance_data.h"
#include "base/mapped_file.h"
#include "base/sizes.h"
#include "kernel/encode.h"
#include "kernel/matmul_test_data.h"
#include "model/checkpoint.h"
#include "model/safetensors_test_writer.h"
#include "model/sha256_test_data.h"

namespace inferno::model {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using ::testing::HasSubstr;

// Codes, zeros and scales of a matrix, and what they mean.
struct Coded {
  int n = 0, k = 0, bits = 4, group = 32;
  std::vector<int> code = {};        // [n, k]
  std::vector<int> zero = {};        // [n, groups]
  std::vector<uint16_t> scale = {};  // [n, groups] float16
  std::vector<int> group_of = {};    // [k]
  int groups() const { return k / group; }
  float scale_at(int o, int g) const {
    float value = 0.0f;
    const uint16_t bits_of_it = scale[as_size(o * groups() + g)];
    kernel::dequantize(kernel::TensorType::kF16, reinterpret_cast<const uint8_t*>(&bits_of_it), 1,
                       &value);
    return value;
  }
  float value(int o, int i) const {
    const int g = group_of[as_size(i)];
    return scale_at(o, g) *
           static_cast<float>(code[as_size(o * k + i)] - zero[as_size(o * groups() + g)]);
  }
};

enum class Zeros : uint8_t { kMiddle, kAny };

Coded random_coded(int n, int k, int bits, int group, Zeros zeros) {
  std::mt19937 random(static_cast<unsigned>(n * 31 + k + bits + group));
  Coded coded{.n = n, .k = k, .bits = bits, .group = group};
  for (int i = 0; i < n * k; ++i)
    coded.code.push_back(static_cast<int>(random() % (1U << bits)));
  for (int i = 0; i < n * coded.groups(); ++i) {
    const int middle = 1 << (bits - 1);
    coded.zero.push_back(zeros == Zeros::kMiddle ? middle
                                                 : static_cast<int>(random() % (1U << bits)));
    coded.scale.push_back(static_cast<uint16_t>(0x1C00 + random() % 0x800));
  }
  for (int i = 0; i < k; ++i)
    coded.group_of.push_back(i / group);
  return coded;
}

// Appends values of `bits` to words, from the lowest bits up.
void put_bits(std::vector<uint32_t>& words, size_t word, int place, int bits, int value) {
  if (words.size() <= word) words.resize(word + 1);
  words[word] |= (static_cast<uint32_t>(value) & ((1U << bits) - 1)) << (place * bits);
}

Part column_scales(const Coded& c) {
  std::vector<uint16_t> scales;
  for (int g = 0; g < c.groups(); ++g) {
    for (int o = 0; o < c.n; ++o)
      scales.push_back(c.scale[as_size(o * c.groups() + g)]);
  }
  return {"F16", {c.groups(), c.n}, bytes_of(scales)};
}

// Version 1 stores zeros less 1.
Parts gptq_of(const Coded& c, int version) {
  const int per = 32 / c.bits;
  std::vector<uint32_t> codes(as_size(c.k / per * c.n));
  const int zero_words = (c.n + per - 1) / per;
  std::vector<uint32_t> zeros(as_size(zero_words * c.groups()));
  for (int o = 0; o < c.n; ++o) {
    for (int i = 0; i < c.k; ++i) {
      put_bits(codes, as_size(i / per * c.n + o), i % per, c.bits, c.code[as_size(o * c.k + i)]);
    }
    for (int g = 0; g < c.groups(); ++g) {
      const int zero = c.zero[as_size(o * c.groups() + g)] - (version == 1 ? 1 : 0);
      put_bits(zeros, as_size(g * zero_words + o / per), o % per, c.bits, zero);
    }
  }
  return {{"m.qweight", {"I32", {c.k / per, c.n}, bytes_of(codes)}},
          {"m.qzeros", {"I32", {c.groups(), zero_words}, bytes_of(zeros)}},
          {"m.scales", column_scales(c)},
          {"m.g_idx", {"I32", {c.k}, bytes_of(c.group_of)}}};
}

Parts awq_of(const Coded& c) {
  constexpr int kOutputs[8] = {0, 2, 4, 6, 1, 3, 5, 7};  // of a word, from the lowest bits up
  std::vector<uint32_t> codes, zeros;
  for (int i = 0; i < c.k; ++i) {
    for (int o = 0; o < c.n; ++o) {
      const int output = o / 8 * 8 + kOutputs[o % 8];
      put_bits(codes, as_size(i * (c.n / 8) + o / 8), o % 8, 4, c.code[as_size(output * c.k + i)]);
    }
  }
  for (int g = 0; g < c.groups(); ++g) {
    for (int o = 0; o < c.n; ++o) {
      const int output = o / 8 * 8 + kOutputs[o % 8];
      put_bits(zeros, as_size(g * (c.n / 8) + o / 8), o % 8, 4,
               c.zero[as_size(output * c.groups() + g)]);
    }
  }
  return {{"m.qweight", {"I32", {c.k, c.n / 8}, bytes_of(codes)}},
          {"m.qzeros", {"I32", {c.groups(), c.n / 8}, bytes_of(zeros)}},
          {"m.scales", column_scales(c)}};
}

Parts packed_rows_of(const Coded& c) {
  const int per = 32 / c.bits;
  std::vector<uint32_t> codes, zeros;
  for (int o = 0; o < c.n; ++o) {
    for (int i = 0; i < c.k; ++i) {
      put_bits(codes, as_size(o * (c.k / per) + i / per), i % per, c.bits,
               c.code[as_size(o * c.k + i)]);
    }
    for (int g = 0; g < c.groups(); ++g) {
      put_bits(zeros, as_size(o / per * c.groups() + g), o % per, c.bits,
               c.zero[as_size(o * c.groups() + g)]);
    }
  }
  return {{"m.weight_packed", {"I32", {c.n, c.k / per}, bytes_of(codes)}},
          {"m.weight_zero_point", {"I32", {(c.n + per - 1) / per, c.groups()}, bytes_of(zeros)}},
          {"m.weight_scale", {"F16", {c.n, c.groups()}, bytes_of(c.scale)}}};
}

Parts int8_of(const Coded& c) {
  std::vector<int8_t> codes, zeros;
  for (const int code : c.code)
    codes.push_back(static_cast<int8_t>(code - 128));
  for (const int zero : c.zero)
    zeros.push_back(static_cast<int8_t>(zero - 128));
  return {{"m.weight", {"I8", {c.n, c.k}, bytes_of(codes)}},
          {"m.weight_zero_point", {"I8", {c.n, c.groups()}, bytes_of(zeros)}},
          {"m.weight_scale", {"F16", {c.n, c.groups()}, bytes_of(c.scale)}}};
}

// A file in memory with the one matrix "m".
struct Opened {
  std::vector<uint8_t> bytes;
  std::optional<Safetensors> file;
  std::unique_ptr<MatrixSource> matrix;
  std::string error;
};

Opened open(const Parts& parts, WeightPacking packing, MatrixSize size) {
  Opened opened{.bytes = file_of(parts), .file = {}, .matrix = {}, .error = {}};
  Result<Safetensors> file = Safetensors::parse(opened.bytes, "file");
  EXPECT_TRUE(file) << file.error().message;
  if (!file) return opened;
  opened.file = std::move(*file);
  const auto found = find_packed(*opened.file, packing, "m", size);
  if (!found || !*found) {
    opened.error = found ? "not packed" : found.error().message;
    return opened;
  }
  auto matrix = open_packed(**found);
  if (matrix) {
    opened.matrix = std::move(*matrix);
  } else {
    opened.error = matrix.error().message;
  }
  return opened;
}

std::vector<float> values_of(const MatrixSource& matrix) {
  std::vector<float> values(as_size(matrix.shape().n) * as_size(matrix.shape().k));
  matrix.read({0, matrix.shape().n}, values.data());
  return values;
}

// The packed matrix times random rows, against the sum over its values; `rounding` is how far a
// weight may be from its packed one, relatively.
void expect_products(const MatrixSource& matrix, float rounding) {
  const kernel::PackedMatrix& shape = matrix.shape();
  const kernel::AlignedBytes data(kernel::packed_bytes(shape));
  const int panels = (shape.n + 15) / 16;
  matrix.pack({1, panels}, data.data());
  matrix.pack({0, 1}, data.data());
  kernel::PackedMatrix packed = shape;
  packed.data = data.data();
  std::mt19937 random(8);
  const int rows = 3;
  const auto kind = kernel::activation_kind(shape.format);
  const kernel::Activations x(kernel::random_floats(as_size(rows * shape.k), random), rows, shape.k,
                              kind);
  const std::vector<float> y = kernel::product(kernel::best_table(), packed, x.input());
  const std::vector<float> w = values_of(matrix);
  for (int r = 0; r < rows; ++r) {
    for (int o = 0; o < shape.n; ++o) {
      double sum = 0.0, size = 0.0;
      for (int i = 0; i < shape.k; ++i) {
        const size_t at = as_size(r * shape.k + i);
        double xi = static_cast<double>(x.input().floats[at]);
        if (x.is_rounded()) {
          xi = static_cast<double>(kernel::rounded_value(*x.input().rounded, r, i));
        }
        if (kind == kernel::ActivationKind::kBlock32) {
          const kernel::QuantizedRows& q = *x.input().quantized;
          xi = static_cast<double>(q.scale[at / 32]) * q.q[at];
        }
        const double term = xi * static_cast<double>(w[as_size(o * shape.k + i)]);
        sum += term;
        size += std::fabs(term);
      }
      EXPECT_NEAR(static_cast<double>(y[as_size(r * shape.n + o)]), sum,
                  size * static_cast<double>(rounding) + 1e-9)
          << "row " << r << " output " << o;
    }
  }
}

constexpr float kExact = 1e-6f;  // float32 sums only
constexpr float kRoundedToF16 = 0x1p-11f;
constexpr float kRoundedToBf16 = 0x1p-8f;

struct FormCase {
  const char* name;
  WeightPacking packing;
  Coded coded;
  std::function<Parts(const Coded&)> pack;
  kernel::PackedFormat format;
  float rounding = kExact;
};

void PrintTo(const FormCase& test, std::ostream* out) {
  *out << test.name;
}

class PackedMatrixForm : public ::testing::TestWithParam<FormCase> {};

TEST_P(PackedMatrixForm, HasTheValuesThatWerePackedAndMultipliesWithThem) {
  const FormCase& test = GetParam();
  const Coded& coded = test.coded;
  const Opened opened =
      open(test.pack(coded), test.packing, {.outputs = coded.n, .inputs = coded.k});
  ASSERT_TRUE(opened.matrix) << opened.error;
  EXPECT_EQ(opened.matrix->shape().format, test.format);
  const std::vector<float> values = values_of(*opened.matrix);
  for (int o = 0; o < coded.n; ++o) {
    for (int i = 0; i < coded.k; ++i)
      ASSERT_EQ(values[as_size(o * coded.k + i)], coded.value(o, i)) << o << ", " << i;
  }
  expect_products(*opened.matrix, test.rounding);
  size_t all = 0;
  for (const auto& bytes : opened.matrix->bytes_of({0, coded.n}))
    all += bytes.size();
  EXPECT_GT(all, as_size(coded.n * coded.k) * as_size(coded.bits) / 8);
}

Coded act_ordered(Coded coded) {
  std::mt19937 random(3);
  std::shuffle(coded.group_of.begin(), coded.group_of.end(), random);
  return coded;
}

INSTANTIATE_TEST_SUITE_P(
    Forms, PackedMatrixForm,
    ::testing::Values(
        FormCase{"Gptq4", WeightPacking::kGptq, random_coded(48, 128, 4, 32, Zeros::kMiddle),
                 [](const Coded& c) { return gptq_of(c, 1); }, kernel::PackedFormat::kQ4},
        FormCase{"Gptq4Zeros", WeightPacking::kGptq, random_coded(40, 192, 4, 64, Zeros::kAny),
                 [](const Coded& c) { return gptq_of(c, 1); }, kernel::PackedFormat::kQ4},
        FormCase{"GptqV2Zeros", WeightPacking::kGptqV2, random_coded(40, 256, 4, 128, Zeros::kAny),
                 [](const Coded& c) { return gptq_of(c, 2); }, kernel::PackedFormat::kQ4},
        FormCase{"Gptq8Channel", WeightPacking::kGptq,
                 random_coded(36, 160, 8, 160, Zeros::kMiddle),
                 [](const Coded& c) { return gptq_of(c, 1); }, kernel::PackedFormat::kQ8},
        FormCase{"Gptq8Zeros", WeightPacking::kGptq, random_coded(24, 64, 8, 32, Zeros::kAny),
                 [](const Coded& c) { return gptq_of(c, 1); }, kernel::PackedFormat::kF16,
                 kRoundedToF16},
        FormCase{"GptqOrdered", WeightPacking::kGptq,
                 act_ordered(random_coded(24, 96, 4, 32, Zeros::kAny)),
                 [](const Coded& c) { return gptq_of(c, 1); }, kernel::PackedFormat::kF16,
                 kRoundedToF16},
        FormCase{"GptqShortGroups", WeightPacking::kGptq, random_coded(24, 96, 4, 16, Zeros::kAny),
                 [](const Coded& c) { return gptq_of(c, 1); }, kernel::PackedFormat::kF16,
                 kRoundedToF16},
        FormCase{"Awq", WeightPacking::kAwq, random_coded(40, 128, 4, 64, Zeros::kAny), awq_of,
                 kernel::PackedFormat::kQ4},
        FormCase{"PackedRows4", WeightPacking::kCompressedTensors,
                 random_coded(21, 128, 4, 32, Zeros::kAny), packed_rows_of,
                 kernel::PackedFormat::kQ4},
        FormCase{"PackedRows8", WeightPacking::kCompressedTensors,
                 random_coded(21, 128, 8, 128, Zeros::kMiddle), packed_rows_of,
                 kernel::PackedFormat::kQ8},
        FormCase{"Int8", WeightPacking::kCompressedTensors,
                 random_coded(21, 128, 8, 128, Zeros::kMiddle), int8_of, kernel::PackedFormat::kQ8},
        FormCase{"Int8Zeros", WeightPacking::kCompressedTensors,
                 random_coded(21, 128, 8, 64, Zeros::kAny), int8_of, kernel::PackedFormat::kF16,
                 kRoundedToF16}),
    [](const auto& test) { return std::string(test.param.name); });

// --- fp8 ----------------------------------------------------------------------------------------

Parts fp8_of(int n, int k, const std::vector<int64_t>& scale_shape, const char* suffix) {
  std::mt19937 random(12);
  std::vector<uint8_t> codes(as_size(n * k));
  for (uint8_t& code : codes) {
    do {
      code = static_cast<uint8_t>(random());
    } while ((code & 127) == 127);
  }
  int64_t count = 1;
  for (const int64_t length : scale_shape)
    count *= length;
  std::vector<float> scales;
  for (int64_t i = 0; i < count; ++i)
    scales.push_back(0.001f * static_cast<float>(i + 1));
  return {{"m.weight", {"F8_E4M3", {n, k}, codes}},
          {std::string("m.") + suffix, {"F32", scale_shape, bytes_of(scales)}}};
}

TEST(PackedMatrixFp8, HasOneScaleForAllForEachOutputOrForEachBlock) {
  const int n = 160, k = 300;
  struct Case {
    std::vector<int64_t> shape;
    std::function<int(int, int)> index;  // of an element's scale
  };
  const std::vector<Case> cases = {{{}, [](int, int) { return 0; }},
                                   {{1}, [](int, int) { return 0; }},
                                   {{n, 1}, [](int o, int) { return o; }},
                                   {{n}, [](int o, int) { return o; }},
                                   {{2, 3}, [](int o, int i) { return o / 128 * 3 + i / 128; }}};
  for (const Case& test : cases) {
    const Parts parts = fp8_of(n, k, test.shape, "weight_scale_inv");
    const Opened opened = open(parts, WeightPacking::kFp8, {.outputs = n, .inputs = k});
    ASSERT_TRUE(opened.matrix) << opened.error;
    EXPECT_EQ(opened.matrix->shape().format, kernel::PackedFormat::kBF16);
    EXPECT_FALSE(opened.matrix->is_quantized());
    const std::vector<float> values = values_of(*opened.matrix);
    const std::vector<uint8_t>& codes = parts.at("m.weight").bytes;
    for (int o = 0; o < n; ++o) {
      for (int i = 0; i < k; ++i) {
        const uint8_t code = codes[as_size(o * k + i)];
        const int exponent = std::max(code >> 3 & 15, 1);
        const int mantissa = (code & 7) + ((code >> 3 & 15) != 0 ? 8 : 0);
        const float size = std::ldexp(static_cast<float>(mantissa), exponent - 10);
        const float scale = 0.001f * static_cast<float>(test.index(o, i) + 1);
        ASSERT_EQ(values[as_size(o * k + i)], ((code & 128) != 0 ? -size : size) * scale);
      }
    }
    expect_products(*opened.matrix, kRoundedToBf16);
  }
}

// --- what does not fit --------------------------------------------------------------------------

std::string packing_error(const Parts& parts, WeightPacking packing, MatrixSize size) {
  return open(parts, packing, size).error;
}

TEST(PackedMatrix, PartsThatDoNotFitAreNamed) {
  const Coded coded = random_coded(16, 64, 4, 32, Zeros::kAny);
  const MatrixSize size = {.outputs = 16, .inputs = 64};
  const auto gptq = [&](const std::function<void(Parts&)>& change) {
    Parts parts = gptq_of(coded, 1);
    change(parts);
    return packing_error(parts, WeightPacking::kGptq, size);
  };
  EXPECT_THAT(gptq([](Parts& p) { p.erase("m.scales"); }), HasSubstr("'m.scales' is missing"));
  EXPECT_THAT(gptq([](Parts& p) { p.erase("m.qzeros"); }), HasSubstr("'m.qzeros' is missing"));
  EXPECT_THAT(gptq([](Parts& p) { p["m.qweight"].shape = {16, 8}; }), HasSubstr("[words, 16]"));
  EXPECT_THAT(gptq([](Parts& p) { p["m.qweight"].dtype = "F32"; }),
              HasSubstr("'m.qweight' is F32"));
  EXPECT_THAT(gptq([](Parts& p) { p["m.scales"].shape = {16, 2}; }), HasSubstr("[groups, 16]"));
  EXPECT_THAT(gptq([](Parts& p) { p["m.scales"] = {"F16", {3, 16}, std::vector<uint8_t>(96)}; }),
              HasSubstr("divide 64 inputs"));
  EXPECT_THAT(gptq([](Parts& p) { p["m.scales"] = {"F16", {0, 16}, {}}; }),
              HasSubstr("divide 64 inputs"));
  EXPECT_THAT(gptq([](Parts& p) { p["m.qweight"] = {"I32", {0, 16}, {}}; }),
              HasSubstr("0 words for 64 codes"));
  EXPECT_THAT(gptq([](Parts& p) { p["m.qzeros"].shape = {4, 1}; }), HasSubstr("I32 [2, 2]"));
  EXPECT_THAT(gptq([](Parts& p) { p["m.g_idx"].shape = {8, 8}; }), HasSubstr("I32 [64]"));
  for (const int32_t group : {2, -1, 1 << 30}) {
    EXPECT_THAT(gptq([&](Parts& p) { std::memcpy(&p["m.g_idx"].bytes[12], &group, 4); }),
                HasSubstr(fmt::format("input 3 into group {}", group)));
  }
  EXPECT_THAT(gptq([](Parts& p) {  // 2 bits a code
                p["m.qweight"] = {"I32", {4, 16}, std::vector<uint8_t>(256)};
              }),
              HasSubstr("codes of 4 and 8 bits are supported"));
}

TEST(PackedMatrix, OtherFormsThatDoNotFitAreNamed) {
  const MatrixSize size = {.outputs = 16, .inputs = 64};
  Parts awq = awq_of(random_coded(16, 64, 4, 32, Zeros::kAny));
  EXPECT_THAT(packing_error(awq, WeightPacking::kAwq, {.outputs = 12, .inputs = 64}),
              HasSubstr("12 / 8"));
  awq.erase("m.qzeros");
  EXPECT_THAT(packing_error(awq, WeightPacking::kAwq, size), HasSubstr("'m.qzeros' is missing"));

  Parts rows = packed_rows_of(random_coded(16, 64, 4, 32, Zeros::kAny));
  rows["m.weight_zero_point"].shape = {1, 4};
  EXPECT_THAT(packing_error(rows, WeightPacking::kCompressedTensors, size),
              HasSubstr("I32 [2, 2]"));
  rows["m.weight_scale"].shape = {2, 16};
  EXPECT_THAT(packing_error(rows, WeightPacking::kCompressedTensors, size), HasSubstr("[16 or 1"));

  Parts int8 = int8_of(random_coded(16, 64, 8, 32, Zeros::kAny));
  EXPECT_THAT(packing_error(int8, WeightPacking::kCompressedTensors, {.outputs = 64, .inputs = 16}),
              HasSubstr("expected [64, 16]"));
  int8["m.weight_zero_point"] = {"I8", {1}, {0}};
  EXPECT_THAT(packing_error(int8, WeightPacking::kCompressedTensors, size),
              HasSubstr("I8 [16, 2]"));

  Parts fp8 = fp8_of(16, 64, {16, 1}, "weight_scale");
  EXPECT_EQ(packing_error(fp8, WeightPacking::kFp8, size), "");
  EXPECT_EQ(packing_error(fp8, WeightPacking::kNone, size), "not packed");
  fp8["m.weight"].dtype = "F8_E5M2";
  EXPECT_THAT(packing_error(fp8, WeightPacking::kFp8, size), HasSubstr("F8_E4M3 is supported"));
  EXPECT_THAT(packing_error(fp8_of(16, 64, {3, 1}, "weight_scale"), WeightPacking::kFp8, size),
              HasSubstr("each block"));
}

TEST(PackedMatrix, WideScalesBecomeTheSixteenBitsThatHoldThem) {
  const auto type_for = [](float scale) {
    Coded coded = random_coded(16, 64, 8, 64, Zeros::kMiddle);
    Parts parts = int8_of(coded);
    parts["m.weight_scale"] = {"F32", {16, 1}, bytes_of(std::vector<float>(16, scale))};
    const Opened opened =
        open(parts, WeightPacking::kCompressedTensors, {.outputs = 16, .inputs = 64});
    EXPECT_TRUE(opened.matrix) << opened.error;
    expect_products(*opened.matrix, 0x1p-8f);
    return opened.matrix->shape().scale_type;
  };
  EXPECT_EQ(type_for(0.125f), kernel::ScaleType::kF16);
  EXPECT_EQ(type_for(0x1p-30f), kernel::ScaleType::kBF16);
  EXPECT_EQ(type_for(0.1f), kernel::ScaleType::kF16);    // rounded
  EXPECT_EQ(type_for(1e-6f), kernel::ScaleType::kBF16);  // a subnormal float16 would be coarser
}

// --- conformance models -------------------------------------------------------------------------

class PackedConformance : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = conformance_data("models") / GetParam();
    if (!fs::exists(folder_)) GTEST_SKIP() << folder_ << " is absent";
    std::ifstream file(folder_ / "golden.json");
    golden_ = json::parse(file).as_object();
    auto opened = Checkpoint::open(folder_ / "hf");
    ASSERT_TRUE(opened) << opened.error().message;
    checkpoint_ = std::move(*opened);
  }

  // The values of the matrix that the folder calls model.layers.N.PART.weight.
  std::vector<float> values_called(const std::string& name) const {
    static const std::map<std::string, std::string> kParts = {
        {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
        {"self_attn.v_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
        {"mlp.gate_proj", "ffn_gate"},  {"mlp.up_proj", "ffn_up"},
        {"mlp.down_proj", "ffn_down"}};
    const size_t layer = std::string_view("model.layers.").size();
    const size_t part = name.find('.', layer) + 1;
    const auto matrix =
        checkpoint_->matrix(fmt::format("blk.{}{}.weight", name.substr(layer, part - layer),
                                        kParts.at(name.substr(part, name.rfind('.') - part))));
    EXPECT_TRUE(matrix) << matrix.error().message;
    return matrix ? values_of(**matrix) : std::vector<float>();
  }

  fs::path folder_;
  json::object golden_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

TEST_P(PackedConformance, EveryMatrixHasTheExpectedBits) {
  // The reference of this one has zeros of both signs, which integers cannot have.
  if (std::string_view(GetParam()) == "llama-ct-int8") GTEST_SKIP() << "compared value by value";
  int checked = 0;
  for (const auto& [name, expected] : golden_.at("tensors").as_object()) {
    const std::vector<float> values = values_called(name);
    const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(values.data()),
                                         values.size() * sizeof(float));
    EXPECT_EQ(sha256(bytes), std::string(expected.at("sha256_of_float32").as_string())) << name;
    ++checked;
  }
  EXPECT_EQ(checked, 14);
}

TEST_P(PackedConformance, SampleMatricesAgreeValueByValue) {
  const auto file = MappedFile::open(folder_ / "dequantized.f32");
  ASSERT_TRUE(file) << file.error().message;
  for (const json::value& sample : golden_.at("dequantized").as_array()) {
    const std::string name(sample.at("tensor").as_string());
    const auto count = static_cast<size_t>(sample.at("rows").to_number<int64_t>() *
                                           sample.at("columns").to_number<int64_t>());
    const auto offset = sample.at("byte_offset").to_number<size_t>();
    ASSERT_LE(offset + count * sizeof(float), file->bytes().size());
    std::vector<float> expected(count);
    std::memcpy(expected.data(), file->bytes().data() + offset, count * sizeof(float));
    const std::vector<float> values = values_called(name);
    ASSERT_GE(values.size(), count);
    for (size_t i = 0; i < count; ++i)
      ASSERT_EQ(values[i], expected[i]) << name << " element " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PackedConformance,
                         ::testing::Values("llama-awq-int4", "llama-ct-fp8", "llama-ct-int4",
                                           "llama-ct-int4-asym", "llama-ct-int8", "llama-fp8-block",
                                           "llama-gptq-int4", "llama-gptq-int4-actorder",
                                           "llama-gptq-int8"));

}  // namespace
}  // namespace inferno::model
