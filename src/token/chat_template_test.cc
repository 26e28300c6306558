#include "token/chat_template.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/conformance_data.h"
#include "token/jinja/template_testing.h"
#include "token/tokenizer_testing.h"

namespace inferno::token {
namespace {

using testing::read_file;

const std::filesystem::path kTemplates = conformance_data("chat_templates");

std::string string_at(const boost::json::object& row, std::string_view key) {
  const auto& text = row.at(key).as_string();
  return {text.data(), text.size()};
}

ChatTemplate::Input input_of(const boost::json::object& row) {
  ChatTemplate::Input input;
  input.messages = row.at("messages").as_array();
  if (const auto* tools = row.if_contains("tools")) input.tools = *tools;
  input.add_generation_prompt = row.at("add_generation_prompt").as_bool();
  if (const auto* thinking = row.if_contains("enable_thinking")) {
    input.extra["enable_thinking"] = *thinking;
  }
  std::tm date{};
  strptime(string_at(row, "date").c_str(), "%Y-%m-%dT%H:%M:%S", &date);
  date.tm_isdst = -1;
  input.now = std::chrono::system_clock::from_time_t(std::mktime(&date));
  return input;
}

// What Python says behind the name of its exception.
std::string words_of(const std::string& error) {
  return error.substr(error.find(": ") + 2);
}

void check_row(const boost::json::object& row) {
  SCOPED_TRACE(string_at(row, "template") + ", " + string_at(row, "case"));
  const auto parsed = ChatTemplate::parse(read_file(kTemplates / string_at(row, "template")),
                                          string_at(row, "bos_token"), string_at(row, "eos_token"));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  const auto text = parsed->render(input_of(row));
  if (row.contains("error")) {
    ASSERT_FALSE(text.has_value()) << *text;
    EXPECT_EQ(text.error().fault, Fault::kInvalid);
    EXPECT_TRUE(text.error().message.contains(words_of(string_at(row, "error"))))
        << text.error().message << "\n"
        << string_at(row, "error");
    return;
  }
  ASSERT_TRUE(text.has_value()) << text.error().message;
  EXPECT_EQ(*text, string_at(row, "expected"));
}

TEST(ChatTemplate, GivesTheTextOfJinja2ForTheTemplatesOfRealModels) {
  std::ifstream cases(kTemplates / "cases.jsonl");
  if (!cases) GTEST_SKIP() << "no " << kTemplates / "cases.jsonl";
  size_t row_count = 0;
  for (std::string line; std::getline(cases, line); ++row_count) {
    check_row(boost::json::parse(line).as_object());
  }
  EXPECT_GT(row_count, 0u);
}

TEST(ChatTemplate, RefusesWithTheTemplatesOwnWords) {
  const auto parsed = ChatTemplate::parse(
      "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% "
      "endif %}ok",
      "", "");
  ASSERT_TRUE(parsed.has_value());
  ChatTemplate::Input input;
  input.messages = boost::json::parse(R"([{"role": "system", "content": ""}])").as_array();
  const auto refused = parsed->render(input);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().fault, Fault::kInvalid);
  EXPECT_EQ(refused.error().message, "System role not supported");
  input.messages = boost::json::parse(R"([{"role": "user", "content": ""}])").as_array();
  EXPECT_EQ(parsed->render(input).value_or("failed"), "ok");
}

TEST(ChatTemplate, DefinesWhatHuggingFaceDefines) {
  const auto parsed = ChatTemplate::parse(
      "{{ bos_token }}{{ eos_token }} {{ tools }} {{ documents }} {{ add_generation_prompt }} "
      "{{ enable_thinking is defined }} {{ messages }}",
      "<s>", "</s>");
  ASSERT_TRUE(parsed.has_value());
  ChatTemplate::Input input;
  EXPECT_EQ(parsed->render(input).value_or("failed"), "<s></s> None None False False []");
  input.add_generation_prompt = true;
  input.tools = boost::json::parse(R"([{"a": 1}])");
  input.extra["enable_thinking"] = false;
  input.extra["eos_token"] = "<|end|>";
  EXPECT_EQ(parsed->render(input).value_or("failed"), "<s><|end|> [{'a': 1}] None True True []");
}

TEST(ChatTemplate, KeepsTheOrderOfKeysAndTheKindOfNumbers) {
  const auto parsed = ChatTemplate::parse("{{ x | tojson }}{{ x }}", "", "");
  ASSERT_TRUE(parsed.has_value());
  ChatTemplate::Input input;
  input.extra["x"] = boost::json::parse(
      R"({"z": 18446744073709551615, "a": -9223372036854775808, "m": 1.0, "b": 1e-7})");
  EXPECT_EQ(parsed->render(input).value_or("failed"),
            R"({"z": 18446744073709551615, "a": -9223372036854775808, "m": 1.0, "b": 1e-07})"
            R"({'z': 18446744073709551615, 'a': -9223372036854775808, 'm': 1.0, 'b': 1e-07})");
}

TEST(ChatTemplate, RefusesWhatIsNoTemplate) {
  const auto parsed = ChatTemplate::parse("a\n{% if x %}\nb", "", "");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().fault, Fault::kInvalid);
  EXPECT_TRUE(parsed.error().message.contains("line 3")) << parsed.error().message;
  EXPECT_FALSE(ChatTemplate::parse(std::string(5'000'000, ' '), "", "").has_value());
}

TEST(ChatTemplate, RefusesAConversationNestedTooDeeply) {
  const auto parsed = ChatTemplate::parse("{{ messages }}", "", "");
  ASSERT_TRUE(parsed.has_value());
  boost::json::value nested = boost::json::array{};
  for (int i = 0; i < 1000; ++i)
    nested = boost::json::array{std::move(nested)};
  ChatTemplate::Input input;
  input.messages = nested.as_array();
  const auto text = parsed->render(input);
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().fault, Fault::kTooLong);
}

TEST(ChatTemplate, RendersOnManyThreadsAtOnce) {
  const auto parsed = ChatTemplate::parse(
      "{% set ns = namespace(t='') %}{% macro m(x) %}[{{ x }}]{% endmacro %}{% for m1 in messages "
      "%}"
      "{% set ns.t = ns.t ~ m(m1.content | upper ~ 'ä') %}{% endfor %}{{ ns.t }}",
      "", "");
  ASSERT_TRUE(parsed.has_value());
  ChatTemplate::Input input;
  input.messages = boost::json::parse(R"([{"content": "a"}, {"content": "ß"}])").as_array();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 200; ++j)
        EXPECT_EQ(parsed->render(input).value_or("failed"), "[Aä][SSä]");
    });
  }
  for (auto& thread : threads)
    thread.join();
}

}  // namespace
}  // namespace inferno::token
