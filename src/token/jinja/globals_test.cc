#include <ctime>

#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

TEST(Globals, ShowTheTimeTheyAreGiven) {
  for (std::string_view format :
       {"%Y-%m-%d", "%d %b %Y", "%H:%M:%S", "%A, %B %e", "%j %U %p %I", "%%", "äö%y"}) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(fixed_time());
    std::tm local{};
    localtime_r(&seconds, &local);
    char expected[128];
    std::strftime(expected, sizeof expected, std::string(format).c_str(), &local);
    const auto text = render_fixed(fmt::format("{{{{ strftime_now('{}') }}}}", format));
    EXPECT_EQ(text.value_or("failed"), expected) << format;
  }
  const Renders table[] = {{"{{ strftime_now('') }}|", "|"},
                           {"{{ strftime_now('%f') }}", "000000"}};
  expect_renders(table);
}

TEST(Globals, CountRangesInBothDirections) {
  const Renders table[] = {{"{{ range(3)|list }}", "[0, 1, 2]"},
                           {"{{ range(7, 0, -3)|list }}", "[7, 4, 1]"},
                           {"{{ range(0, 7, 3)|list }}", "[0, 3, 6]"},
                           {"{{ range(5, 5)|list }}{{ range(-1)|list }}", "[][]"},
                           {"{{ range(100000)|length }}", "100000"}};
  expect_renders(table);
  const Fails failing[] = {{"{{ range(0, 100001) }}", "Range too big"},
                           {"{{ range(2 ** 120) }}", "too large"},
                           {"{{ range('a') }}", "TypeError"},
                           {"{{ strftime_now() }}", "missing required argument"},
                           {"{{ strftime_now('%Y' * 3000) }}", "limit"}};
  expect_fails(failing);
}

TEST(Globals, CanBeShadowed) {
  const Renders table[] = {{"{% set range = 5 %}{{ range }}", "5"}};
  expect_renders(table);
}

}  // namespace
}  // namespace inferno::token::jinja
