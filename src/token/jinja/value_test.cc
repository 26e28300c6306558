#include "token/jinja/value.h"

#include <gtest/gtest.h>

#include <random>

namespace inferno::token::jinja {
namespace {

TEST(Value, TakesThirtyTwoBytes) {
  EXPECT_EQ(sizeof(Value), 32u);
}

TEST(Value, ComparesNumbersAcrossTheirKinds) {
  Budget budget;
  EXPECT_TRUE(equal(budget, Value::integer(1), Value::real(1.0)));
  EXPECT_TRUE(equal(budget, Value::boolean(true), Value::integer(1)));
  EXPECT_FALSE(equal(budget, Value::boolean(false), Value::none()));
  EXPECT_EQ(hash_of(budget, Value::integer(1)), hash_of(budget, Value::real(1.0)));
  EXPECT_EQ(hash_of(budget, Value::integer(1)), hash_of(budget, Value::boolean(true)));
  EXPECT_EQ(hash_of(budget, Value::integer(-5)), hash_of(budget, Value::real(-5.0)));
}

TEST(Value, CannotHashAList) {
  Budget budget;
  EXPECT_THROW(hash_of(budget, Value::list(budget, {})), Failure);
  EXPECT_NO_THROW(hash_of(budget, Value::tuple(budget, {Value::none()})));
  EXPECT_THROW(hash_of(budget, Value::tuple(budget, {Value::list(budget, {})})), Failure);
}

TEST(Value, CountsWhatItHolds) {
  Budget budget;
  {
    const Value text = Value::text(budget, std::string(1000, 'x'));
    const Value list = Value::list(budget, {text, text});
    EXPECT_GE(budget.live_bytes(), 1000u);
  }
  EXPECT_EQ(budget.live_bytes(), 0u);
}

TEST(Value, RefusesToNestDeeperThanItsLimit) {
  Budget budget;
  Value value = Value::list(budget, {});
  for (uint32_t i = 1; i < kMaxValueDepth; ++i)
    value = Value::list(budget, {value});
  EXPECT_EQ(value.depth(), kMaxValueDepth);
  EXPECT_THROW(Value::list(budget, {value}), Failure);
}

// Against a list of pairs, with keys that collide across kinds (1, 1.0, true, "1").
TEST(Dict, KeepsOrderAndFindsWhatANaiveMapFinds) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    Budget budget;
    DictBuilder builder(budget);
    std::vector<std::pair<Value, int>> naive;
    const auto key_of = [&](unsigned number) {
      const auto place = static_cast<int>(number / 4 % 10);
      if (number % 4 == 0) return Value::integer(place);
      if (number % 4 == 1) return Value::real(place);
      if (number % 4 == 2) return Value::boolean(place % 2 == 0);
      return Value::text(budget, std::to_string(place));
    };
    for (int i = 0; i < round % 40; ++i) {
      const Value key = key_of(static_cast<unsigned>(random()));
      builder.set(key, Value::integer(i));
      bool known = false;
      for (auto& [old, value] : naive) {
        if (!equal(budget, old, key)) continue;
        value = i;
        known = true;
      }
      if (!known) naive.emplace_back(key, i);
    }
    const Value dict = builder.finish();
    ASSERT_EQ(dict.as_dict().entries.size(), naive.size());
    for (size_t i = 0; i < naive.size(); ++i) {
      EXPECT_TRUE(equal(budget, dict.as_dict().entries[i].first, naive[i].first));
      const Value* found = find(budget, dict.as_dict(), naive[i].first);
      ASSERT_NE(found, nullptr);
      EXPECT_EQ(static_cast<int>(found->as_int()), naive[i].second);
      if (naive[i].first.is_text()) {
        EXPECT_EQ(find(dict.as_dict(), naive[i].first.str()), found);
      }
    }
    EXPECT_EQ(find(budget, dict.as_dict(), Value::text(budget, "absent")), nullptr);
    EXPECT_EQ(find(dict.as_dict(), "absent"), nullptr);
  }
}

}  // namespace
}  // namespace inferno::token::jinja
