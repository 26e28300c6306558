// How each kind of expression gets its value.
#include "token/jinja/ast.h"
#include "token/jinja/library.h"
#include "token/jinja/methods.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"

namespace inferno::token::jinja {

Symbol SymbolTable::intern(std::string_view name) {
  const auto [entry, added] =
      symbols_.try_emplace(std::string(name), static_cast<Symbol>(names_.size()));
  if (added) names_.emplace_back(name);
  return entry->second;
}

std::optional<Symbol> SymbolTable::find(std::string_view name) const {
  const auto found = symbols_.find(std::string(name));
  if (found == symbols_.end()) return std::nullopt;
  return found->second;
}

Value Constant::evaluate(Render&) const {
  return value;
}

Value Name::evaluate(Render& render) const {
  return render.variable(symbol);
}

Value Display::evaluate(Render& render) const {
  std::vector<Value> values;
  values.reserve(items.size());
  for (const auto& item : items)
    values.push_back(render.evaluate(*item));
  return Value::sequence(render.budget(), kind, std::move(values));
}

Value DictDisplay::evaluate(Render& render) const {
  DictBuilder builder(render.budget());
  for (const auto& [key, value] : entries) {
    const Value evaluated_key = render.evaluate(*key);
    builder.set(evaluated_key, render.evaluate(*value));
  }
  return builder.finish();
}

Value Unary::evaluate(Render& render) const {
  const Value value = render.evaluate(*operand);
  switch (op) {
    case UnaryOperator::kNot:
      return Value::boolean(!value.truthy());
    case UnaryOperator::kMinus:
      return negate(value);
    case UnaryOperator::kPlus:
      return unary_plus(value);
  }
  return value;
}

Value Binary::evaluate(Render& render) const {
  Value value = render.evaluate(*left);
  if (op == BinaryOperator::kAnd) return value.truthy() ? render.evaluate(*right) : value;
  if (op == BinaryOperator::kOr) return value.truthy() ? value : render.evaluate(*right);
  const Value other = render.evaluate(*right);
  return apply(render, op, value, other);
}

Value Concat::evaluate(Render& render) const {
  std::string out;
  for (const auto& part : parts) {
    out += to_text(render, render.evaluate(*part));
    if (out.size() > kMaxTextBytes) raise_limit("a text has more than {} bytes", kMaxTextBytes);
  }
  return render.text(std::move(out));
}

Value Compare::evaluate(Render& render) const {
  Value left = render.evaluate(*first);
  for (const auto& [comparison, operand] : rest) {
    Value right = render.evaluate(*operand);
    if (!compare(render, comparison, left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Conditional::evaluate(Render& render) const {
  if (render.evaluate(*condition).truthy()) return render.evaluate(*value);
  if (otherwise != nullptr) return render.evaluate(*otherwise);
  return Value::undefined(
      fmt::format("UndefinedError: the inline if-expression on line {} evaluated to false and no "
                  "else section was defined.",
                  line));
}

Value Attribute::evaluate(Render& render) const {
  return render.attribute(render.evaluate(*object), name);
}

Value Item::evaluate(Render& render) const {
  const Value container = render.evaluate(*object);
  return render.item(container, render.evaluate(*key));
}

Value Slice::evaluate(Render& render) const {
  const Value sliced = render.evaluate(*object);
  auto bound = [&](const ExpressionPtr& expression) -> std::optional<Int> {
    if (expression == nullptr) return std::nullopt;
    const Value value = render.evaluate(*expression);
    if (value.is(Kind::kNone)) return std::nullopt;
    if (!value.is_integral()) {
      require_defined(sliced);
      raise("TypeError: slice indices must be integers or None or have an __index__ method");
    }
    return value.as_int();
  };
  SliceBounds bounds;
  bounds.start = bound(start);
  bounds.stop = bound(stop);
  bounds.step = bound(step);
  return slice(render, sliced, bounds);
}

Arguments CallArguments::evaluate(Render& render) const {
  Arguments arguments;
  arguments.positional.reserve(positional.size() + 1);
  for (const auto& argument : positional)
    arguments.positional.push_back(render.evaluate(*argument));
  for (const auto& [name, argument] : named) {
    arguments.named.emplace_back(name, render.evaluate(*argument));
  }
  if (more_positional != nullptr) {
    for (Value& value : render.elements(render.evaluate(*more_positional))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  if (more_named != nullptr) {
    const Value more = render.evaluate(*more_named);
    if (!more.is(Kind::kDict)) {
      raise("TypeError: argument after ** must be a mapping, not {}", more.type_name());
    }
    for (const auto& [name, value] : more.as_dict().entries) {
      if (!name.is_text()) raise("TypeError: keywords must be strings");
      arguments.named.emplace_back(name.str(), value);
    }
  }
  return arguments;
}

Value Call::evaluate(Render& render) const {
  // A method is called without making an object of it first.
  if (const auto* access = dynamic_cast<const Attribute*>(callee.get())) {
    const Value object = render.evaluate(*access->object);
    const Method* method = object.is(Kind::kObject) || object.is_undefined()
                               ? nullptr
                               : find_method(object, access->name);
    if (method != nullptr && method->body != nullptr) {
      Arguments values = arguments.evaluate(render);
      return method->body(render, object, values);
    }
    const Value function = render.attribute(object, access->name);
    Arguments values = arguments.evaluate(render);
    return render.call(function, values);
  }
  const Value function = render.evaluate(*callee);
  Arguments values = arguments.evaluate(render);
  return render.call(function, values);
}

Value Call::evaluate_with(Render& render, Value caller) const {
  const Value function = render.evaluate(*callee);
  Arguments values = arguments.evaluate(render);
  values.named.emplace_back("caller", std::move(caller));
  return render.call(function, values);
}

Value Filter::evaluate(Render& render) const {
  Value input = render.evaluate(*value);
  Arguments values = arguments.evaluate(render);
  values.positional.insert(values.positional.begin(), std::move(input));
  return call_filter(render, name, values);
}

Value Test::evaluate(Render& render) const {
  Value input = render.evaluate(*value);
  Arguments values = arguments.evaluate(render);
  values.positional.insert(values.positional.begin(), std::move(input));
  return Value::boolean(call_test(render, name, values));
}

Value BlockText::evaluate(Render& render) const {
  return render.block_text;
}

}  // namespace inferno::token::jinja
