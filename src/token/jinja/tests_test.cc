#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

constexpr Renders kTests[] = {
    {"{{ nope is defined }}", "False"},
    {"{{ l.append is defined }}", "False"},
    {"{{ s.__class__ is defined }}", "False"},
    {"{{ ('x' if false) is defined }}", "False"},
    {"{{ e|first is defined }}", "False"},
    {"{{ (l|select('gt',100)) is iterable }}", "True"},
    {"{{ html|safe is escaped }}", "True"},
    {"{{ d|attr('items') is callable }}", "True"},
    {"{{ d|attr('a') is defined }}", "False"},
    {"{{ s|attr('__class__') is defined }}", "False"},
    {"{{ 'abc' is string }}", "True"},
    {"{{ 1 is number }}", "True"},
    {"{{ 1.0 is float }}", "True"},
    {"{{ 1 is integer }}", "True"},
    {"{{ true is integer }}", "False"},
    {"{{ true is number }}", "True"},
    {"{{ true is boolean }}", "True"},
    {"{{ none is none }}", "True"},
    {"{{ d is mapping }}", "True"},
    {"{{ l is sequence }}", "True"},
    {"{{ s is sequence }}", "True"},
    {"{{ d is sequence }}", "True"},
    {"{{ s is iterable }}", "True"},
    {"{{ 5 is iterable }}", "False"},
    {"{{ nope is iterable }}", "True"},
    {"{{ nope is sequence }}", "True"},
    {"{{ d is iterable }}", "True"},
    {"{{ 3 is odd }}", "True"},
    {"{{ 4 is even }}", "True"},
    {"{{ 9 is divisibleby 3 }}", "True"},
    {"{{ 9 is divisibleby(4) }}", "False"},
    {"{{ 'a' is in 'abc' }}", "True"},
    {"{{ 1 is in [1] }}", "True"},
    {"{{ 1 is not in [1] }}", "False"},
    {"{{ 1 is eq 1 }}", "True"},
    {"{{ 1 is equalto(2) }}", "False"},
    {"{{ 2 is gt 1 }}", "True"},
    {"{{ 2 is le 1 }}", "False"},
    {"{{ 'a' is lower }}", "True"},
    {"{{ 'A1' is upper }}", "True"},
    {"{{ '1' is upper }}", "False"},
    {"{{ none is sameas none }}", "True"},
    {"{{ 1 is sameas 1 }}", "True"},
    {"{{ true is true }}", "True"},
    {"{{ 1 is true }}", "False"},
    {"{{ false is false }}", "True"},
    {"{{ 0 is false }}", "False"},
    {"{{ range is callable }}", "True"},
    {"{{ 'upper' is filter }}", "True"},
    {"{{ 'odd' is test }}", "True"},
    {"{{ 'zz' is filter }}", "False"},
    {"{{ s is not string }}", "False"},
    {"{{ s is defined and s is string }}", "True"},
    {"{{ nope is undefined }}", "True"},
    {"{{ 2 is ne 3 }}", "True"},
    {"{{ 'x' is not none }}", "True"},
    {"{{ loop is defined }}", "False"},
    {"{{ not none is none }}", "False"},
    {"{{ messages[2].tool_calls is defined }}", "True"},
    {"{{ messages[0].tool_calls is defined }}", "False"},
    {"{{ messages[0].tool_calls is none }}", "False"},
    {"{{ 'abc'|upper is upper }}", "True"},
    {"{{ 'x' ~ 1 is string }}", "xFalse"},
    {"{{ 1 + 2 is odd }}", "1"},
    {"{{ l is sameas l }}", "True"},
    {"{{ d.a is sameas 1 }}", "True"},
    {"{{ s is escaped }}", "False"},
};

constexpr Fails kFailingTests[] = {
    {"{{ 'x' is odd }}", "TypeError: not all arguments converted during string formatting"},
    {"{{ 1 is nosuch }}", "TemplateSyntaxError: No test named 'nosuch'."},
    {"{{ foo is defined and foo.bar }} {{ foo.bar is defined if foo is defined else 'no' }}",
     "TemplateSyntaxError: expected token 'end of print statement', got 'foo'"},
    {"{{ 1 is odd is even }}", "TemplateSyntaxError: You cannot chain multiple tests with is"},
};

TEST(JinjaTest, GivesTheTextOfJinja2) {
  expect_renders(kTests);
}

TEST(JinjaTest, FailsWhereJinja2Fails) {
  expect_fails(kFailingTests);
}

}  // namespace
}  // namespace inferno::token::jinja
