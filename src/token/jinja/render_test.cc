// What a hostile template or conversation can cost, and that nothing it builds is lost or crashes.
#include "token/jinja/render.h"

#include <string>

#include "token/jinja/library.h"
#include "token/jinja/parser.h"
#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

std::string repeated(std::string_view part, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i)
    out += part;
  return out;
}

void expect_failure(const std::string& source, std::string_view message) {
  const auto text = render_fixed(source);
  ASSERT_FALSE(text.has_value()) << source.substr(0, 200);
  EXPECT_TRUE(text.error().message.contains(message)) << text.error().message;
}

// At a few hundred bytes of stack for each, more than a stack holds.
constexpr size_t kMany = 50'000;

TEST(Render, RefusesDeepNestingWithoutCrashing) {
  for (std::string_view opening :
       {"(", "[", "{1:", "not ", "-", "(1,", "x[", "f(", "a if ", "1 if 1 else "}) {
    expect_failure("{{ " + repeated(opening, kMany), "nested deeper");
  }
  for (std::string_view block :
       {"{% if 1 %}", "{% for x in y %}", "{% set x %}", "{% filter upper %}", "{% macro m() %}"}) {
    expect_failure(repeated(block, kMany), "nested deeper");
  }
  expect_failure("{% set " + repeated("(", kMany), "nested deeper");
}

TEST(Render, RefusesLongChainsWithoutCrashing) {
  for (std::string_view link :
       {" + 1", ".a", "[0]", "|string", " and 1", "()", " * 2", " is odd"}) {
    const auto text = render_fixed("{{ 1" + repeated(link, kMany) + " }}");
    EXPECT_FALSE(text.has_value()) << link;
  }
}

TEST(Render, AllowsWideTemplates) {
  const auto concat = render_fixed("{{ ''" + repeated(" ~ 'a'", 10'000) + " }}");
  ASSERT_TRUE(concat.has_value()) << concat.error().message;
  EXPECT_EQ(concat->size(), 10'000u);
  const auto sum = render_fixed("{{ 0" + repeated(" + 1", 300) + " }}");
  ASSERT_TRUE(sum.has_value()) << sum.error().message;
  EXPECT_EQ(*sum, "300");
  const auto branches =
      render_fixed("{% if 0 %}" + repeated("{% elif 0 %}", 5'000) + "{% else %}x{% endif %}");
  ASSERT_TRUE(branches.has_value()) << branches.error().message;
  EXPECT_EQ(*branches, "x");
}

TEST(Render, StopsEndlessWork) {
  expect_failure("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                 "steps");
  expect_failure(
      "{% set ns = namespace(s='x') %}{% for i in range(100000) %}"
      "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "bytes");
  expect_failure(
      "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}"
      "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l == [ns.l] }}{{ ns.l }}",
      "more than");
}

TEST(Render, StopsEndlessRecursion) {
  expect_failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recurses deeper");
  expect_failure("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "recurses deeper");
  expect_failure(
      "{% macro m(n) %}{% if n %}{% for i in [1] %}{{ [m(n)]|map('string')|join }}"
      "{% endfor %}{% endif %}{% endmacro %}{{ m(1) }}",
      "recurses deeper");
}

TEST(Render, BoundsOutputAndValues) {
  expect_failure("{{ 'x' * 100000000 }}", "more than");
  expect_failure("{{ [0] * 100000000 }}", "more than");
  expect_failure("{{ 'x' * 9223372036854775807 }}", "more than");
  expect_failure("{{ '%99999999d' % 1 }}", "more than");
  expect_failure("{{ '{:99999999999999999999}'.format(1) }}", "more than");
  expect_failure("{{ 'x'.center(100000000) ~ 'x'.center(100000000) }}", "bytes");
  expect_failure("{{ ('x' * 10000000).replace('x', 'yyyyyyyyyy') }}", "bytes");
  expect_failure("{% for i in range(1000) %}{{ 'x' * 100000 }}{% endfor %}", "rendered text");
  expect_failure("{{ range(100001)|list }}", "Range too big");
  expect_failure("{{ ('x' * 1000000)|list|tojson(indent=1000) }}", "more than");
  expect_failure(
      "{% set ns = namespace(l=[]) %}{% for i in range(100) %}"
      "{% set ns.l = ns.l + ['x' * 10000000 ~ i] %}{% endfor %}",
      "values need more than");
}

TEST(Render, BoundsTheNestingOfValues) {
  expect_failure(
      "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor "
      "%}",
      "nested deeper");
  expect_failure(
      "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}"
      "{% set ns.l = ns.l|map('string') %}{% endfor %}",
      "nested deeper");
  expect_failure(
      "{% set ns = namespace(l=range(1000)) %}{% for i in range(900) %}{% for j in ns.l %}"
      "{% set ns.l = loop %}{% break %}{% endfor %}{% endfor %}",
      "nested deeper");
  expect_failure(
      "{% set ns = namespace() %}{% macro a() %}{% macro b() %}{{ a() }}{% endmacro %}"
      "{% set ns.f = b %}{% endmacro %}{{ a() }}{% for i in range(100000) %}{{ ns.f() }}"
      "{% macro c(f) %}{% macro d() %}{{ f }}{% endmacro %}{% set ns.f = d %}{% endmacro %}"
      "{{ c(ns.f) }}{{ ns.f() }}{{ 1 // 0 }}{% endfor %}",
      "ZeroDivisionError");
}

// A leak checker sees what these leave behind.
TEST(Render, FreesCircles) {
  for (std::string_view source :
       {"{% set ns = namespace() %}{% set ns.me = ns %}{% set ns.list = [ns, [ns]] %}",
        "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}",
        "{% macro m() %}{{ m }}{% endmacro %}{% set ns = namespace(m=m) %}",
        "{% set ns = namespace() %}{% for x in [1, 2] %}{% set ns.loop = loop %}"
        "{% set y = loop.changed([loop]) %}{% set z = loop.cycle %}{% endfor %}",
        "{% set ns = namespace() %}{% macro m(c) %}{% set ns.c = caller %}{{ caller() }}{% "
        "endmacro %}"
        "{% call m() %}x{% endcall %}",
        "{% set ns = namespace() %}{% for i in range(2000) %}{% set ns.n = namespace(p=ns.n) %}{% "
        "endfor %}"}) {
    const auto text = render_fixed(source);
    EXPECT_TRUE(text.has_value()) << source << text.error().message;
  }
}

TEST(Render, RefusesToPrintACircle) {
  expect_failure("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}", "recurses deeper");
}

TEST(Render, GivesMemoryBackToItsBudget) {
  const auto parsed =
      parse_template("{% for i in range(500) %}{% set x = 'y' * 1000000 %}{% endfor %}done");
  Render render(*parsed, fixed_time());
  define_globals(render);
  const size_t before = render.budget().live_bytes();
  EXPECT_EQ(render.run(), "done");
  EXPECT_EQ(render.budget().live_bytes(), before);
}

TEST(Render, NamesTheLineOfAFailure) {
  expect_failure("a\nb\n{{ 1 // 0 }}", "line 3: ZeroDivisionError");
  expect_failure("{% macro m() %}\n\n{{ nope.x }}{% endmacro %}\n{{ m() }}",
                 "line 3: UndefinedError");
  expect_failure("{% macro m() %}\n\nx{% endmacro %}\n{{ m() + 1 }}", "line 4: TypeError");
  expect_failure("a\r\nb\r\n{% if %}", "line 3: TemplateSyntaxError");
  expect_failure("{#\n\n-#}\n\n{{ 'x", "line 5: TemplateSyntaxError");
  expect_failure("{%- raw -%}\n\n{%- endraw -%}\n\n{{ $ }}", "line 5: TemplateSyntaxError");
}

TEST(Render, RefusesIntegersBeyondItsBits) {
  expect_failure("{{ 10 ** 40 }}", "OverflowError");
  expect_failure("{{ 99999999999999999999999999999999999999999999 }}", "127 bits");
  expect_failure("{{ 10 ** 38 + 10 ** 38 }}", "OverflowError");
  expect_failure("{{ -(10 ** 38) * 10 }}", "OverflowError");
  expect_failure("{{ (2 ** 126 * 2 - 1 + 2 ** 126) // -1 }}", "OverflowError");
  expect_failure("{{ '9' * 50 | int }}{{ ('9' * 50)|int }}", "OverflowError");
}

}  // namespace
}  // namespace inferno::token::jinja
