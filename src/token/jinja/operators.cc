#include "token/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "token/jinja/format.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

std::string_view symbol_of(BinaryOperator op) {
  return kSymbols[static_cast<size_t>(op)];
}

[[noreturn]] void raise_operands(BinaryOperator op, const Value& left, const Value& right) {
  raise("TypeError: unsupported operand type(s) for {}: '{}' and '{}'", symbol_of(op),
        left.type_name(), right.type_name());
}

[[noreturn]] void raise_overflow() {
  raise("OverflowError: an integer has more than 127 bits, more than this interpreter keeps");
}

Value add_texts(Render& render, const Value& left, const Value& right) {
  const bool markup = left.as_text().markup || right.as_text().markup;
  auto part = [markup](const Value& value) {
    return markup && !value.as_text().markup ? escape_html(value.str()) : value.str();
  };
  return Value::text(render.budget(), part(left) + part(right),
                     markup ? Markup::kYes : Markup::kNo);
}

Value add(Render& render, const Value& left, const Value& right) {
  if (left.is_text()) {
    if (right.is_text()) return add_texts(render, left, right);
    raise("TypeError: can only concatenate str (not \"{}\") to str", right.type_name());
  }
  if (left.is_list_or_tuple()) {
    const bool list = left.is_sequence(SequenceKind::kList);
    if (!right.is_list_or_tuple() || list != right.is_sequence(SequenceKind::kList)) {
      raise("TypeError: can only concatenate {0} (not \"{1}\") to {0}", list ? "list" : "tuple",
            right.type_name());
    }
    std::vector<Value> items = left.items();
    items.insert(items.end(), right.items().begin(), right.items().end());
    render.budget().work(items.size());
    return Value::sequence(render.budget(), list ? SequenceKind::kList : SequenceKind::kTuple,
                           std::move(items));
  }
  raise_operands(BinaryOperator::kAdd, left, right);
}

size_t repeat_count(Int count, size_t size, size_t limit) {
  if (count <= 0 || size == 0) return 0;
  if (count > static_cast<Int>(limit / size)) {
    raise_limit("a repetition makes more than {} elements", limit);
  }
  return static_cast<size_t>(count);
}

Value repeat(Render& render, const Value& value, Int count) {
  if (value.is_text()) {
    const size_t times = repeat_count(count, value.str().size(), kMaxTextBytes);
    const std::string& once = value.str();
    if (once.size() == 1) return render.text_like(value, std::string(times, once.front()));
    std::string out;
    out.reserve(times * once.size());
    for (size_t i = 0; i < times; ++i)
      out += once;
    return render.text_like(value, std::move(out));
  }
  constexpr size_t kMaxItems = kMaxTextBytes / sizeof(Value);
  const size_t times = repeat_count(count, value.items().size(), kMaxItems);
  std::vector<Value> items;
  items.reserve(times * value.items().size());
  for (size_t i = 0; i < times; ++i) {
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return Value::sequence(render.budget(), value.as_sequence().kind, std::move(items));
}

// Division rounded towards minus infinity.
Int floor_divide(Int left, Int right) {
  if (right == -1) {
    Int result = 0;
    if (__builtin_sub_overflow(Int{0}, left, &result)) raise_overflow();
    return result;
  }
  const Int quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

Int floor_modulo(Int left, Int right) {
  if (right == -1) return 0;
  const Int rest = left % right;
  return rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest;
}

double floor_modulo(double left, double right) {
  double rest = std::fmod(left, right);
  if (rest != 0) return (rest < 0) != (right < 0) ? rest + right : rest;
  return std::copysign(0.0, right);
}

double floor_divide(double left, double right) {
  const double rest = floor_modulo(left, right);
  const double quotient = (left - rest) / right;
  if (quotient == 0) return std::copysign(0.0, left / right);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Value power(Int base, Int exponent) {
  if (exponent < 0) {
    if (base == 0) raise("ZeroDivisionError: 0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  Int result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) raise_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) raise_overflow();
  }
  return Value::integer(result);
}

Value apply_ints(BinaryOperator op, Int left, Int right) {
  Int result = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOperator::kAdd:
      overflow = __builtin_add_overflow(left, right, &result);
      break;
    case BinaryOperator::kSubtract:
      overflow = __builtin_sub_overflow(left, right, &result);
      break;
    case BinaryOperator::kMultiply:
      overflow = __builtin_mul_overflow(left, right, &result);
      break;
    case BinaryOperator::kDivide:
      if (right == 0) raise("ZeroDivisionError: division by zero");
      return Value::real(static_cast<double>(left) / static_cast<double>(right));
    case BinaryOperator::kFloorDivide:
      if (right == 0) raise("ZeroDivisionError: integer division or modulo by zero");
      result = floor_divide(left, right);
      break;
    case BinaryOperator::kModulo:
      if (right == 0) raise("ZeroDivisionError: integer modulo by zero");
      result = floor_modulo(left, right);
      break;
    default:
      return power(left, right);
  }
  if (overflow) raise_overflow();
  return Value::integer(result);
}

Value apply_reals(BinaryOperator op, double left, double right) {
  const bool divides = op == BinaryOperator::kDivide || op == BinaryOperator::kFloorDivide ||
                       op == BinaryOperator::kModulo;
  if (divides && right == 0) raise("ZeroDivisionError: float division by zero");
  switch (op) {
    case BinaryOperator::kAdd:
      return Value::real(left + right);
    case BinaryOperator::kSubtract:
      return Value::real(left - right);
    case BinaryOperator::kMultiply:
      return Value::real(left * right);
    case BinaryOperator::kDivide:
      return Value::real(left / right);
    case BinaryOperator::kFloorDivide:
      return Value::real(floor_divide(left, right));
    case BinaryOperator::kModulo:
      return Value::real(floor_modulo(left, right));
    default:
      break;
  }
  if (left == 0 && right < 0) raise("ZeroDivisionError: 0.0 cannot be raised to a negative power");
  const double result = std::pow(left, right);
  if (std::isinf(result) && std::isfinite(left) && std::isfinite(right)) {
    raise("OverflowError: (34, 'Numerical result out of range')");
  }
  return Value::real(result);
}

bool is_repeatable(const Value& value) {
  return value.is_text() || value.is_list_or_tuple();
}

// -1, 0 or 1; nothing when a NaN makes all comparisons false. Throws when the kinds cannot be
// ordered.
std::optional<int> order(Render& render, std::string_view symbol, const Value& left,
                         const Value& right) {
  render.budget().work(1);
  require_defined(left);
  require_defined(right);
  auto sign = [](auto a, auto b) { return a < b ? -1 : a > b ? 1 : 0; };
  if (left.is_integral() && right.is_integral()) return sign(left.as_int(), right.as_int());
  if (left.is_number() && right.is_number()) {
    const double a = left.to_real();
    const double b = right.to_real();
    if (std::isnan(a) || std::isnan(b)) return std::nullopt;
    return sign(a, b);
  }
  if (left.is_text() && right.is_text()) {
    render.budget().work_bytes(std::min(left.str().size(), right.str().size()));
    return sign(left.str().compare(right.str()), 0);
  }
  const bool same_list =
      left.is_list_or_tuple() && right.is_list_or_tuple() &&
      left.is_sequence(SequenceKind::kList) == right.is_sequence(SequenceKind::kList);
  if (!same_list) {
    raise("TypeError: '{}' not supported between instances of '{}' and '{}'", symbol,
          left.type_name(), right.type_name());
  }
  const size_t common = std::min(left.items().size(), right.items().size());
  for (size_t i = 0; i < common; ++i) {
    if (equal(render.budget(), left.items()[i], right.items()[i])) continue;
    return order(render, symbol, left.items()[i], right.items()[i]);
  }
  return sign(left.items().size(), right.items().size());
}

Value slice_text(Render& render, const Value& object, const std::vector<size_t>& places) {
  const std::string& bytes = object.str();
  std::string out;
  out.reserve(places.size());
  if (object.as_text().ascii) {
    for (size_t place : places)
      out += bytes[place];
  } else {
    const auto parts = split_code_points(bytes);
    for (size_t place : places)
      out += parts[place];
  }
  return render.text_like(object, std::move(out));
}

// `count` code points from code point `start`.
Value slice_run(Render& render, const Value& object, size_t start, size_t count) {
  const std::string_view bytes = object.str();
  if (object.as_text().ascii)
    return render.text_like(object, std::string(bytes.substr(start, count)));
  render.budget().work_bytes(bytes.size());
  const std::string_view tail = bytes.substr(byte_offset(bytes, start));
  return render.text_like(object, std::string(tail.substr(0, byte_offset(tail, count))));
}

// start, stop and step as range() would take them, for a sequence of this length.
struct ResolvedSlice {
  Int start, stop, step;
};
ResolvedSlice resolve(const SliceBounds& bounds, Int length) {
  const Int step = bounds.step.value_or(1);
  if (step == 0) raise("ValueError: slice step cannot be zero");
  const Int lowest = step < 0 ? -1 : 0;
  const Int highest = step < 0 ? length - 1 : length;
  auto place = [&](std::optional<Int> bound, Int otherwise) {
    if (!bound) return otherwise;
    return std::clamp(*bound < 0 ? std::max(*bound, -length - 1) + length : *bound, lowest,
                      highest);
  };
  return {place(bounds.start, step < 0 ? highest : lowest),
          place(bounds.stop, step < 0 ? lowest : highest), step};
}

}  // namespace

void require_defined(const Value& value) {
  if (value.is_undefined()) raise("{}", value.as_undefined().message);
}

Int to_int(double value) {
  if (std::isnan(value)) raise("ValueError: cannot convert float NaN to integer");
  if (std::isinf(value)) raise("OverflowError: cannot convert float infinity to integer");
  if (std::fabs(value) >= 1e38) raise_overflow();
  return static_cast<Int>(value);
}

Value apply(Render& render, BinaryOperator op, const Value& left, const Value& right) {
  if (op == BinaryOperator::kModulo && left.is_text()) {
    return format_percent(render, left, right);
  }
  require_defined(left);
  require_defined(right);
  if (left.is_integral() && right.is_integral()) {
    return apply_ints(op, left.as_int(), right.as_int());
  }
  if (left.is_number() && right.is_number())
    return apply_reals(op, left.to_real(), right.to_real());
  if (op == BinaryOperator::kAdd) return add(render, left, right);
  if (op == BinaryOperator::kMultiply) {
    if (is_repeatable(left) && right.is_integral()) return repeat(render, left, right.as_int());
    if (left.is_integral() && is_repeatable(right)) return repeat(render, right, left.as_int());
    if (is_repeatable(left) || is_repeatable(right)) {
      raise("TypeError: can't multiply sequence by non-int of type '{}'",
            (is_repeatable(left) ? right : left).type_name());
    }
  }
  raise_operands(op, left, right);
}

Value negate(const Value& operand) {
  require_defined(operand);
  if (operand.is(Kind::kFloat)) return Value::real(-operand.as_real());
  if (operand.is_integral()) return apply_ints(BinaryOperator::kSubtract, 0, operand.as_int());
  raise("TypeError: bad operand type for unary -: '{}'", operand.type_name());
}

Value unary_plus(const Value& operand) {
  require_defined(operand);
  if (operand.is(Kind::kFloat)) return operand;
  if (operand.is_integral()) return Value::integer(operand.as_int());
  raise("TypeError: bad operand type for unary +: '{}'", operand.type_name());
}

bool less(Render& render, const Value& left, const Value& right) {
  return order(render, "<", left, right).value_or(1) < 0;
}

bool compare(Render& render, Comparison op, const Value& left, const Value& right) {
  switch (op) {
    case Comparison::kEqual:
      return equal(render.budget(), left, right);
    case Comparison::kNotEqual:
      return !equal(render.budget(), left, right);
    case Comparison::kLess:
      return less(render, left, right);
    case Comparison::kLessEqual:
      return order(render, "<=", left, right).value_or(1) <= 0;
    case Comparison::kGreater:
      return order(render, ">", left, right).value_or(-1) > 0;
    case Comparison::kGreaterEqual:
      return order(render, ">=", left, right).value_or(-1) >= 0;
    case Comparison::kIn:
      return contains(render, right, left);
    case Comparison::kNotIn:
      return !contains(render, right, left);
  }
  return false;
}

bool contains(Render& render, const Value& container, const Value& element) {
  switch (container.kind()) {
    case Kind::kText:
      if (!element.is_text()) {
        raise("TypeError: 'in <string>' requires string as left operand, not {}",
              element.type_name());
      }
      render.budget().work_bytes(container.str().size());
      return container.str().contains(element.str());
    case Kind::kDict:
      return find(render.budget(), container.as_dict(), element) != nullptr;
    case Kind::kSequence:
      return std::ranges::any_of(container.items(), [&](const Value& item) {
        return equal(render.budget(), item, element);
      });
    default:
      break;
  }
  if (!Render::is_iterable(container)) {
    raise("TypeError: argument of type '{}' is not iterable", container.type_name());
  }
  const auto iterator = render.iterate(container);
  for (Value item; iterator->next(render, item);) {
    if (equal(render.budget(), item, element)) return true;
  }
  return false;
}

Value slice(Render& render, const Value& object, const SliceBounds& bounds) {
  require_defined(object);
  const bool sliceable =
      object.is_text() || object.is_list_or_tuple() || object.is_sequence(SequenceKind::kRange);
  if (!sliceable) raise("TypeError: '{}' object is not subscriptable", object.type_name());
  const ResolvedSlice range = resolve(bounds, render.length(object));
  if (object.is_text() && range.step == 1) {
    const auto count = static_cast<size_t>(std::max(Int{0}, range.stop - range.start));
    return slice_run(render, object, static_cast<size_t>(range.start), count);
  }
  const Int limit = static_cast<Int>(kMaxTextBytes);
  std::vector<size_t> places;
  for (Int i = range.start; range.step > 0 ? i < range.stop : i > range.stop;) {
    places.push_back(static_cast<size_t>(i));
    // A step beyond every length ends the walk; clamping keeps the sum in range.
    i += std::clamp(range.step, -limit, limit);
  }
  render.budget().work(1 + places.size() / 8);
  if (object.is_text()) {
    render.budget().work_bytes(object.str().size());
    return slice_text(render, object, places);
  }
  std::vector<Value> items;
  items.reserve(places.size());
  for (size_t place : places)
    items.push_back(object.items()[place]);
  const bool tuple = object.is_list_or_tuple() && !object.is_sequence(SequenceKind::kList);
  return Value::sequence(render.budget(), tuple ? SequenceKind::kTuple : SequenceKind::kList,
                         std::move(items));
}

}  // namespace inferno::token::jinja
