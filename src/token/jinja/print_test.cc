#include "token/jinja/print.h"

#include <cmath>
#include <cstring>
#include <random>

#include "token/jinja/parser.h"
#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

TEST(Print, WritesFloatsAsPython) {
  const std::pair<double, std::string_view> table[] = {{1.0, "1.0"},
                                                       {-0.0, "-0.0"},
                                                       {0.1, "0.1"},
                                                       {1e15, "1000000000000000.0"},
                                                       {1e16, "1e+16"},
                                                       {0.0001, "0.0001"},
                                                       {0.00001, "1e-05"},
                                                       {1.5e-7, "1.5e-07"},
                                                       {1e100, "1e+100"},
                                                       {5e-324, "5e-324"},
                                                       {1e22, "1e+22"},
                                                       {123456789.125, "123456789.125"},
                                                       {HUGE_VAL, "inf"},
                                                       {-HUGE_VAL, "-inf"},
                                                       {NAN, "nan"},
                                                       {1.0 / 3, "0.3333333333333333"},
                                                       {2.5e15, "2500000000000000.0"}};
  for (const auto& [value, text] : table)
    EXPECT_EQ(float_text(value), text);
}

TEST(Print, WritesFloatsThatReadBackTheSame) {
  std::mt19937_64 random(9);
  for (int round = 0; round < 2000; ++round) {
    const uint64_t bits = random();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    EXPECT_EQ(std::strtod(float_text(value).c_str(), nullptr), value) << float_text(value);
  }
}

TEST(Print, WritesTheWidestIntegers) {
  const Int largest = static_cast<Int>(~UnsignedInt{0} >> 1);
  EXPECT_EQ(int_text(largest), "170141183460469231731687303715884105727");
  EXPECT_EQ(int_text(-largest - 1), "-170141183460469231731687303715884105728");
}

TEST(Print, BreaksWhatIsWiderThanEightyColumns) {
  const auto parsed = parse_template("");
  Render render(*parsed, fixed_time());
  DictBuilder builder(render.budget());
  builder.set("b", render.text(std::string(60, 'x')));
  builder.set("a", render.list({Value::integer(1), render.text(std::string(30, 'y'))}));
  EXPECT_EQ(to_pretty(render, builder.finish()),
            "{'a': [1, '" + std::string(30, 'y') + "'],\n 'b': '" + std::string(60, 'x') + "'}");
}

}  // namespace
}  // namespace inferno::token::jinja
