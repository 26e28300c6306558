// dequantize() against the conformance files: every tensor of every GGUF type by the SHA-256 of its
// floats, and the tensors whose values are given, value by value, so that a failure says where.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <boost/json.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/conformance_data.h"
#include "kernel/kernels.h"
#include "model/gguf.h"
#include "model/sha256_test_data.h"

namespace inferno::model {
namespace {

namespace fs = std::filesystem;

std::vector<float> dequantized(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(element_count(tensor)));
  EXPECT_TRUE(kernel::dequantize(tensor.type, tensor.data, values.size(), values.data()))
      << tensor.name;
  return values;
}

class DequantizeGolden : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = conformance_data("models") / "llama-quantized";
    std::ifstream file(folder_ / "golden.json");
    if (!file) GTEST_SKIP() << "no conformance files at " << folder_;
    golden_ = boost::json::parse(file).as_object();
  }

  fs::path folder_;
  boost::json::object golden_;
};

TEST(Sha256, GivesTheAnswersOfFips180) {
  const std::string abc = "abc";
  EXPECT_EQ(sha256({reinterpret_cast<const uint8_t*>(abc.data()), abc.size()}),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_F(DequantizeGolden, EveryTensorHasTheExpectedBits) {
  std::set<std::string> types;
  for (const auto& [name, entry] : golden_.at("types").as_object()) {
    const auto gguf = Gguf::open(folder_ / std::string(entry.at("file").as_string()));
    ASSERT_TRUE(gguf.has_value()) << gguf.error().message;
    for (const auto& [tensor_name, expected] : entry.at("tensors").as_object()) {
      const Tensor* tensor = gguf->find_tensor(tensor_name);
      ASSERT_NE(tensor, nullptr) << tensor_name;
      EXPECT_EQ(kernel::name_of(tensor->type), expected.at("type").as_string());
      types.insert(kernel::name_of(tensor->type));
      const std::vector<float> values = dequantized(*tensor);
      const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(values.data()),
                                           values.size() * sizeof(float));
      EXPECT_EQ(sha256(bytes), expected.at("sha256_of_float32").as_string())
          << name << " " << tensor_name;
    }
  }
  EXPECT_GE(types.size(), 20u);
}

TEST_F(DequantizeGolden, SampleTensorsAgreeValueByValue) {
  for (const auto& [name, entry] : golden_.at("types").as_object()) {
    const auto gguf = Gguf::open(folder_ / std::string(entry.at("file").as_string()));
    ASSERT_TRUE(gguf.has_value()) << gguf.error().message;
    const auto file =
        MappedFile::open(folder_ / std::string(entry.at("dequantized_file").as_string()));
    ASSERT_TRUE(file.has_value()) << file.error().message;
    for (const auto& sample : entry.at("dequantized").as_array()) {
      const Tensor* tensor = gguf->find_tensor(sample.at("tensor").as_string());
      ASSERT_NE(tensor, nullptr);
      const auto count = static_cast<size_t>(sample.at("rows").to_number<int64_t>() *
                                             sample.at("columns").to_number<int64_t>());
      const auto offset = sample.at("byte_offset").to_number<size_t>();
      ASSERT_LE(offset + count * sizeof(float), file->bytes().size());
      std::vector<float> expected(count);
      memcpy(expected.data(), file->bytes().data() + offset, count * sizeof(float));
      const std::vector<float> values = dequantized(*tensor);
      ASSERT_GE(values.size(), count);
      for (size_t i = 0; i < count; i++) {
        ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(expected[i]))
            << name << " " << tensor->name << " element " << i << ": " << values[i] << " for "
            << expected[i];
      }
    }
  }
}

}  // namespace
}  // namespace inferno::model
