// For tests: templates rendered with one fixed set of variables, and what Jinja2 3.1.6 made of the
// same.
//
// The expected texts of the tables in this folder's tests come from Jinja2 itself, set up as
// Hugging Face does it, with the variables of kVariables and the clock at fixed_time().
#pragma once

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <chrono>
#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "token/chat_template.h"

namespace inferno::token::jinja {

inline constexpr std::string_view kVariables = R"({
  "messages": [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi <b>"},
    {"role": "assistant", "content": "Hello", "tool_calls": [
      {"id": "a1", "function": {"name": "f", "arguments": {"x": 1, "y": [1.5, null, true]}}}]}],
  "d": {"b": 2, "a": 1, "C": 3, "items": "own", "größe": "ä"},
  "l": [3, 1, 2], "s": "Hello World", "u": "Grüße, 你好 🙂!", "e": [], "n": null, "f": 1.5, "i": 7,
  "big": 18446744073709551615, "html": "<a href='x'>T&C</a>", "nested": [[1, 2], [3, [4, 5]]],
  "people": [{"name": "bob", "age": 30, "c": {"t": "x"}},
             {"name": "Alice", "age": 25, "c": {"t": "Y"}},
             {"name": "carl", "age": 30, "c": {"t": "x"}}],
  "multi": "line one\n  line two\n\nline four"})";

// Monday, the 23rd of November 2026, 9:05:07 in the process's time zone.
inline std::chrono::system_clock::time_point fixed_time() {
  std::tm time{};
  time.tm_year = 126;
  time.tm_mon = 10;
  time.tm_mday = 23;
  time.tm_hour = 9;
  time.tm_min = 5;
  time.tm_sec = 7;
  time.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&time));
}

inline Result<std::string> render_fixed(std::string_view source) {
  const auto parsed = ChatTemplate::parse(std::string(source), "<s>", "</s>");
  if (!parsed) return std::unexpected(parsed.error());
  ChatTemplate::Input input;
  input.extra = boost::json::parse(kVariables).as_object();
  input.now = fixed_time();
  return parsed->render(input);
}

// A template and the text it gives.
using Renders = std::pair<std::string_view, std::string_view>;
// A template and a part of the message it fails with.
using Fails = std::pair<std::string_view, std::string_view>;

inline void expect_renders(std::span<const Renders> table) {
  for (const auto& [source, expected] : table) {
    const auto text = render_fixed(source);
    if (text) {
      EXPECT_EQ(*text, expected) << source;
    } else {
      ADD_FAILURE() << source << "\n  fails: " << text.error().message;
    }
  }
}

inline void expect_fails(std::span<const Fails> table) {
  for (const auto& [source, message] : table) {
    const auto text = render_fixed(source);
    if (text) {
      ADD_FAILURE() << source << "\n  renders: " << *text;
    } else {
      EXPECT_TRUE(text.error().message.contains(message))
          << source << "\n  fails: " << text.error().message;
    }
  }
}

}  // namespace inferno::token::jinja
