#include "serve/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace inferno::serve {
namespace {

namespace json = boost::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The error of reading one field, or "".
template <typename Read>
std::string error_of(const std::string& body, Read read) {
  const auto object = parse_json_object(body);
  if (!object) return object.error().message;
  FieldReader fields(*object);
  read(fields);
  return fields.error() ? fields.error()->message : "";
}

TEST(Fields, AbsentAndNullReadAsNone) {
  const auto object = *parse_json_object(R"({"a": null})");
  FieldReader fields(object);
  EXPECT_EQ(fields.number("a"), std::nullopt);
  EXPECT_EQ(fields.integer("b"), std::nullopt);
  EXPECT_EQ(fields.boolean("a"), std::nullopt);
  EXPECT_EQ(fields.text("b"), std::nullopt);
  EXPECT_EQ(fields.any("a"), nullptr);
  EXPECT_FALSE(fields.error());
}

TEST(Fields, IntegersServeAsNumbersAndWholeNumbersAsIntegers) {
  const auto object =
      *parse_json_object(R"({"a": 1, "b": 16.0, "c": 1e3, "d": 18446744073709551615})");
  FieldReader fields(object);
  EXPECT_EQ(fields.number("a"), 1.0);
  EXPECT_EQ(fields.integer("b"), 16);
  EXPECT_EQ(fields.integer("c"), 1000);
  EXPECT_EQ(fields.number("d"), 18446744073709551615.0);
  EXPECT_FALSE(fields.error());
}

TEST(Fields, RefusalsNameFieldValueAndLimit) {
  const auto number = [](FieldReader& f) { f.number("t", {.min = 0, .max = 2}); };
  EXPECT_EQ(error_of(R"({"t": -1})", number),
            "t is -1, must be a number of at least 0 and at most 2");
  EXPECT_EQ(error_of(R"({"t": "1"})", number),
            "t is \"1\", must be a number of at least 0 and at most 2");
  EXPECT_NE(error_of(R"({"t": 1e400})", number), "");
  EXPECT_NE(error_of(R"({"t": true})", number), "");
  EXPECT_NE(error_of(R"({"t": [1]})", number), "");
  const auto integer = [](FieldReader& f) { f.integer("n", {1, 9}); };
  EXPECT_EQ(error_of(R"({"n": 10})", integer), "n is 10, must be an integer from 1 to 9");
  EXPECT_NE(error_of(R"({"n": 1.5})", integer), "");
  EXPECT_NE(error_of(R"({"n": 1e30})", integer), "");
  EXPECT_NE(error_of(R"({"n": 99999999999999999999999})", integer), "");
  const auto ids = [](FieldReader& f) { f.token_ids("ids", 100); };
  EXPECT_EQ(error_of(R"({"ids": [1, 100]})", ids),
            "ids[1] is 100, must be a token id from 0 to 99");
  EXPECT_NE(error_of(R"({"ids": [-1]})", ids), "");
  EXPECT_NE(error_of(R"({"ids": ["1"]})", ids), "");
}

TEST(Fields, KeepsTheFirstRefusal) {
  const auto object = *parse_json_object(R"({"a": "x", "b": "y"})");
  FieldReader fields(object);
  fields.integer("b");
  fields.integer("a");
  EXPECT_EQ(fields.error()->param, "b");
}

TEST(Fields, TextsTakeAStringOrAList) {
  const auto object = *parse_json_object(R"({"a": "x", "b": ["y", "z"], "c": []})");
  FieldReader fields(object);
  EXPECT_THAT(*fields.texts("a"), ElementsAre("x"));
  EXPECT_THAT(*fields.texts("b"), ElementsAre("y", "z"));
  EXPECT_THAT(*fields.texts("c"), ElementsAre());
  EXPECT_NE(error_of(R"({"a": ["x", 1]})", [](FieldReader& f) { f.texts("a"); }), "");
}

TEST(Fields, BodiesThatAreNoJsonObjectAreRefused) {
  for (const char* body :
       {"", "{", "[]", "1", "nul", "{\"a\":NaN}", "{\"a\":1}x", "{\"a\":\"\xff\"}",
        "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00x\"}", "{'a':1}", "{\"a\":01}"}) {
    EXPECT_FALSE(parse_json_object(body)) << body;
  }
  EXPECT_THAT(parse_json_object(std::string(100'000, '[')).error().message,
              HasSubstr("nests deeper"));
  std::string deep = "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}";
  EXPECT_TRUE(parse_json_object(deep));
}

TEST(Fields, LongValuesAreCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 100; ++i)
    text += "\xC3\xA9";
  const std::string cut = shown(json::value(text));
  EXPECT_LT(cut.size(), 100u);
  EXPECT_TRUE(cut.ends_with("\xC3\xA9...\"")) << cut;
  EXPECT_EQ(shown(json::array{1, 2}), "a list of 2");
  EXPECT_EQ(shown(json::value(-0.5)), "-0.5");
}

}  // namespace
}  // namespace inferno::serve
