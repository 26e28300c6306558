#include "token/jinja/library.h"

#include <algorithm>

#include "token/jinja/operators.h"

namespace inferno::token::jinja {

BuiltinFunction find_filter(std::string_view name) {
  if (BuiltinFunction found = find_text_filter(name)) return found;
  if (BuiltinFunction found = find_sequence_filter(name)) return found;
  return find_value_filter(name);
}

Value call_filter(Render& render, std::string_view name, Arguments& arguments) {
  const BuiltinFunction filter = find_filter(name);
  if (filter == nullptr) raise("TemplateRuntimeError: No filter named '{}'.", name);
  return filter(render, arguments);
}

bool call_test(Render& render, std::string_view name, Arguments& arguments) {
  const BuiltinFunction test = find_test(name);
  if (test == nullptr) raise("TemplateRuntimeError: No test named '{}'.", name);
  return test(render, arguments).truthy();
}

Bound::Bound(std::string_view function, Arguments& arguments,
             std::initializer_list<std::string_view> parameters, size_t required)
    : function_(function), parameters_(parameters), values_(parameters.size()) {
  if (arguments.positional.size() > values_.size()) {
    raise("TypeError: {}() takes at most {} arguments ({} given)", function, values_.size(),
          arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i)
    values_[i] = arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::ranges::find(parameters_, name);
    if (found == parameters_.end()) {
      raise("TypeError: {}() got an unexpected keyword argument '{}'", function, name);
    }
    auto& slot = values_[static_cast<size_t>(found - parameters_.begin())];
    if (slot) raise("TypeError: {}() got multiple values for argument '{}'", function, name);
    slot = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values_[i]) {
      raise("TypeError: {}() missing required argument: '{}'", function, parameters_[i]);
    }
  }
}

bool Bound::truth(size_t index) const {
  return has(index) && values_[index]->truthy();
}

bool Bound::truth_unless_given(size_t index) const {
  return !has(index) || values_[index]->truthy();
}

Int Bound::integer(size_t index, Int fallback) const {
  if (!has(index)) return fallback;
  require_defined(*values_[index]);
  if (!values_[index]->is_integral()) {
    raise("TypeError: {}(): argument '{}' must be an integer, not {}", function_,
          parameters_[index], values_[index]->type_name());
  }
  return values_[index]->as_int();
}

size_t Bound::size(size_t index, size_t fallback) const {
  const Int value = integer(index, static_cast<Int>(fallback));
  return static_cast<size_t>(std::clamp(value, Int{0}, static_cast<Int>(kMaxTextBytes)));
}

std::string_view Bound::text(size_t index, std::string_view fallback) const {
  if (!has(index)) return fallback;
  require_defined(*values_[index]);
  if (!values_[index]->is_text()) {
    raise("TypeError: {}(): argument '{}' must be str, not {}", function_, parameters_[index],
          values_[index]->type_name());
  }
  return values_[index]->str();
}

}  // namespace inferno::token::jinja
