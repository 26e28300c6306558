// dequantize() against the conformance files: every tensor of every GGUF type by the SHA-256 of its
// floats, and the tensors whose values are given, value by value, so that a failure says where.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "kernel/kernels.h"
#include "model/gguf.h"

namespace inferno::model {
namespace {

namespace fs = std::filesystem;

// The first 32 bits of the fractions of the roots of the first primes: of the square roots where
// the hash starts, of the cube roots for the rounds (FIPS 180-4, sections 4.2.2 and 5.3.3),
// computed here.
template <size_t kCount, typename Root>
std::array<uint32_t, kCount> root_fractions(Root root) {
  std::array<uint32_t, kCount> fractions{};
  size_t found = 0;
  for (int n = 2; found < kCount; n++) {
    bool is_prime = true;
    for (int d = 2; d * d <= n; d++)
      is_prime = is_prime && n % d != 0;
    if (!is_prime) continue;
    const long double value = root(static_cast<long double>(n));
    fractions[found++] = static_cast<uint32_t>((value - std::floor(value)) * 4294967296.0L);
  }
  return fractions;
}

using Hash = std::array<uint32_t, 8>;

void hash_chunk(const uint8_t* chunk, Hash& hash) {
  static const auto kRounds = root_fractions<64>([](long double x) { return std::cbrt(x); });
  std::array<uint32_t, 64> w{};
  for (size_t i = 0; i < 16; i++) {
    w[i] = static_cast<uint32_t>(chunk[4 * i]) << 24 |
           static_cast<uint32_t>(chunk[4 * i + 1]) << 16 |
           static_cast<uint32_t>(chunk[4 * i + 2]) << 8 | chunk[4 * i + 3];
  }
  for (size_t i = 16; i < 64; i++) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = hash;
  for (size_t i = 0; i < 64; i++) {
    const uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + kRounds[i] + w[i];
    const uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const Hash mixed = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; i++)
    hash[i] += mixed[i];
}

std::string sha256(std::span<const uint8_t> bytes) {
  Hash hash = root_fractions<8>([](long double x) { return std::sqrt(x); });
  size_t done = 0;
  for (; done + 64 <= bytes.size(); done += 64)
    hash_chunk(&bytes[done], hash);
  std::vector<uint8_t> tail(bytes.begin() + static_cast<ptrdiff_t>(done), bytes.end());
  tail.push_back(0x80);
  while (tail.size() % 64 != 56)
    tail.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8) {
    tail.push_back(static_cast<uint8_t>(uint64_t{bytes.size()} * 8 >> shift));
  }
  for (size_t i = 0; i < tail.size(); i += 64)
    hash_chunk(&tail[i], hash);
  std::string text;
  for (uint32_t word : hash)
    text += fmt::format("{:08x}", word);
  return text;
}

std::vector<float> values_of(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(element_count(tensor)));
  EXPECT_TRUE(kernel::dequantize(tensor.type, tensor.data, values.size(), values.data()))
      << tensor.name;
  return values;
}

class DequantizeGolden : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(INFERNO_SOURCE_DIR) / "../shared/models/llama-quantized";
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
      const std::vector<float> values = values_of(*tensor);
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
      const std::vector<float> values = values_of(*tensor);
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
