// Values as text: Python's str(), repr() and pprint.pformat().
#pragma once

#include <string>

#include "token/jinja/render.h"

namespace inferno::token::jinja {

// Shortest digits that read back the same, as Python prints floats: "1.0", "1e-07", "inf".
std::string float_text(double value);
std::string int_text(Int value);

// str(value). Throws when longer than kMaxTextBytes.
std::string to_text(Render& render, const Value& value);
// repr(value). Throws when longer than kMaxTextBytes or nested too deeply.
std::string to_repr(Render& render, const Value& value);
// repr with sorted keys, one element a line where it does not fit 80 columns. Long strings are not
// broken.
std::string to_pretty(Render& render, const Value& value);

}  // namespace inferno::token::jinja
