#include "model/json_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <cstdlib>
#include <string>

#include "model/gguf_test_writer.h"

namespace inferno::model {
namespace {

using ::testing::HasSubstr;

TEST(JsonFile, ReadsAnObject) {
  const TemporaryFolder folder;
  const auto object = read_json_object(folder.write("a.json", R"( {"a": [1, {"b": "c"}]} )"));
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_EQ(object->at("a").as_array().at(0).as_int64(), 1);
}

TEST(JsonFile, AnAbsentFileIsNotFound) {
  const TemporaryFolder folder;
  const auto object = read_json_object(folder.path() / "absent.json");
  ASSERT_FALSE(object);
  EXPECT_EQ(object.error().fault, Fault::kNotFound);
}

TEST(JsonFile, RefusesWhatIsNotAnObject) {
  for (const char* text :
       {"", "  ", "[]", "1", "null", "{", "{}}", "{\"a\":1,}", "{'a':1}", "\"\xFF\"",
        "{\"a\":\"\xED\xA0\x80\"}", "{} {}", "{\"a\":01}", "{\"a\":nan}"}) {
    SCOPED_TRACE(text);
    const auto object = parse_json_object(text, "label");
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().fault, Fault::kCorrupt);
    EXPECT_THAT(object.error().message, HasSubstr("label"));
  }
}

TEST(JsonFile, DepthIsBounded) {
  const auto nested = [](size_t depth) {
    return R"({"a":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(parse_json_object(nested(kMaxJsonDepth - 1), "label"));
  EXPECT_FALSE(parse_json_object(nested(kMaxJsonDepth + 1), "label"));
  EXPECT_FALSE(parse_json_object(nested(10'000'000), "label"));
}

}  // namespace
}  // namespace inferno::model
