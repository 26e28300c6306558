#include "token/jinja/parser.h"

#include <random>

#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

TEST(Parser, FindsUnknownFiltersBeforeRendering) {
  EXPECT_THROW(parse_template("{{ x|nosuch }}"), Failure);
  EXPECT_THROW(parse_template("{% for x in y %}{{ x is nosuch }}{% endfor %}"), Failure);
  EXPECT_NO_THROW(parse_template("{% if x %}{{ x|nosuch }}{% endif %}"));
  EXPECT_NO_THROW(parse_template("{% if x is nosuch %}{% endif %}"));
  EXPECT_THROW(parse_template("{% if x %}{% for y in x %}{{ x|nosuch }}{% endfor %}{% endif %}"),
               Failure);
}

TEST(Parser, BindsOperatorsAsJinja) {
  const Renders table[] = {{"{{ 2 + 3 * 4 ** 2 }}", "50"},
                           {"{{ not 1 in [2] and 3 }}", "3"},
                           {"{{ 1 if 0 else 2 if 0 else 3 }}", "3"},
                           {"{{ -2 ** 2 }}", "4"},
                           {"{{ 2 ** 3 ** 2 }}", "64"},
                           {"{{ 6 // 2 * 3 % 5 }}", "4"}};
  expect_renders(table);
  // `~` binds tighter than `+`, so this adds to a string.
  const Fails failing[] = {{"{{ 'a' ~ 1 + 1 }}", "TypeError"}, {"{{ 1 + 2 ~ 3 }}", "TypeError"}};
  expect_fails(failing);
}

TEST(Parser, EndsForAnyTokens) {
  std::mt19937 random(21);
  const std::string_view pieces[] = {
      "{{ ",  " }}",      "{% ",    " %}",      "if ",  "endif", "for ", "in ",  "endfor",
      "set ", "endset",   "macro ", "endmacro", "call", "x ",    "1 ",   "'s' ", "(",
      ")",    "[",        "]",      "{",        "}",    ",",     "=",    "|",    "upper ",
      "is ",  "defined ", ".",      ":",        "+ ",   "~ ",    "not ", "else "};
  for (int round = 0; round < 5000; ++round) {
    std::string source = random() % 2 == 0 ? "{{ " : "{% ";
    for (int i = 0; i < 14; ++i)
      source += pieces[random() % std::size(pieces)];
    const auto text = render_fixed(source);
    if (!text) {
      EXPECT_TRUE(text.error().message.contains("line ")) << source;
    }
  }
}

}  // namespace
}  // namespace inferno::token::jinja
