// Value: what a template computes with: Python's values, as far as a template can see them.
//
//   None  bool  int (128 bits)  float  str  sequence (list, tuple, range, dict views)  dict
//   Undefined  object
//
// Invariant: everything but an Object is immutable once made (the sandbox of Jinja forbids append,
//            pop, update), so copying a Value is copying a pointer, and no value but one that
//            contains an Object can contain itself. depth() bounds nesting, so that recursion over
//            a value (print, compare, destroy) is bounded too.
// Threads:   the constants of a template are shared between threads; all else belongs to one
//            rendering.
// Cost:      32 bytes; strings, sequences and dicts are shared.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "token/jinja/failure.h"

namespace inferno::token::jinja {

class Render;
class Value;

// Python's integers have no bound; these refuse with an OverflowError beyond 128 bits.
__extension__ typedef __int128 Int;
__extension__ typedef unsigned __int128 UnsignedInt;

struct None {};

// Whether a string came through `safe` or `escape`: if so, `+` escapes what is added to it.
enum class Markup : uint8_t { kNo, kYes };

// A string of Unicode code points, kept as UTF-8.
struct Text {
  Text(std::string text, Markup kind, Budget* budget);
  std::string bytes;
  bool ascii;  // every byte is a code point
  bool markup;
  Charge charge;
};

enum class SequenceKind : uint8_t {
  kList,
  kTuple,
  kGroup,  // a tuple from groupby, whose two items are also named grouper and list
  kRange,
  kDictKeys,
  kDictValues,
  kDictItems,
};

struct Sequence {
  Sequence(SequenceKind sequence_kind, std::vector<Value> values, Budget* budget);
  SequenceKind kind;
  std::vector<Value> items;
  uint32_t depth;
  Charge charge;
};

// A dictionary that keeps the order of insertion. Made by DictBuilder.
struct Dict {
  using Entries = std::vector<std::pair<Value, Value>>;
  using Index = std::unordered_multimap<size_t, uint32_t>;
  Dict(Entries dict_entries, Index dict_index, Budget* budget);
  Entries entries;
  Index index;  // hash of the key -> place in entries; empty below kIndexedDictEntries
  uint32_t depth;
  Charge charge;
};

// What a missing variable, attribute or element evaluates to. Printing it prints nothing; using it
// raises the message.
struct Undefined {
  std::string message;  // with the name of the exception: "UndefinedError: 'x' is undefined"
};

// The arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// What has identity or behaviour: functions, macros, namespaces, iterators, the loop.
class Object {
 public:
  explicit Object(uint32_t depth = 1) : depth_(depth) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  // Python's name for the type: "generator", "jinja2.runtime.Macro".
  virtual std::string_view type_name() const = 0;
  // Sets `out` to the attribute; false when there is none of that name.
  virtual bool attribute(Render& render, std::string_view name, Value& out);
  virtual bool is_callable() const { return false; }
  // Requires: is_callable().
  virtual Value call(Render& render, Arguments& arguments);
  virtual std::string repr(Render& render) const;
  // Drops what this refers to, so that circles of objects can be freed at the end of a rendering.
  virtual void clear() {}

  uint32_t depth() const { return depth_; }

 private:
  uint32_t depth_;
};

// Elements one after another, once: what `for` walks, and what the lazy filters give (map, select,
// reverse ...).
class Iterator : public Object {
 public:
  using Object::Object;
  // Sets `out` to the following element; false at the end.
  virtual bool next(Render& render, Value& out) = 0;
  std::string_view type_name() const override { return "generator"; }
};

enum class Kind : uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,
  kText,
  kSequence,
  kDict,
  kUndefined,
  kObject,
};

class Value {
 public:
  Value() : data_(None{}) {}
  static Value none() { return Value(); }
  static Value boolean(bool value) { return Value(Data(value)); }
  static Value integer(Int value) { return Value(Data(value)); }
  static Value real(double value) { return Value(Data(value)); }
  static Value object(std::shared_ptr<Object> value) { return Value(Data(std::move(value))); }
  static Value dict(std::shared_ptr<const Dict> value) { return Value(Data(std::move(value))); }
  static Value undefined(std::string message);
  // A string that belongs to a template, counted by no budget.
  static Value constant(std::string text);
  // Throws when the text is longer than kMaxTextBytes or the budget is used up.
  static Value text(Budget& budget, std::string bytes, Markup markup = Markup::kNo);
  // Throws when nested deeper than kMaxValueDepth or the budget is used up.
  static Value sequence(Budget& budget, SequenceKind kind, std::vector<Value> items);
  static Value list(Budget& budget, std::vector<Value> items) {
    return sequence(budget, SequenceKind::kList, std::move(items));
  }
  static Value tuple(Budget& budget, std::vector<Value> items) {
    return sequence(budget, SequenceKind::kTuple, std::move(items));
  }

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind wanted) const { return kind() == wanted; }
  bool is_undefined() const { return is(Kind::kUndefined); }
  bool is_text() const { return is(Kind::kText); }
  // A number as Python counts them: bool, int or float.
  bool is_number() const { return is_integral() || is(Kind::kFloat); }
  bool is_integral() const { return is(Kind::kBool) || is(Kind::kInt); }
  bool is_sequence(SequenceKind wanted) const;
  // list or tuple (not a range, not a view).
  bool is_list_or_tuple() const;

  // Each requires the matching kind.
  bool as_bool() const { return std::get<bool>(data_); }
  double as_real() const { return std::get<double>(data_); }
  const Text& as_text() const { return *std::get<std::shared_ptr<const Text>>(data_); }
  const std::string& str() const { return as_text().bytes; }
  const Sequence& as_sequence() const { return *std::get<std::shared_ptr<const Sequence>>(data_); }
  const std::vector<Value>& items() const { return as_sequence().items; }
  const Dict& as_dict() const { return *std::get<std::shared_ptr<const Dict>>(data_); }
  const Undefined& as_undefined() const {
    return *std::get<std::shared_ptr<const Undefined>>(data_);
  }
  const std::shared_ptr<Object>& as_object() const {
    return std::get<std::shared_ptr<Object>>(data_);
  }
  // The object as a T, or null when this is none.
  template <typename T>
  T* as() const {
    return is(Kind::kObject) ? dynamic_cast<T*>(as_object().get()) : nullptr;
  }

  // bool or int as an integer. Requires: is_integral().
  Int as_int() const { return is(Kind::kBool) ? Int{as_bool()} : std::get<Int>(data_); }
  // Any number as a float. Requires: is_number().
  double to_real() const { return is(Kind::kFloat) ? as_real() : static_cast<double>(as_int()); }

  bool truthy() const;
  uint32_t depth() const;
  // Python's name of the type, as in type(x).__name__: "str", "NoneType", "Macro".
  std::string_view type_name() const;
  // The address that `is sameas` compares; null for numbers, None and bools.
  const void* identity() const;

 private:
  using Data = std::variant<None, bool, Int, double, std::shared_ptr<const Text>,
                            std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>,
                            std::shared_ptr<const Undefined>, std::shared_ptr<Object>>;
  explicit Value(Data data) : data_(std::move(data)) {}
  Data data_;
};

// From this many entries a dictionary is searched by hash.
inline constexpr size_t kIndexedDictEntries = 9;

// Equality as Python's ==; never raises but for the budget.
bool equal(Budget& budget, const Value& left, const Value& right);
// Hash consistent with equal(). Throws TypeError "unhashable type" for lists and dicts.
size_t hash_of(Budget& budget, const Value& value);

// Collects the entries of a Dict; a key that is there already gets the later value and keeps its
// place.
class DictBuilder {
 public:
  explicit DictBuilder(Budget& budget) : budget_(budget) {}
  // Throws TypeError when the key cannot be hashed.
  void set(const Value& key, Value value);
  void set(std::string_view key, Value value);
  // Adds every entry of `other`.
  void merge(const Dict& other);
  // Throws when nested deeper than kMaxValueDepth or the budget is used up. The builder is empty
  // afterwards.
  Value finish();

 private:
  Budget& budget_;
  Dict::Entries entries_;
  Dict::Index index_;
};

// The value at `key`, or null. Throws TypeError when the key cannot be hashed.
const Value* find(Budget& budget, const Dict& dict, const Value& key);
// The value at a string key, or null.
const Value* find(const Dict& dict, std::string_view key);

}  // namespace inferno::token::jinja
