#include "token/jinja/methods.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "token/jinja/library.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"

namespace inferno::token::jinja {
namespace {

template <SequenceKind kind>
Value dict_view(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("dict", arguments, {}, 0);
  std::vector<Value> items;
  items.reserve(self.as_dict().entries.size());
  for (const auto& [key, value] : self.as_dict().entries) {
    if (kind == SequenceKind::kDictKeys) items.push_back(key);
    if (kind == SequenceKind::kDictValues) items.push_back(value);
    if (kind == SequenceKind::kDictItems)
      items.push_back(Value::tuple(render.budget(), {key, value}));
  }
  return Value::sequence(render.budget(), kind, std::move(items));
}

Value dict_get(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("get", arguments, {"key", "default"});
  const Value* found = find(render.budget(), self.as_dict(), bound[0]);
  if (found != nullptr) return *found;
  return bound.has(1) ? bound[1] : Value::none();
}

Value copy(Render&, const Value& self, Arguments& arguments) {
  const Bound bound("copy", arguments, {}, 0);
  return self;  // values never change: the copy cannot be told from the original
}

Value sequence_count(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("count", arguments, {"value"});
  Int count = 0;
  for (const Value& item : self.items())
    count += equal(render.budget(), item, bound[0]) ? 1 : 0;
  return Value::integer(count);
}

Value sequence_index(Render& render, const Value& self, Arguments& arguments) {
  const Bound bound("index", arguments, {"value", "start", "stop"});
  const auto length = static_cast<Int>(self.items().size());
  auto place = [&](size_t index, Int fallback) {
    const Int value = std::clamp(bound.integer(index, fallback), -length, length);
    return value < 0 ? value + length : value;
  };
  const Int stop = place(2, length);
  for (Int i = place(1, 0); i < stop; ++i) {
    if (equal(render.budget(), self.items()[static_cast<size_t>(i)], bound[0]))
      return Value::integer(i);
  }
  raise("ValueError: {} is not in list", to_repr(render, bound[0]));
}

Value float_is_integer(Render&, const Value& self, Arguments& arguments) {
  const Bound bound("is_integer", arguments, {}, 0);
  return Value::boolean(std::isfinite(self.as_real()) &&
                        std::trunc(self.as_real()) == self.as_real());
}

Value int_bit_length(Render&, const Value& self, Arguments& arguments) {
  const Bound bound("bit_length", arguments, {}, 0);
  Int value = self.as_int();
  Int bits = 0;
  for (; value != 0; value /= 2)
    ++bits;
  return Value::integer(bits);
}

Value loop_cycle(Render&, const Value& self, Arguments& arguments) {
  return self.as<Loop>()->cycle(arguments);
}

Value loop_changed(Render& render, const Value& self, Arguments& arguments) {
  render.keep(self.as_object());  // it may be asked about a value that refers to the loop
  return Value::boolean(self.as<Loop>()->changed(arguments.positional, render));
}

Value cycler_next(Render&, const Value& self, Arguments&) {
  return self.as<Cycler>()->next();
}

Value cycler_reset(Render&, const Value& self, Arguments&) {
  self.as<Cycler>()->reset();
  return Value::none();
}

constexpr std::array<Method, 10> kDictMethods = {{{"get", dict_get},
                                                  {"items", dict_view<SequenceKind::kDictItems>},
                                                  {"keys", dict_view<SequenceKind::kDictKeys>},
                                                  {"values", dict_view<SequenceKind::kDictValues>},
                                                  {"copy", copy},
                                                  {"clear", nullptr},
                                                  {"pop", nullptr},
                                                  {"popitem", nullptr},
                                                  {"setdefault", nullptr},
                                                  {"update", nullptr}}};
constexpr std::array<Method, 11> kListMethods = {{{"count", sequence_count},
                                                  {"index", sequence_index},
                                                  {"copy", copy},
                                                  {"append", nullptr},
                                                  {"clear", nullptr},
                                                  {"extend", nullptr},
                                                  {"insert", nullptr},
                                                  {"pop", nullptr},
                                                  {"remove", nullptr},
                                                  {"reverse", nullptr},
                                                  {"sort", nullptr}}};
constexpr std::array<Method, 2> kTupleMethods = {
    {{"count", sequence_count}, {"index", sequence_index}}};
constexpr std::array<Method, 1> kFloatMethods = {{{"is_integer", float_is_integer}}};
constexpr std::array<Method, 1> kIntMethods = {{{"bit_length", int_bit_length}}};
constexpr std::array<Method, 2> kLoopMethods = {{{"cycle", loop_cycle}, {"changed", loop_changed}}};
constexpr std::array<Method, 2> kCyclerMethods = {{{"next", cycler_next}, {"reset", cycler_reset}}};

const Method* method_named(std::span<const Method> table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &Method::name);
  return found == table.end() ? nullptr : &*found;
}

const Method* find_sequence_method(SequenceKind kind, std::string_view name) {
  switch (kind) {
    case SequenceKind::kList:
      return method_named(kListMethods, name);
    case SequenceKind::kTuple:
    case SequenceKind::kGroup:
    case SequenceKind::kRange:
      return method_named(kTupleMethods, name);
    default:
      return nullptr;
  }
}

}  // namespace

const Method* find_method(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kText:
      return find_text_method(name);
    case Kind::kDict:
      return method_named(kDictMethods, name);
    case Kind::kSequence:
      return find_sequence_method(object.as_sequence().kind, name);
    case Kind::kBool:
    case Kind::kInt:
      return method_named(kIntMethods, name);
    case Kind::kFloat:
      return method_named(kFloatMethods, name);
    case Kind::kObject:
      if (object.as<Loop>() != nullptr) return method_named(kLoopMethods, name);
      if (object.as<Cycler>() != nullptr) return method_named(kCyclerMethods, name);
      return nullptr;
    default:
      return nullptr;
  }
}

}  // namespace inferno::token::jinja
