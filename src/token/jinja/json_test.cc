#include "token/jinja/json.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "token/jinja/parser.h"
#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

TEST(Json, ComesBackAsItWent) {
  const auto parsed = parse_template("");
  Render render(*parsed, fixed_time());
  const boost::json::value tree = boost::json::parse(
      R"({"z": [1, -2.5, null, true, {"y": "q\"\\\n\u0001é🙂"}], "a": {},
           "b": [], "c": 18446744073709551615})");
  const std::string text = to_json(render, from_json(render.budget(), tree), {});
  EXPECT_EQ(boost::json::parse(text), tree);
  EXPECT_TRUE(text.starts_with(R"({"z": [1, -2.5, null, true, {"y": "q\"\\\n\u0001é🙂"}], )"))
      << text;
}

TEST(Json, EscapesBeyondAsciiWhenAsked) {
  const auto parsed = parse_template("");
  Render render(*parsed, fixed_time());
  JsonStyle style;
  style.escape_non_ascii = true;
  EXPECT_EQ(to_json(render, render.text("é🙂\x7F"), style), "\"\\u00e9\\ud83d\\ude42\x7F\"");
}

TEST(Json, RefusesWhatJsonCannotSay) {
  const auto parsed = parse_template("");
  Render render(*parsed, fixed_time());
  EXPECT_THROW(to_json(render, Value::undefined("x"), {}), Failure);
  DictBuilder builder(render.budget());
  builder.set(Value::tuple(render.budget(), {}), Value::none());
  EXPECT_THROW(to_json(render, builder.finish(), {}), Failure);
}

}  // namespace
}  // namespace inferno::token::jinja
