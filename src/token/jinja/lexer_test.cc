#include "token/jinja/lexer.h"

#include <gtest/gtest.h>

#include <random>

namespace inferno::token::jinja {
namespace {

// The tokens' texts with a mark for their kind: |data| {{ name }}.
std::string sketch(std::string_view source) {
  std::string out;
  for (const Token& token : tokenize(source)) {
    switch (token.kind) {
      case TokenKind::kData:
        out += "|" + token.text + "|";
        break;
      case TokenKind::kPrintBegin:
        out += "{{";
        break;
      case TokenKind::kPrintEnd:
        out += "}}";
        break;
      case TokenKind::kBlockBegin:
        out += "{%";
        break;
      case TokenKind::kBlockEnd:
        out += "%}";
        break;
      case TokenKind::kString:
        out += "'" + token.text + "'";
        break;
      case TokenKind::kEnd:
        break;
      default:
        out += " " + token.text + " ";
    }
  }
  return out;
}

TEST(Lexer, TrimsOneLineBreakBehindABlockAndNoneBehindAPrint) {
  EXPECT_EQ(sketch("{% a %}\n\nb"), "{% a %}|\nb|");
  EXPECT_EQ(sketch("{{ a }}\n\nb"), "{{ a }}|\n\nb|");
  EXPECT_EQ(sketch("{# a #}\n\nb"), "|\nb|");
}

TEST(Lexer, StripsABlocksIndentation) {
  EXPECT_EQ(sketch("x\n  {% a %}"), "|x\n|{% a %}");
  EXPECT_EQ(sketch("x  {% a %}"), "|x  |{% a %}");
  EXPECT_EQ(sketch("x\n  {%+ a %}"), "|x\n  |{% a %}");
  EXPECT_EQ(sketch("x\n  {{ a }}"), "|x\n  |{{ a }}");
  EXPECT_EQ(sketch("x\n  {{- a -}}  \n y"), "|x|{{ a }}|y|");
}

TEST(Lexer, DropsOneLineBreakAtTheEnd) {
  EXPECT_EQ(sketch("a\n"), "|a|");
  EXPECT_EQ(sketch("a\n\n"), "|a\n|");
  EXPECT_EQ(sketch("a\r\n"), "|a|");
  EXPECT_EQ(sketch("a\rb"), "|a\nb|");
}

TEST(Lexer, ReadsNumbersAsPythonDoes) {
  const auto tokens = tokenize("{{ 1_000 0x1F 0b11 0o17 1.5 2e3 1_0.5e-1 7.x 1.e }}");
  EXPECT_EQ(static_cast<int>(tokens[1].integer), 1000);
  EXPECT_EQ(static_cast<int>(tokens[2].integer), 31);
  EXPECT_EQ(static_cast<int>(tokens[3].integer), 3);
  EXPECT_EQ(static_cast<int>(tokens[4].integer), 15);
  EXPECT_EQ(tokens[5].real, 1.5);
  EXPECT_EQ(tokens[6].real, 2000.0);
  EXPECT_EQ(tokens[7].real, 1.05);
  EXPECT_EQ(sketch("{{ 7.x }}"), "{{ 7  .  x }}");
  EXPECT_EQ(sketch("{{ a.1.2 }}"), "{{ a  .  1  .  2 }}");
}

TEST(Lexer, KeepsClosingBracesInsideBrackets) {
  EXPECT_EQ(sketch("{{ {'a': {'b': 1}} }}x"), "{{ { 'a' :  { 'b' :  1  }  } }}|x|");
  EXPECT_EQ(sketch("{{ '}}' }}"), "{{'}}'}}");
}

TEST(Lexer, ResolvesEscapes) {
  EXPECT_EQ(tokenize(R"({{ "\n\t\\\"\x41\u00e9\U0001F642\101\q" }})")[1].text, "\n\t\\\"Aé🙂A\\q");
  EXPECT_EQ(tokenize(R"({{ "\ud83d\ude42" }})")[1].text, "🙂");
  EXPECT_THROW(tokenize(R"({{ "\x4" }})"), Failure);
}

TEST(Lexer, CountsLines) {
  const auto tokens = tokenize("a\n{#\n\n#}\nb\n{{\nx }}");
  EXPECT_EQ(tokens[0].line, 1);
  EXPECT_EQ(tokens[tokens.size() - 3].text, "x");
  EXPECT_EQ(tokens[tokens.size() - 3].line, 7);
}

TEST(Lexer, EndsForAnyBytes) {
  std::mt19937 random(11);
  const std::string_view pieces[] = {"{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "raw", "endraw",
                                     " ",  "\n", "'",  "\"", "\\", "1",  ".", "e", "x",   "\xFF"};
  for (int round = 0; round < 3000; ++round) {
    std::string source;
    for (int i = 0; i < 12; ++i)
      source += pieces[random() % std::size(pieces)];
    try {
      EXPECT_EQ(tokenize(source).back().kind, TokenKind::kEnd) << source;
    } catch (const Failure& failure) {
      EXPECT_GE(failure.line, 1) << source;
    }
  }
}

}  // namespace
}  // namespace inferno::token::jinja
