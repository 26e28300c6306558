// The methods of Python's values that a template may call, and those that its sandbox forbids.
#pragma once

#include <string_view>

#include "token/jinja/objects.h"

namespace inferno::token::jinja {

struct Method {
  std::string_view name;
  BoundMethod::Body body;  // null: exists, but changes its object, and the sandbox forbids that
};

// The method of this value's kind, or null.
const Method* find_method(const Value& object, std::string_view name);

// The method of str, or null.
const Method* find_text_method(std::string_view name);

}  // namespace inferno::token::jinja
