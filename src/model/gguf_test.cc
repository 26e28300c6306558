#include "model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <limits>

#include "base/conformance_data.h"
#include "model/gguf_test_writer.h"

namespace inferno::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

Result<Gguf> parse_gguf(const std::vector<uint8_t>& bytes) {
  return Gguf::parse(bytes, "file");
}

// A small file with a key of every type and two tensors.
GgufTestWriter sample() {
  GgufTestWriter writer;
  writer.number<uint8_t>("a.u8", GgufType::kU8, 200)
      .number<int8_t>("a.i8", GgufType::kI8, -3)
      .number<uint16_t>("a.u16", GgufType::kU16, 40'000)
      .number<int16_t>("a.i16", GgufType::kI16, -30'000)
      .u32("a.u32", 4'000'000'000u)
      .number<int32_t>("a.i32", GgufType::kI32, -2'000'000'000)
      .f32("a.f32", 0.5f)
      .flag("a.bool", 1)
      .text("a.string", "h\xC3\xA9llo")
      .number<uint64_t>("a.u64", GgufType::kU64, kHuge)
      .number<int64_t>("a.i64", GgufType::kI64, -5)
      .number<double>("a.f64", GgufType::kF64, 0.25)
      .numbers<float>("a.floats", GgufType::kF32, {1.0f, 2.0f})
      .numbers<uint8_t>("a.bools", GgufType::kBool, {1, 0, 1})
      .texts("a.strings", {"", "ab", "c"})
      .tensor("one", {3, 2})
      .tensor("two", {4});
  return writer;
}

TEST(Gguf, ReadsEveryTypeOfValue) {
  const std::vector<uint8_t> bytes = sample().finish();
  const Result<Gguf> file = parse_gguf(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->keys().size(), 15u);
  EXPECT_EQ(file->get<int32_t>("a.u8").value(), 200);
  EXPECT_EQ(file->get<int64_t>("a.i8").value(), -3);
  EXPECT_EQ(file->get<int32_t>("a.u16").value(), 40'000);
  EXPECT_EQ(file->get<int32_t>("a.i16").value(), -30'000);
  EXPECT_EQ(file->get<uint32_t>("a.u32").value(), 4'000'000'000u);
  EXPECT_EQ(file->get<int32_t>("a.i32").value(), -2'000'000'000);
  EXPECT_EQ(file->get<float>("a.f32").value(), 0.5f);
  EXPECT_EQ(file->get<bool>("a.bool").value(), true);
  EXPECT_EQ(file->get<std::string_view>("a.string").value(), "h\xC3\xA9llo");
  EXPECT_EQ(file->get<uint64_t>("a.u64").value(), kHuge);
  EXPECT_EQ(file->get<int32_t>("a.i64").value(), -5);
  EXPECT_EQ(file->get<float>("a.f64").value(), 0.25f);
  EXPECT_THAT(file->array<double>("a.floats").value(), ElementsAre(1.0, 2.0));
  EXPECT_THAT(file->array<bool>("a.bools").value(), ElementsAre(true, false, true));
  EXPECT_THAT(file->array<std::string_view>("a.strings").value(), ElementsAre("", "ab", "c"));
}

TEST(Gguf, FindsTensorsInPlaceWithTheOutermostLengthFirst) {
  const std::vector<uint8_t> bytes = sample().finish();
  const Result<Gguf> file = parse_gguf(bytes);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), 2u);
  const Tensor* one = file->find_tensor("one");
  ASSERT_NE(one, nullptr);
  EXPECT_THAT(one->shape, ElementsAre(2, 3));
  EXPECT_EQ(one->bytes, 24u);
  float last = 0;
  std::memcpy(&last, one->data + 20, sizeof(last));
  EXPECT_EQ(last, 5.0f);
  EXPECT_GE(one->data, bytes.data());
  EXPECT_EQ(file->find_tensor("three"), nullptr);
}

TEST(Gguf, RefusesToConvertWhatDoesNotFit) {
  const std::vector<uint8_t> bytes = sample().finish();
  const Result<Gguf> file = parse_gguf(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(file->get<int32_t>("a.u32").error().message, HasSubstr("a.u32"));
  EXPECT_THAT(file->get<uint32_t>("a.i8").error().message, HasSubstr("-3"));
  EXPECT_THAT(file->get<int64_t>("a.u64").error().message, HasSubstr("limit"));
  EXPECT_THAT(file->get<float>("a.u8").error().message, HasSubstr("float"));
  EXPECT_THAT(file->get<bool>("a.u8").error().message, HasSubstr("bool"));
  EXPECT_THAT(file->get<std::string_view>("a.strings").error().message, HasSubstr("array"));
  EXPECT_THAT(file->array<float>("a.strings").error().message, HasSubstr("element 0"));
  EXPECT_THAT(file->array<float>("a.f32").error().message, HasSubstr("array"));
  EXPECT_EQ(file->get<float>("absent").error().fault, Fault::kNotFound);
  EXPECT_EQ(file->get_or<float>("absent", 2.5f).value(), 2.5f);
  EXPECT_FALSE(file->get_or<float>("a.string", 2.5f));
}

TEST(Gguf, ReadsArraysInArrays) {
  ByteWriter value;
  value.type(GgufType::kArray).type(GgufType::kArray).put<uint64_t>(2);
  value.type(GgufType::kU16).put<uint64_t>(3).put<uint16_t>(1).put<uint16_t>(2).put<uint16_t>(3);
  value.type(GgufType::kString).put<uint64_t>(1).string("x");
  const std::vector<uint8_t> bytes =
      GgufTestWriter().bytes("nested", value.bytes).u32("after", 7).finish();
  const Result<Gguf> file = parse_gguf(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->get<int32_t>("after").value(), 7);
  const std::vector<GgufValue> outer = Gguf::elements_of(*file->find("nested"));
  ASSERT_EQ(outer.size(), 2u);
  const std::vector<GgufValue> inner = Gguf::elements_of(outer[0]);
  ASSERT_EQ(inner.size(), 3u);
  EXPECT_EQ(inner[2].bits, 3u);
  EXPECT_EQ(Gguf::elements_of(outer[1])[0].text, "x");
}

TEST(Gguf, ReadsVersion2AndOtherAlignments) {
  GgufTestWriter writer;
  writer.version = 2;
  writer.alignment = 64;
  writer.u32("general.alignment", 64).tensor("a", {1}).tensor("b", {1});
  const std::vector<uint8_t> bytes = writer.finish();
  const Result<Gguf> file = parse_gguf(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->find_tensor("b")->data - file->find_tensor("a")->data, 64);
}

TEST(Gguf, TensorsMayShareBytes) {
  const std::vector<uint8_t> bytes = GgufTestWriter()
                                         .tensor("a", {8})
                                         .tensor_info("b", {8}, 0, 0)
                                         .tensor_info("c", {2, 4}, 0, 0)
                                         .finish();
  const Result<Gguf> file = parse_gguf(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->find_tensor("a")->data, file->find_tensor("c")->data);
}

TEST(Gguf, KnowsTheSizeOfEveryTensorType) {
  constexpr struct {
    uint32_t type, elements, bytes;
  } kTypes[] = {{0, 1, 4},      {1, 1, 2},      {2, 32, 18},    {3, 32, 20},    {6, 32, 22},
                {7, 32, 24},    {8, 32, 34},    {9, 32, 36},    {10, 256, 84},  {11, 256, 110},
                {12, 256, 144}, {13, 256, 176}, {14, 256, 210}, {15, 256, 292}, {16, 256, 66},
                {17, 256, 74},  {18, 256, 98},  {19, 256, 50},  {20, 32, 18},   {21, 256, 110},
                {22, 256, 82},  {23, 256, 136}, {24, 1, 1},     {25, 1, 2},     {26, 1, 4},
                {27, 1, 8},     {28, 1, 8},     {29, 256, 56},  {30, 1, 2},     {34, 256, 54},
                {35, 256, 66},  {39, 32, 17},   {40, 64, 36},   {41, 128, 18},  {42, 64, 18}};
  for (const auto& row : kTypes) {
    SCOPED_TRACE(row.type);
    const auto write = [&](size_t data_bytes) {
      return GgufTestWriter()
          .tensor_info("t", {uint64_t{row.elements} * 2, 3}, row.type, 0)
          .data(data_bytes)
          .finish();
    };
    const std::vector<uint8_t> exact = write(size_t{row.bytes} * 6);
    const Result<Gguf> file = parse_gguf(exact);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->tensors()[0].bytes, row.bytes * 6u);
    EXPECT_FALSE(parse_gguf(write(size_t{row.bytes} * 6 - 1)));
  }
}

TEST(Gguf, EveryTruncationOfAFileIsAnError) {
  const std::vector<uint8_t> bytes = sample().finish();
  for (size_t length = 0; length < bytes.size(); ++length) {
    // A copy of that length exactly, so that a sanitizer sees a read past the end.
    const std::vector<uint8_t> part(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
    const Result<Gguf> file = parse_gguf(part);
    ASSERT_FALSE(file) << length << " of " << bytes.size() << " bytes";
    EXPECT_EQ(file.error().fault, Fault::kCorrupt);
    EXPECT_THAT(file.error().message, HasSubstr("file: "));
  }
}

TEST(Gguf, AnyFlippedBitIsReadOrRefusedButNeverCrashes) {
  const std::vector<uint8_t> bytes = sample().finish();
  int refused = 0;
  for (size_t position = 0; position < bytes.size(); ++position) {
    for (const uint8_t mask : {0x01, 0x80, 0xFF}) {
      std::vector<uint8_t> changed = bytes;
      changed[position] ^= mask;
      if (!parse_gguf(changed)) ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

// A file that must be refused, and what the message must name.
struct Hostile {
  const char* name;
  std::function<std::vector<uint8_t>()> make;
  const char* field;
  const char* detail;
};

void PrintTo(const Hostile& hostile, std::ostream* out) {
  *out << hostile.name;
}

std::vector<uint8_t> header(uint32_t version, uint64_t tensors, uint64_t keys) {
  return ByteWriter().raw("GGUF").put(version).put(tensors).put(keys).bytes;
}

std::vector<uint8_t> value(GgufType element, uint64_t count, std::string_view payload = "") {
  return ByteWriter().type(GgufType::kArray).type(element).put(count).raw(payload).bytes;
}

std::vector<uint8_t> deep_array(int depth) {
  ByteWriter writer;
  writer.type(GgufType::kArray);
  for (int i = 0; i < depth; ++i)
    writer.type(GgufType::kArray).put<uint64_t>(1);
  writer.type(GgufType::kU8).put<uint64_t>(0);
  return writer.bytes;
}

std::vector<uint8_t> with_tensor(std::vector<uint64_t> lengths, uint32_t type, uint64_t offset) {
  return GgufTestWriter().tensor_info("weight", lengths, type, offset).data(4096).finish();
}

std::vector<uint8_t> with_alignment(uint32_t alignment) {
  return GgufTestWriter().u32("general.alignment", alignment).tensor("weight", {4}).finish();
}

const Hostile kHostile[] = {
    {"empty file", [] { return std::vector<uint8_t>(); }, "GGUF", "begin"},
    {"wrong magic", [] { return ByteWriter().raw("GGML").put(3u).bytes; }, "GGUF", "begin"},
    {"big-endian magic", [] { return ByteWriter().raw("FUGG").put(3u).bytes; }, "GGUF", "begin"},
    {"version 0", [] { return header(0, 0, 0); }, "version", "0"},
    {"version 1", [] { return header(1, 0, 0); }, "version", "1"},
    {"version 4", [] { return header(4, 0, 0); }, "version", "4"},
    {"big-endian", [] { return header(0x03000000, 0, 0); }, "version", "big-endian"},
    {"huge key count", [] { return header(3, 0, kHuge); }, "key count", "18446744073709551615"},
    {"huge tensor count", [] { return header(3, kHuge, 0); }, "tensor count",
     "18446744073709551615"},
    {"one key too many", [] { return header(3, 0, 1); }, "key count", "limit 0"},
    {"both counts huge", [] { return header(3, kHuge / 2, kHuge / 2); }, "count", "limit"},
    {"key count above the keys",
     [] {
       GgufTestWriter writer = sample();
       writer.extra_key_count = 1;
       return writer.finish();
     },
     "tensor 0", ""},
    {"tensor count above the tensors",
     [] {
       GgufTestWriter writer = sample();
       writer.extra_tensor_count = 1;
       return writer.finish();
     },
     "tensor", ""},
    {"key count below the keys",
     [] {
       GgufTestWriter writer = sample();
       writer.extra_key_count = -1;
       return writer.finish();
     },
     "tensor", ""},
    {"huge key length",
     [] {
       return ByteWriter()
           .raw("GGUF")
           .put(3u)
           .put<uint64_t>(0)
           .put<uint64_t>(1)
           .put(kHuge)
           .raw(std::string(64, 'k'))
           .bytes;
     },
     "key 0", "limit 65535"},
    {"key longer than the file",
     [] {
       return ByteWriter()
           .raw("GGUF")
           .put(3u)
           .put<uint64_t>(0)
           .put<uint64_t>(1)
           .put<uint64_t>(1000)
           .raw("kkkkkkkkkkkkkkkk")
           .bytes;
     },
     "key 0", "1000"},
    {"empty key", [] { return GgufTestWriter().u32("", 1).finish(); }, "key 0", "empty"},
    {"key that is not UTF-8", [] { return GgufTestWriter().u32("a\xFF", 1).finish(); }, "key 0",
     "UTF-8"},
    {"key with an overlong character", [] { return GgufTestWriter().u32("a\xC0\xAF", 1).finish(); },
     "key 0", "UTF-8"},
    {"key with a surrogate", [] { return GgufTestWriter().u32("a\xED\xA0\x80", 1).finish(); },
     "key 0", "UTF-8"},
    {"key cut inside a character", [] { return GgufTestWriter().u32("a\xE2\x96", 1).finish(); },
     "key 0", "UTF-8"},
    {"key with a zero byte",
     [] { return GgufTestWriter().u32(std::string_view("a\0b", 3), 1).finish(); }, "key 0", "zero"},
    {"key twice", [] { return GgufTestWriter().u32("a", 1).u32("a", 2).finish(); }, "key 'a'",
     "twice"},
    {"value type 13",
     [] { return GgufTestWriter().number("a", static_cast<GgufType>(13), uint64_t{0}).finish(); },
     "key 'a'", "13"},
    {"value type 2^32 - 1",
     [] { return GgufTestWriter().number("a", static_cast<GgufType>(~0u), uint64_t{0}).finish(); },
     "key 'a'", "4294967295"},
    {"bool of value 2", [] { return GgufTestWriter().flag("a", 2).finish(); }, "key 'a'", "bool"},
    {"bool of value 7 in an array",
     [] { return GgufTestWriter().numbers<uint8_t>("a", GgufType::kBool, {0, 7}).finish(); },
     "key 'a'", "bool"},
    {"huge string",
     [] {
       return GgufTestWriter()
           .bytes("a", ByteWriter().type(GgufType::kString).put(kHuge).raw("abc").bytes)
           .finish();
     },
     "key 'a'", "18446744073709551615"},
    {"string to just past the end",
     [] {
       return GgufTestWriter()
           .bytes("a", ByteWriter().type(GgufType::kString).put<uint64_t>(100).raw("abc").bytes)
           .finish();
     },
     "key 'a'", "100"},
    {"array of an unknown type",
     [] { return GgufTestWriter().bytes("a", value(static_cast<GgufType>(77), 0)).finish(); },
     "key 'a'", "77"},
    {"huge array of numbers",
     [] { return GgufTestWriter().bytes("a", value(GgufType::kU64, kHuge / 8)).finish(); },
     "key 'a'", "elements"},
    {"array whose size overflows",
     [] { return GgufTestWriter().bytes("a", value(GgufType::kU64, (kHuge / 8) + 2)).finish(); },
     "key 'a'", "elements"},
    {"huge array of strings",
     [] { return GgufTestWriter().bytes("a", value(GgufType::kString, kHuge)).finish(); },
     "key 'a'", "elements"},
    {"huge array of arrays",
     [] { return GgufTestWriter().bytes("a", value(GgufType::kArray, kHuge)).finish(); }, "key 'a'",
     "elements"},
    {"array of strings that runs out",
     [] {
       return GgufTestWriter()
           .bytes("a", value(GgufType::kString, 2,
                             std::string_view("\1\0\0\0\0\0\0\0x\377\377\0\0\0\0\0\0", 17)))
           .finish();
     },
     "key 'a'", "65535"},
    {"arrays 5 deep", [] { return GgufTestWriter().bytes("a", deep_array(4)).finish(); }, "key 'a'",
     "deep"},
    {"arrays 100000 deep", [] { return GgufTestWriter().bytes("a", deep_array(100'000)).finish(); },
     "key 'a'", "deep"},
    {"alignment 0", [] { return with_alignment(0); }, "general.alignment", "0"},
    {"alignment 1", [] { return with_alignment(1); }, "general.alignment", "1"},
    {"alignment 24", [] { return with_alignment(24); }, "general.alignment", "24"},
    {"alignment 2^31", [] { return with_alignment(1u << 31); }, "general.alignment", "1048576"},
    {"alignment that is a string",
     [] { return GgufTestWriter().text("general.alignment", "32").finish(); }, "general.alignment",
     "string"},
    {"no name", [] { return GgufTestWriter().tensor("", {4}).finish(); }, "tensor 0", "empty"},
    {"long tensor name",
     [] { return GgufTestWriter().tensor(std::string(257, 'n'), {4}).finish(); }, "tensor 0",
     "limit 256"},
    {"tensor name that is not UTF-8", [] { return GgufTestWriter().tensor("\x80", {4}).finish(); },
     "tensor 0", "UTF-8"},
    {"tensor twice",
     [] { return GgufTestWriter().tensor("weight", {4}).tensor("weight", {4}).finish(); },
     "tensor 'weight'", "twice"},
    {"5 dimensions", [] { return with_tensor({1, 1, 1, 1, 1}, 0, 0); }, "tensor 'weight'",
     "limit 4"},
    {"4 billion dimensions",
     [] {
       return ByteWriter()
           .raw("GGUF")
           .put(3u)
           .put<uint64_t>(1)
           .put<uint64_t>(0)
           .string("weight")
           .put(~0u)
           .put(uint64_t{1})
           .put(uint64_t{1})
           .bytes;
     },
     "tensor 'weight'", "4294967295"},
    {"a single number past the end",
     [] { return GgufTestWriter().tensor_info("weight", {}, 0, 0).finish(); }, "tensor 'weight'",
     "limit 0"},
    {"a dimension of length 0", [] { return with_tensor({4, 0}, 0, 0); }, "tensor 'weight'",
     "dimension 1"},
    {"a dimension of length 2^63", [] { return with_tensor({uint64_t{1} << 63}, 0, 0); },
     "tensor 'weight'", "9223372036854775808"},
    {"a product of 2^64", [] { return with_tensor({1u << 31, 1u << 31, 4}, 0, 0); },
     "tensor 'weight'", "dimension"},
    {"a product that overflows to 4",
     [] { return with_tensor({(uint64_t{1} << 32) + 1, (uint64_t{1} << 32) - 1, 2, 2}, 0, 0); },
     "tensor 'weight'", "dimension"},
    {"bytes that overflow", [] { return with_tensor({uint64_t{1} << 62}, 0, 0); },
     "tensor 'weight'", "dimension 0"},
    {"a removed type", [] { return with_tensor({32}, 4, 0); }, "tensor 'weight'", "type 4"},
    {"an unknown type", [] { return with_tensor({32}, 1000, 0); }, "tensor 'weight'", "type 1000"},
    {"a row that is not whole blocks", [] { return with_tensor({33}, 2, 0); }, "tensor 'weight'",
     "33"},
    {"whole blocks only over all rows", [] { return with_tensor({128, 2}, 12, 0); },
     "tensor 'weight'", "128"},
    {"an offset that is not aligned", [] { return with_tensor({4}, 0, 8); }, "tensor 'weight'",
     "offset 8"},
    {"an offset past the end", [] { return with_tensor({4}, 0, 8192); }, "tensor 'weight'", "8192"},
    {"an offset of 2^64 - 32", [] { return with_tensor({4}, 0, kHuge - 31); }, "tensor 'weight'",
     "18446744073709551584"},
    {"an end just past the end", [] { return with_tensor({1025}, 0, 0); }, "tensor 'weight'",
     "4100"},
    {"a split part of too many",
     [] {
       return GgufTestWriter().number<uint16_t>("split.count", GgufType::kU16, 65535).finish();
     },
     "split.count", "limit 1024"},
    {"a split number that is a string",
     [] { return GgufTestWriter().text("split.no", "x").finish(); }, "split.no", "string"},
};

class GgufHostile : public ::testing::TestWithParam<Hostile> {};

TEST_P(GgufHostile, IsRefusedByFieldAndValue) {
  const std::vector<uint8_t> bytes = GetParam().make();
  const Result<Gguf> file = parse_gguf(bytes);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().fault, Fault::kCorrupt);
  EXPECT_THAT(file.error().message, HasSubstr("file: "));
  EXPECT_THAT(file.error().message, HasSubstr(GetParam().field));
  EXPECT_THAT(file.error().message, HasSubstr(GetParam().detail));
}

INSTANTIATE_TEST_SUITE_P(Files, GgufHostile, ::testing::ValuesIn(kHostile));

// --- split models -------------------------------------------------------------------------------

GgufTestWriter part(uint16_t number, uint16_t count) {
  GgufTestWriter writer;
  writer.number("split.no", GgufType::kU16, number)
      .number("split.count", GgufType::kU16, count)
      .number<int32_t>("split.tensors.count", GgufType::kI32, count)
      .tensor("tensor " + std::to_string(number), {uint64_t{number} + 1});
  return writer;
}

TEST(GgufSplit, OpensTheSiblingsOfTheFirstPart) {
  const TemporaryFolder folder;
  const auto first = folder.write("m-00001-of-00003.gguf", part(0, 3).text("name", "x").finish());
  folder.write("m-00002-of-00003.gguf", part(1, 3).finish());
  folder.write("m-00003-of-00003.gguf", part(2, 3).finish());
  const Result<Gguf> file = Gguf::open(first);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->parts().size(), 3u);
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_THAT(file->find_tensor("tensor 2")->shape, ElementsAre(3));
  EXPECT_EQ(file->get<std::string_view>("name").value(), "x");
}

TEST(GgufSplit, WrongSiblingsAreRefused) {
  const TemporaryFolder folder;
  const auto first = folder.write("m-00001-of-00002.gguf", part(0, 2).finish());
  const Result<Gguf> alone = Gguf::open(first);
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().fault, Fault::kNotFound);
  EXPECT_THAT(alone.error().message, HasSubstr("m-00002-of-00002.gguf"));

  const auto second = folder.write("m-00002-of-00002.gguf", part(0, 2).finish());
  EXPECT_THAT(Gguf::open(first).error().message, HasSubstr("split.no"));
  folder.write("m-00002-of-00002.gguf", part(1, 3).finish());
  EXPECT_THAT(Gguf::open(first).error().message, HasSubstr("split.count"));
  folder.write("m-00002-of-00002.gguf", part(1, 2).tensor("extra", {1}).finish());
  EXPECT_THAT(Gguf::open(first).error().message, HasSubstr("split.tensors.count"));
  folder.write("m-00002-of-00002.gguf", GgufTestWriter()
                                            .number<uint16_t>("split.no", GgufType::kU16, 1)
                                            .number<uint16_t>("split.count", GgufType::kU16, 2)
                                            .tensor("tensor 0", {1})
                                            .finish());
  EXPECT_THAT(Gguf::open(first).error().message, HasSubstr("twice"));
  folder.write("m-00002-of-00002.gguf", part(1, 2).finish());
  EXPECT_THAT(Gguf::open(second).error().message, HasSubstr("first part"));
  const auto misnamed = folder.write("m.gguf", part(0, 2).finish());
  EXPECT_THAT(Gguf::open(misnamed).error().message, HasSubstr("-00001-of-00002.gguf"));
  EXPECT_TRUE(Gguf::open(first));
}

// --- real files ---------------------------------------------------------------------------------

TEST(GgufRealFiles, EveryConformanceModelIsRead) {
  const std::filesystem::path models = conformance_data("models");
  if (!std::filesystem::exists(models)) GTEST_SKIP() << "no conformance models at " << models;
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(models)) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path());
    const Result<Gguf> file = Gguf::open(entry.path());
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(file->has("general.architecture"));
    EXPECT_FALSE(file->tensors().empty());
    ++count;
  }
  EXPECT_GE(count, 30);
}

TEST(GgufRealFiles, AllBytesOfThe24QuantizedFilesBelongToTensors) {
  const std::filesystem::path folder = conformance_data("models") / "llama-quantized";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no quantized models at " << folder;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path());
    const Result<Gguf> file = Gguf::open(entry.path());
    ASSERT_TRUE(file) << file.error().message;
    const uint8_t* end = nullptr;
    for (const Tensor& tensor : file->tensors())
      end = std::max(end, tensor.data + tensor.bytes);
    const std::span<const uint8_t> bytes = file->parts()[0].bytes();
    EXPECT_LT(bytes.data() + bytes.size() - end, 32);
  }
}

}  // namespace
}  // namespace inferno::model
