// What a template finds ready: filters (`|name`), tests (`is name`) and global functions.
//
// A filter's or test's first positional argument is the value it is applied to.
#pragma once

#include <initializer_list>
#include <string_view>

#include "token/jinja/objects.h"

namespace inferno::token::jinja {

using BuiltinFunction = Value (*)(Render&, Arguments&);

struct Builtin {
  std::string_view name;
  BuiltinFunction function;
};

// Null when there is no filter, or test, of this name.
BuiltinFunction find_filter(std::string_view name);
BuiltinFunction find_test(std::string_view name);

// Tables that find_filter() and find_test() search: one function per source file.
BuiltinFunction find_text_filter(std::string_view name);
BuiltinFunction find_sequence_filter(std::string_view name);
BuiltinFunction find_value_filter(std::string_view name);

// Defines range, namespace, dict, cycler, joiner, raise_exception and strftime_now.
void define_globals(Render& render);

// Applies a filter or test by name, for map, select and their like. Throws TemplateRuntimeError
// when there is none.
Value call_filter(Render& render, std::string_view name, Arguments& arguments);
bool call_test(Render& render, std::string_view name, Arguments& arguments);

// The arguments of a built-in function, by position or name, against its list of parameters.
class Bound {
 public:
  // Throws TypeError for too many, doubled, unknown or missing arguments; the first `required` must
  // be there.
  Bound(std::string_view function, Arguments& arguments,
        std::initializer_list<std::string_view> parameters, size_t required = 1);

  // Whether it was given at all.
  bool has(size_t index) const { return values_[index].has_value(); }
  // Whether it was given and is not None.
  bool given(size_t index) const { return has(index) && !values_[index]->is(Kind::kNone); }
  // Requires: has(index).
  const Value& operator[](size_t index) const { return *values_[index]; }
  // Whether it was given and is true.
  bool truth(size_t index) const;
  // Whether it is true or was not given.
  bool truth_unless_given(size_t index) const;
  // Throws TypeError when it is there but no integer.
  Int integer(size_t index, Int fallback) const;
  // An integer clamped to 0..kMaxTextBytes: a width or a count.
  size_t size(size_t index, size_t fallback) const;
  // Throws TypeError when it is there but no string.
  std::string_view text(size_t index, std::string_view fallback) const;

 private:
  std::string_view function_;
  std::vector<std::string_view> parameters_;
  std::vector<std::optional<Value>> values_;
};

}  // namespace inferno::token::jinja
