#include "model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/conformance_data.h"
#include "model/gguf_test_writer.h"

namespace inferno::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<uint8_t> raw_file(std::string_view header, size_t data_bytes) {
  ByteWriter writer;
  writer.put<uint64_t>(header.size()).raw(header);
  for (size_t i = 0; i < data_bytes; ++i)
    writer.put(static_cast<uint8_t>(i));
  return writer.bytes;
}

constexpr std::string_view kGood =
    R"({"__metadata__":{"format":"pt"},)"
    R"("b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},)"
    R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
    R"("empty":{"dtype":"BF16","shape":[0,7],"data_offsets":[16,16]},)"
    R"("c":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[16,19]}}     )";

Result<Safetensors> parse_safetensors(const std::vector<uint8_t>& bytes) {
  return Safetensors::parse(bytes, "file");
}

TEST(Safetensors, FindsTensorsInPlace) {
  const std::vector<uint8_t> bytes = raw_file(kGood, 19);
  const Result<Safetensors> file = parse_safetensors(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->entries().size(), 4u);
  const SafetensorsEntry* entry = file->find("b");
  ASSERT_NE(entry, nullptr);
  EXPECT_THAT(entry->shape, ElementsAre(2, 3));
  EXPECT_EQ(entry->bytes, 12u);
  EXPECT_EQ(entry->data[0], 4);
  EXPECT_EQ(file->find("__metadata__"), nullptr);
  const Result<Tensor> tensor = file->tensor(*entry);
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->type, kernel::TensorType::kF16);
  EXPECT_EQ(tensor->data, entry->data);
  EXPECT_TRUE(file->find("a")->shape.empty());
  EXPECT_EQ(file->find("empty")->bytes, 0u);
}

TEST(Safetensors, EightBitFloatsHaveNoTensorType) {
  const std::vector<uint8_t> bytes = raw_file(kGood, 19);
  const Result<Safetensors> file = parse_safetensors(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(file->tensor(*file->find("c")).error().message, HasSubstr("F8_E4M3"));
}

TEST(Safetensors, KnowsTheWidthOfEveryDtype) {
  constexpr std::pair<std::string_view, int> kWidths[] = {
      {"F64", 8},     {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F8_E4M3", 1},
      {"F8_E5M2", 1}, {"I64", 8}, {"I32", 4}, {"I16", 2},  {"I8", 1},
      {"U64", 8},     {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1}};
  for (const auto& [dtype, width] : kWidths) {
    const std::string header = fmt::format(
        R"({{"t":{{"dtype":"{}","shape":[5],"data_offsets":[0,{}]}}}})", dtype, 5 * width);
    const Result<Safetensors> file =
        parse_safetensors(raw_file(header, static_cast<size_t>(5 * width)));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(name_of(file->entries()[0].type), dtype);
  }
}

TEST(Safetensors, EveryTruncationOfAFileIsAnError) {
  const std::vector<uint8_t> bytes = raw_file(kGood, 19);
  for (size_t length = 0; length < bytes.size(); ++length) {
    const std::vector<uint8_t> part(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
    ASSERT_FALSE(parse_safetensors(part)) << length;
  }
}

struct HostileHeader {
  const char* name;
  std::string header;
  size_t data_bytes;
  const char* detail;
};

void PrintTo(const HostileHeader& hostile, std::ostream* out) {
  *out << hostile.name;
}

std::string tensor(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"t":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape,
                     offsets);
}

std::string two(std::string_view first, std::string_view second) {
  return fmt::format(
      R"({{"t":{{"dtype":"U8","shape":[4],"data_offsets":{}}},
           "u":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
      first, second);
}

const HostileHeader kHostileHeaders[] = {
    {"no header", "", 0, "begin"},
    {"not an object", "[]", 0, "begin"},
    {"white space first", " {}", 0, "begin"},
    {"not JSON", "{\"t\":", 0, "JSON"},
    {"text behind the object", "{} x", 0, "JSON"},
    {"deep arrays", "{\"t\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", 0,
     "JSON"},
    {"bad UTF-8", "{\"\xFF\":{}}", 0, "JSON"},
    {"entry that is a number", R"({"t":1})", 0, "'t'"},
    {"entry without fields", R"({"t":{}})", 0, "dtype"},
    {"dtype that is a number", tensor("1", "[4]", "[0,4]"), 4, "dtype"},
    {"unknown dtype", tensor("\"F4\"", "[4]", "[0,4]"), 4, "F4"},
    {"shape that is a number", tensor("\"U8\"", "4", "[0,4]"), 4, "shape"},
    {"negative length", tensor("\"U8\"", "[-4]", "[0,4]"), 4, "shape"},
    {"fractional length", tensor("\"U8\"", "[4.5]", "[0,4]"), 4, "shape"},
    {"length as text", tensor("\"U8\"", "[\"4\"]", "[0,4]"), 4, "shape"},
    {"shape that overflows", tensor("\"U8\"", "[4294967296,4294967296,4]", "[0,4]"), 4, "shape"},
    {"shape that overflows behind a zero", tensor("\"U8\"", "[0,4294967296,4294967296]", "[0,0]"),
     0, "shape"},
    {"nine dimensions", tensor("\"U8\"", "[1,1,1,1,1,1,1,1,4]", "[0,4]"), 4, "limit 8"},
    {"offsets missing", R"({"t":{"dtype":"U8","shape":[4]}})", 4, "data_offsets"},
    {"three offsets", tensor("\"U8\"", "[4]", "[0,4,4]"), 4, "data_offsets"},
    {"offsets backwards", tensor("\"U8\"", "[0]", "[4,0]"), 4, "data_offsets"},
    {"negative offset", tensor("\"U8\"", "[4]", "[-4,0]"), 4, "data_offsets"},
    {"offset past the end", tensor("\"U8\"", "[8]", "[0,8]"), 4, "limit 4"},
    {"offset of 2^64 - 1", tensor("\"U8\"", "[4]", "[18446744073709551612,18446744073709551615]"),
     4, "limit"},
    {"span other than the shape", tensor("\"F32\"", "[4]", "[0,4]"), 4, "take 16"},
    {"overlap", two("[0,4]", "[2,6]"), 6, "overlap"},
    {"the same bytes twice", two("[0,4]", "[0,4]"), 4, "overlap"},
    {"hole", two("[0,4]", "[6,10]"), 10, "hole"},
    {"hole at the front", tensor("\"U8\"", "[4]", "[4,8]"), 8, "hole"},
    {"bytes behind the last tensor", tensor("\"U8\"", "[4]", "[0,4]"), 5, "file has 5"},
};

class SafetensorsHostile : public ::testing::TestWithParam<HostileHeader> {};

TEST_P(SafetensorsHostile, IsRefusedByFieldAndValue) {
  const Result<Safetensors> file =
      parse_safetensors(raw_file(GetParam().header, GetParam().data_bytes));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().fault, Fault::kCorrupt);
  EXPECT_THAT(file.error().message, HasSubstr("file: "));
  EXPECT_THAT(file.error().message, HasSubstr(GetParam().detail));
}

INSTANTIATE_TEST_SUITE_P(Files, SafetensorsHostile, ::testing::ValuesIn(kHostileHeaders));

TEST(Safetensors, HeaderLengthIsBounded) {
  EXPECT_THAT(parse_safetensors(ByteWriter().put(~uint64_t{0}).raw("{}").bytes).error().message,
              HasSubstr("limit 2"));
  EXPECT_THAT(parse_safetensors(ByteWriter().put<uint32_t>(2).bytes).error().message,
              HasSubstr("8 bytes"));
}

// --- folders ------------------------------------------------------------------------------------

std::string index_of(std::string_view a, std::string_view b) {
  return fmt::format(R"({{"metadata":{{"total_size":4}},"weight_map":{{"a":"{}","b":"{}"}}}})", a,
                     b);
}

std::vector<uint8_t> shard(std::string_view name) {
  return raw_file(
      fmt::format(R"({{"{}":{{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}}})", name), 2);
}

constexpr const char* kIndex = "model.safetensors.index.json";

TEST(SafetensorsFolder, OpensTheShardsOfItsIndex) {
  const TemporaryFolder folder;
  folder.write("m-1.safetensors", shard("a"));
  folder.write("m-2.safetensors", shard("b"));
  folder.write(kIndex, index_of("m-1.safetensors", "m-2.safetensors"));
  const Result<Safetensors> file = Safetensors::open(folder.path());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->shards().size(), 2u);
  EXPECT_NE(file->find("a"), nullptr);
  EXPECT_NE(file->find("b"), nullptr);
}

TEST(SafetensorsFolder, AShardMustLieInTheFolder) {
  const TemporaryFolder folder;
  folder.write("m-1.safetensors", shard("a"));
  for (const char* name :
       {"../m.safetensors", "/etc/m.safetensors", "x/../m.safetensors", "", "..",
        "sub\\\\m.safetensors", ".m.safetensors", "m\\u0000.safetensors", "passwd"}) {
    SCOPED_TRACE(name);
    folder.write(kIndex, index_of("m-1.safetensors", name));
    const Result<Safetensors> file = Safetensors::open(folder.path());
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().fault, Fault::kCorrupt);
    EXPECT_THAT(file.error().message, HasSubstr("weight_map"));
    EXPECT_THAT(file.error().message, HasSubstr("'b'"));
  }
}

TEST(SafetensorsFolder, AWrongIndexIsRefused) {
  const TemporaryFolder folder;
  folder.write("m-1.safetensors", shard("a"));
  folder.write("m-2.safetensors", shard("c"));
  const auto message = [&](std::string_view index) {
    folder.write(kIndex, index);
    return Safetensors::open(folder.path()).error().message;
  };
  EXPECT_THAT(message(index_of("m-1.safetensors", "m-2.safetensors")), HasSubstr("'b' is not in"));
  EXPECT_THAT(message(index_of("m-1.safetensors", "m-3.safetensors")),
              HasSubstr("m-3.safetensors"));
  EXPECT_THAT(message("{}"), HasSubstr("weight_map"));
  EXPECT_THAT(message("[]"), HasSubstr("object"));
  EXPECT_THAT(message(R"({"weight_map":{"a":1}})"), HasSubstr("'a'"));
  folder.write("m-2.safetensors", shard("a"));
  EXPECT_THAT(message(index_of("m-1.safetensors", "m-2.safetensors")), HasSubstr("another shard"));
}

TEST(SafetensorsFolder, TakesTheOnlyFileWhateverItsName) {
  const TemporaryFolder folder;
  EXPECT_EQ(Safetensors::open(folder.path()).error().fault, Fault::kNotFound);
  folder.write("x.safetensors", shard("a"));
  EXPECT_TRUE(Safetensors::open(folder.path()));
  folder.write("y.safetensors", shard("b"));
  EXPECT_EQ(Safetensors::open(folder.path()).error().fault, Fault::kInvalid);
}

TEST(SafetensorsRealFiles, EveryConformanceFolderIsRead) {
  const std::filesystem::path models = conformance_data("models");
  if (!std::filesystem::exists(models)) GTEST_SKIP() << "no conformance models at " << models;
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(models)) {
    if (entry.path().filename() != "model.safetensors") continue;
    SCOPED_TRACE(entry.path());
    const Result<Safetensors> file = Safetensors::open(entry.path().parent_path());
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_GT(file->entries().size(), 10u);
    ++count;
  }
  EXPECT_GE(count, 20);
}

}  // namespace
}  // namespace inferno::model
