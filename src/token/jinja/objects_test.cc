#include "token/jinja/objects.h"

#include "token/jinja/parser.h"
#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

TEST(Namespace, KeepsOneValueForAName) {
  const auto parsed = parse_template("");
  Render render(*parsed, fixed_time());
  Namespace space;
  Value out;
  EXPECT_FALSE(space.attribute(render, "x", out));
  space.set("x", Value::integer(1));
  space.set("y", Value::none());
  space.set("x", Value::integer(2));
  EXPECT_EQ(space.repr(render), "<Namespace {'x': 2, 'y': None}>");
  space.clear();
  EXPECT_FALSE(space.attribute(render, "x", out));
}

TEST(Iterators, GiveEveryElementOnce) {
  const auto parsed = parse_template("");
  Render render(*parsed, fixed_time());
  const auto count = [&](const Value& value) {
    const auto iterator = render.iterate(value);
    int elements = 0;
    for (Value item; iterator->next(render, item);)
      ++elements;
    Value item;
    EXPECT_FALSE(iterator->next(render, item));
    return elements;
  };
  EXPECT_EQ(count(render.text("a\xFF你")), 3);
  EXPECT_EQ(count(render.list({Value::none(), Value::none()})), 2);
  EXPECT_EQ(count(Value::undefined("x")), 0);
  DictBuilder builder(render.budget());
  builder.set("k", Value::none());
  EXPECT_EQ(count(builder.finish()), 1);
  EXPECT_THROW(render.iterate(Value::integer(1)), Failure);
}

TEST(Loop, PullsAtMostOneElementAhead) {
  const Renders table[] = {{"{% set ns = namespace(n=0) %}{% for x in l if ns.n < 2 %}{% set ns.n "
                            "= ns.n + 1 %}{{ x }}{% endfor %}",
                            "31"},
                           {"{% set g = l|map('string') %}{% for x in g %}{{ x }}{{ loop.nextitem "
                            "}}{{ g|list }}{% endfor %}",
                            "31['2']1[]"}};
  expect_renders(table);
}

TEST(Cycler, StartsAgainAfterItsLastItem) {
  Cycler cycler(0, {Value::integer(1), Value::integer(2)});
  EXPECT_EQ(static_cast<int>(cycler.next().as_int()), 1);
  EXPECT_EQ(static_cast<int>(cycler.next().as_int()), 2);
  EXPECT_EQ(static_cast<int>(cycler.next().as_int()), 1);
  cycler.reset();
  EXPECT_EQ(static_cast<int>(cycler.next().as_int()), 1);
}

}  // namespace
}  // namespace inferno::token::jinja
