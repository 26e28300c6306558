// Values from JSON and to JSON, the latter byte for byte as Python's json.dumps.
#pragma once

#include <boost/json/value.hpp>
#include <string>

#include "token/jinja/render.h"

namespace inferno::token::jinja {

// Throws when nested deeper than kMaxValueDepth or larger than the budget.
Value from_json(Budget& budget, const boost::json::value& json);

struct JsonStyle {
  std::optional<std::string> indent;  // the white space of one level; absent: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool escape_non_ascii = false;
  bool sort_keys = false;
};
// Throws TypeError for what JSON cannot say (Undefined, iterators, macros), a limit's error when it
// is too long.
std::string to_json(Render& render, const Value& value, const JsonStyle& style);

}  // namespace inferno::token::jinja
