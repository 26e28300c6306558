// The tests of Jinja: `value is name(arguments)`.
#include <algorithm>
#include <array>

#include "token/jinja/library.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

const Value& only(std::string_view name, Arguments& arguments) {
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    raise("TypeError: test '{}' takes 1 positional argument but {} were given", name,
          arguments.positional.size() + arguments.named.size());
  }
  return arguments.positional[0];
}

template <Kind kind>
Value is_kind(Render&, Arguments& arguments) {
  return Value::boolean(only("kind", arguments).is(kind));
}

Value is_defined(Render&, Arguments& arguments) {
  return Value::boolean(!only("defined", arguments).is_undefined());
}

template <bool wanted>
Value is_exactly(Render&, Arguments& arguments) {
  const Value& value = only("boolean", arguments);
  return Value::boolean(value.is(Kind::kBool) && value.as_bool() == wanted);
}

Value is_number(Render&, Arguments& arguments) {
  return Value::boolean(only("number", arguments).is_number());
}

Value is_iterable(Render&, Arguments& arguments) {
  return Value::boolean(Render::is_iterable(only("iterable", arguments)));
}

// What has both a length and elements by number or key. Undefined counts, as in Jinja.
Value is_sequence(Render&, Arguments& arguments) {
  const Value& value = only("sequence", arguments);
  const bool view = value.is_sequence(SequenceKind::kDictKeys) ||
                    value.is_sequence(SequenceKind::kDictValues) ||
                    value.is_sequence(SequenceKind::kDictItems);
  return Value::boolean(value.is_text() || value.is(Kind::kDict) || value.is_undefined() ||
                        (value.is(Kind::kSequence) && !view));
}

Value is_callable(Render&, Arguments& arguments) {
  const Value& value = only("callable", arguments);
  // Python's Undefined has a __call__, which raises.
  return Value::boolean(value.is_undefined() ||
                        (value.is(Kind::kObject) && value.as_object()->is_callable()));
}

Value is_escaped(Render&, Arguments& arguments) {
  const Value& value = only("escaped", arguments);
  return Value::boolean(value.is_text() && value.as_text().markup);
}

// Whether a text has letters with case and all of them are of this case.
template <bool upper_wanted>
Value is_case(Render& render, Arguments& arguments) {
  const std::string text = to_text(render, only("case", arguments));
  bool cased = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t code = decode_at(text, at);
    if (upper_wanted ? is_lower(code) : is_upper(code)) return Value::boolean(false);
    cased |= is_upper(code) || is_lower(code);
  }
  return Value::boolean(cased);
}

Value remainder(Render& render, const Value& value, Int divisor) {
  return apply(render, BinaryOperator::kModulo, value, Value::integer(divisor));
}

Value is_odd(Render& render, Arguments& arguments) {
  const Value rest = remainder(render, only("odd", arguments), 2);
  return Value::boolean(equal(render.budget(), rest, Value::integer(1)));
}

Value is_even(Render& render, Arguments& arguments) {
  const Value rest = remainder(render, only("even", arguments), 2);
  return Value::boolean(equal(render.budget(), rest, Value::integer(0)));
}

Value is_divisible(Render& render, Arguments& arguments) {
  const Bound bound("divisibleby", arguments, {"value", "num"}, 2);
  const Value rest = apply(render, BinaryOperator::kModulo, bound[0], bound[1]);
  return Value::boolean(equal(render.budget(), rest, Value::integer(0)));
}

Value is_same(Render&, Arguments& arguments) {
  const Bound bound("sameas", arguments, {"value", "other"}, 2);
  if (bound[0].kind() != bound[1].kind()) return Value::boolean(false);
  if (bound[0].is(Kind::kNone)) return Value::boolean(true);
  if (bound[0].is_integral()) return Value::boolean(bound[0].as_int() == bound[1].as_int());
  if (bound[0].is(Kind::kFloat)) return Value::boolean(bound[0].as_real() == bound[1].as_real());
  return Value::boolean(bound[0].identity() == bound[1].identity());
}

Value is_in(Render& render, Arguments& arguments) {
  const Bound bound("in", arguments, {"value", "seq"}, 2);
  return Value::boolean(contains(render, bound[1], bound[0]));
}

Value is_filter_name(Render&, Arguments& arguments) {
  const Value& name = only("filter", arguments);
  return Value::boolean(name.is_text() && find_filter(name.str()) != nullptr);
}

Value is_test_name(Render&, Arguments& arguments) {
  const Value& name = only("test", arguments);
  return Value::boolean(name.is_text() && find_test(name.str()) != nullptr);
}

template <Comparison comparison>
Value is_ordered(Render& render, Arguments& arguments) {
  const Bound bound("comparison", arguments, {"a", "b"}, 2);
  return Value::boolean(compare(render, comparison, bound[0], bound[1]));
}

constexpr std::array<Builtin, 39> kTests = {{
    {"!=", is_ordered<Comparison::kNotEqual>},
    {"<", is_ordered<Comparison::kLess>},
    {"<=", is_ordered<Comparison::kLessEqual>},
    {"==", is_ordered<Comparison::kEqual>},
    {">", is_ordered<Comparison::kGreater>},
    {">=", is_ordered<Comparison::kGreaterEqual>},
    {"boolean", is_kind<Kind::kBool>},
    {"callable", is_callable},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", is_ordered<Comparison::kEqual>},
    {"equalto", is_ordered<Comparison::kEqual>},
    {"escaped", is_escaped},
    {"even", is_even},
    {"false", is_exactly<false>},
    {"filter", is_filter_name},
    {"float", is_kind<Kind::kFloat>},
    {"ge", is_ordered<Comparison::kGreaterEqual>},
    {"greaterthan", is_ordered<Comparison::kGreater>},
    {"gt", is_ordered<Comparison::kGreater>},
    {"in", is_in},
    {"integer", is_kind<Kind::kInt>},
    {"iterable", is_iterable},
    {"le", is_ordered<Comparison::kLessEqual>},
    {"lessthan", is_ordered<Comparison::kLess>},
    {"lower", is_case<false>},
    {"lt", is_ordered<Comparison::kLess>},
    {"mapping", is_kind<Kind::kDict>},
    {"ne", is_ordered<Comparison::kNotEqual>},
    {"none", is_kind<Kind::kNone>},
    {"number", is_number},
    {"odd", is_odd},
    {"sameas", is_same},
    {"sequence", is_sequence},
    {"string", is_kind<Kind::kText>},
    {"test", is_test_name},
    {"true", is_exactly<true>},
    {"undefined", is_kind<Kind::kUndefined>},
    {"upper", is_case<true>},
}};

}  // namespace

BuiltinFunction find_test(std::string_view name) {
  const auto found = std::ranges::find(kTests, name, &Builtin::name);
  return found == kTests.end() ? nullptr : found->function;
}

}  // namespace inferno::token::jinja
