#include "token/jinja/operators.h"

#include <cmath>
#include <random>

#include "token/jinja/parser.h"
#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

class Operators : public testing::Test {
 protected:
  Value run(BinaryOperator op, const Value& left, const Value& right) {
    return apply(render_, op, left, right);
  }
  Value list_of(int count) {
    std::vector<Value> items;
    for (int i = 0; i < count; ++i)
      items.push_back(Value::integer(i));
    return render_.list(std::move(items));
  }

  const std::unique_ptr<const Template> empty_ = parse_template("");
  Render render_{*empty_, fixed_time()};
  std::mt19937_64 random_{3};
};

// Python: a == (a // b) * b + a % b, and a % b has the sign of b.
TEST_F(Operators, DivideTowardsMinusInfinity) {
  for (int round = 0; round < 2000; ++round) {
    const Int left = static_cast<int64_t>(random_()) >> (random_() % 64);
    const Int right = static_cast<int64_t>(random_()) >> (random_() % 64);
    if (right == 0) continue;
    const Value a = Value::integer(left);
    const Value b = Value::integer(right);
    const Int quotient = run(BinaryOperator::kFloorDivide, a, b).as_int();
    const Int rest = run(BinaryOperator::kModulo, a, b).as_int();
    EXPECT_TRUE(quotient * right + rest == left);
    EXPECT_TRUE(rest == 0 || (rest < 0) == (right < 0));
    EXPECT_TRUE((rest < 0 ? -rest : rest) < (right < 0 ? -right : right));
  }
}

TEST_F(Operators, DivideFloatsAsIntegers) {
  for (int round = 0; round < 2000; ++round) {
    const auto left = static_cast<double>(static_cast<int>(random_() % 2001) - 1000);
    const auto right = static_cast<double>(static_cast<int>(random_() % 41) - 20);
    if (right == 0) continue;
    const Value a = Value::real(left);
    const Value b = Value::real(right);
    EXPECT_EQ(run(BinaryOperator::kFloorDivide, a, b).as_real(), std::floor(left / right));
    EXPECT_EQ(run(BinaryOperator::kModulo, a, b).as_real(),
              left - std::floor(left / right) * right);
  }
}

// Against a walk that tests every index the way Python defines slices.
TEST_F(Operators, SliceLikeAWalkOverTheIndices) {
  for (int round = 0; round < 5000; ++round) {
    const int length = static_cast<int>(random_() % 6);
    const auto bound = [&]() -> std::optional<Int> {
      if (random_() % 4 == 0) return std::nullopt;
      return static_cast<int>(random_() % 17) - 8;
    };
    SliceBounds bounds{bound(), bound(), bound()};
    if (bounds.step == 0) bounds.step = 1;
    const int step = static_cast<int>(bounds.step.value_or(1));
    const auto place = [&](std::optional<Int> given, int otherwise) {
      if (!given) return otherwise;
      int at = static_cast<int>(*given);
      if (at < 0) at += length;
      return std::clamp(at, step < 0 ? -1 : 0, step < 0 ? length - 1 : length);
    };
    std::vector<Value> expected;
    const int stop = place(bounds.stop, step < 0 ? -1 : length);
    for (int i = place(bounds.start, step < 0 ? length - 1 : 0); step < 0 ? i > stop : i < stop;
         i += step) {
      expected.push_back(Value::integer(i));
    }
    EXPECT_TRUE(
        equal(render_.budget(), slice(render_, list_of(length), bounds), render_.list(expected)));
  }
}

TEST_F(Operators, RefuseWhatHasNoAnswer) {
  const Value one = Value::integer(1);
  EXPECT_THROW(run(BinaryOperator::kDivide, one, Value::integer(0)), Failure);
  EXPECT_THROW(run(BinaryOperator::kAdd, one, render_.text("a")), Failure);
  EXPECT_THROW(run(BinaryOperator::kAdd, Value::undefined("UndefinedError: x"), one), Failure);
  EXPECT_THROW(less(render_, one, render_.text("a")), Failure);
  EXPECT_THROW(slice(render_, one, {}), Failure);
  EXPECT_THROW(to_int(std::nan("")), Failure);
  EXPECT_THROW(to_int(1e300), Failure);
}

}  // namespace
}  // namespace inferno::token::jinja
