#include "token/jinja/format.h"

#include <cstdio>
#include <random>

#include "token/jinja/parser.h"
#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

TEST(Format, PadsByCodePoints) {
  EXPECT_EQ(pad("é", {3, Alignment::kLeft, "·"}), "é··");
  EXPECT_EQ(pad("é", {3, Alignment::kRight, " "}), "  é");
  EXPECT_EQ(pad("ab", {5, Alignment::kCenter, "."}), "..ab.");
  EXPECT_EQ(pad("abc", {6, Alignment::kCenter, "."}), ".abc..");
  EXPECT_EQ(pad("abc", {2, Alignment::kCenter, "."}), "abc");
}

// The C library's printf means the same by these flags.
TEST(Format, AgreesWithPrintfOnNumbers) {
  const auto parsed = parse_template("");
  Render render(*parsed, fixed_time());
  std::mt19937 random(4);
  const std::string_view flags[] = {"", "-", "0", "+", " ", "+0", "-+", "#"};
  for (int round = 0; round < 3000; ++round) {
    const bool real = random() % 2 == 0;
    std::string format = "%" + std::string(flags[random() % std::size(flags)]);
    if (random() % 2 == 0) format += std::to_string(1 + random() % 14);
    if (real) format += "." + std::to_string(random() % 8);
    const std::string_view kinds = real ? "feEgG" : "d";
    format += kinds[random() % kinds.size()];
    if (real && format.contains('#')) continue;  // keeps a bare point in C only
    const int whole = static_cast<int>(random() % 200001) - 100000;
    char expected[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (real) {
      std::snprintf(expected, sizeof expected, format.c_str(), whole / 64.0);
    } else {
      std::snprintf(expected, sizeof expected, format.c_str(), whole);
    }
#pragma GCC diagnostic pop
    const Value value = real ? Value::real(whole / 64.0) : Value::integer(whole);
    EXPECT_EQ(format_percent(render, render.text(format), value).str(), expected) << format;
  }
}

}  // namespace
}  // namespace inferno::token::jinja
