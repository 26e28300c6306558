// Python's operators on values: arithmetic, comparison, membership, slicing.
//
// Each raises what Python raises: TypeError for kinds that do not go together, ZeroDivisionError,
// and an OverflowError where Python's integer would outgrow 128 bits. An Undefined operand raises
// its own message.
#pragma once

#include <optional>

#include "token/jinja/render.h"

namespace inferno::token::jinja {

// Requires: op is not kAnd or kOr (those evaluate their right side only when needed).
Value apply(Render& render, BinaryOperator op, const Value& left, const Value& right);
Value negate(const Value& operand);
Value unary_plus(const Value& operand);
bool compare(Render& render, Comparison op, const Value& left, const Value& right);
// left < right, as sorting needs it.
bool less(Render& render, const Value& left, const Value& right);
// element in container.
bool contains(Render& render, const Value& container, const Value& element);

struct SliceBounds {
  std::optional<Int> start;
  std::optional<Int> stop;
  std::optional<Int> step;
};
// object[start:stop:step] of a string, list, tuple or range.
Value slice(Render& render, const Value& object, const SliceBounds& bounds);

// Throws the UndefinedError of an undefined value; does nothing for others.
void require_defined(const Value& value);
// int(float) towards zero; throws OverflowError or ValueError when no integer can hold it.
Int to_int(double value);

}  // namespace inferno::token::jinja
