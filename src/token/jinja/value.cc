#include "token/jinja/value.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

uint32_t depth_over(const std::vector<Value>& items) {
  uint32_t depth = 0;
  for (const Value& item : items)
    depth = std::max(depth, item.depth());
  return depth + 1;
}

uint32_t depth_over(const Dict::Entries& entries) {
  uint32_t depth = 0;
  for (const auto& [key, value] : entries)
    depth = std::max({depth, key.depth(), value.depth()});
  return depth + 1;
}

void check_depth(uint32_t depth) {
  if (depth > kMaxValueDepth) raise_limit("a value is nested deeper than {}", kMaxValueDepth);
}

bool equal_sequences(Budget& budget, const Sequence& left, const Sequence& right) {
  auto family = [](SequenceKind kind) {
    return kind == SequenceKind::kGroup ? SequenceKind::kTuple : kind;
  };
  if (family(left.kind) != family(right.kind)) return false;
  if (left.items.size() != right.items.size()) return false;
  for (size_t i = 0; i < left.items.size(); ++i) {
    if (!equal(budget, left.items[i], right.items[i])) return false;
  }
  return true;
}

bool equal_dicts(Budget& budget, const Dict& left, const Dict& right) {
  if (left.entries.size() != right.entries.size()) return false;
  for (const auto& [key, value] : left.entries) {
    const Value* other = find(budget, right, key);
    if (other == nullptr || !equal(budget, value, *other)) return false;
  }
  return true;
}

// Looks for `key` among entries that have this index (empty when they are few).
std::pair<Value, Value>* find_entry(Budget& budget, Dict::Entries& entries,
                                    const Dict::Index& index, const Value& key) {
  const size_t hash = hash_of(budget, key);
  if (index.empty()) {
    for (auto& entry : entries) {
      if (equal(budget, entry.first, key)) return &entry;
    }
    return nullptr;
  }
  auto [begin, end] = index.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    auto& entry = entries[it->second];
    if (equal(budget, entry.first, key)) return &entry;
  }
  return nullptr;
}

size_t hash_text(std::string_view text) {
  return std::hash<std::string_view>{}(text);
}

size_t hash_int(Int value) {
  const auto low = static_cast<uint64_t>(value);
  const auto high = static_cast<uint64_t>(value >> 64);
  return std::hash<uint64_t>{}(low * 0x9E3779B97F4A7C15u ^ high);
}

}  // namespace

Text::Text(std::string text, Markup kind, Budget* budget)
    : bytes(std::move(text)),
      ascii(is_ascii(bytes)),
      markup(kind == Markup::kYes),
      charge(budget, bytes.size() + sizeof(Text)) {}

Sequence::Sequence(SequenceKind sequence_kind, std::vector<Value> values, Budget* budget)
    : kind(sequence_kind),
      items(std::move(values)),
      depth(depth_over(items)),
      charge(budget, items.size() * sizeof(Value) + sizeof(Sequence)) {}

Dict::Dict(Entries dict_entries, Index dict_index, Budget* budget)
    : entries(std::move(dict_entries)),
      index(std::move(dict_index)),
      depth(depth_over(entries)),
      charge(budget, entries.size() * (2 * sizeof(Value) + 48) + sizeof(Dict)) {}

bool Object::attribute(Render&, std::string_view, Value&) {
  return false;
}
Value Object::call(Render&, Arguments&) {
  raise("TypeError: '{}' object is not callable", type_name());
}
std::string Object::repr(Render&) const {
  return fmt::format("<{} object>", type_name());
}

Value Value::undefined(std::string message) {
  return Value(Data(std::make_shared<const Undefined>(std::move(message))));
}

Value Value::constant(std::string text) {
  return Value(Data(std::make_shared<const Text>(std::move(text), Markup::kNo, nullptr)));
}

Value Value::text(Budget& budget, std::string bytes, Markup markup) {
  if (bytes.size() > kMaxTextBytes) {
    raise_limit("a text has {} bytes, limit {}", bytes.size(), kMaxTextBytes);
  }
  return Value(Data(std::make_shared<const Text>(std::move(bytes), markup, &budget)));
}

Value Value::sequence(Budget& budget, SequenceKind kind, std::vector<Value> items) {
  auto made = std::make_shared<const Sequence>(kind, std::move(items), &budget);
  check_depth(made->depth);
  return Value(Data(std::move(made)));
}

bool Value::is_sequence(SequenceKind wanted) const {
  return is(Kind::kSequence) && as_sequence().kind == wanted;
}

bool Value::is_list_or_tuple() const {
  return is(Kind::kSequence) && as_sequence().kind <= SequenceKind::kGroup;
}

bool Value::truthy() const {
  switch (kind()) {
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return as_bool();
    case Kind::kInt:
      return as_int() != 0;
    case Kind::kFloat:
      return as_real() != 0;
    case Kind::kText:
      return !str().empty();
    case Kind::kSequence:
      return !items().empty();
    case Kind::kDict:
      return !as_dict().entries.empty();
    case Kind::kUndefined:
      return false;
    case Kind::kObject:
      return true;
  }
  return false;
}

uint32_t Value::depth() const {
  switch (kind()) {
    case Kind::kSequence:
      return as_sequence().depth;
    case Kind::kDict:
      return as_dict().depth;
    case Kind::kObject:
      return as_object()->depth();
    default:
      return 0;
  }
}

std::string_view Value::type_name() const {
  switch (kind()) {
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kText:
      return as_text().markup ? "Markup" : "str";
    case Kind::kSequence:
      switch (as_sequence().kind) {
        case SequenceKind::kList:
          return "list";
        case SequenceKind::kTuple:
          return "tuple";
        case SequenceKind::kGroup:
          return "_GroupTuple";
        case SequenceKind::kRange:
          return "range";
        case SequenceKind::kDictKeys:
          return "dict_keys";
        case SequenceKind::kDictValues:
          return "dict_values";
        case SequenceKind::kDictItems:
          return "dict_items";
      }
      return "list";
    case Kind::kDict:
      return "dict";
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kObject: {
      const std::string_view name = as_object()->type_name();
      return name.substr(name.rfind('.') + 1);  // npos + 1 is 0
    }
  }
  return "object";
}

const void* Value::identity() const {
  switch (kind()) {
    case Kind::kText:
      return &as_text();
    case Kind::kSequence:
      return &as_sequence();
    case Kind::kDict:
      return &as_dict();
    case Kind::kUndefined:
      return &as_undefined();
    case Kind::kObject:
      return as_object().get();
    default:
      return nullptr;
  }
}

bool equal(Budget& budget, const Value& left, const Value& right) {
  budget.work(1);
  if (left.is_integral() && right.is_integral()) return left.as_int() == right.as_int();
  if (left.is_number() && right.is_number()) return left.to_real() == right.to_real();
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::kNone:
      return true;
    case Kind::kText:
      if (left.str().size() != right.str().size()) return false;
      budget.work_bytes(left.str().size());
      return left.str() == right.str();
    case Kind::kSequence:
      return equal_sequences(budget, left.as_sequence(), right.as_sequence());
    case Kind::kDict:
      return equal_dicts(budget, left.as_dict(), right.as_dict());
    case Kind::kUndefined:
      return true;
    case Kind::kObject:
      return left.as_object() == right.as_object();
    default:
      return false;
  }
}

size_t hash_of(Budget& budget, const Value& value) {
  budget.work(1);
  switch (value.kind()) {
    case Kind::kNone:
      return 0x5bd1e995;
    case Kind::kBool:
    case Kind::kInt:
      return hash_int(value.as_int());
    case Kind::kFloat: {
      const double real = value.as_real();
      const bool whole = std::trunc(real) == real && std::fabs(real) < 1e37;
      return whole ? hash_int(static_cast<Int>(real)) : std::hash<double>{}(real);
    }
    case Kind::kText:
      budget.work_bytes(value.str().size());
      return hash_text(value.str());
    case Kind::kSequence: {
      const Sequence& sequence = value.as_sequence();
      if (sequence.kind != SequenceKind::kTuple && sequence.kind != SequenceKind::kGroup) break;
      size_t hash = 0x345678;
      for (const Value& item : sequence.items) {
        hash = std::rotl(hash, 7) * 0x100000001b3u ^ hash_of(budget, item);
      }
      return hash;
    }
    case Kind::kUndefined:
      return 0x1234567;
    case Kind::kObject:
      return std::hash<const void*>{}(value.as_object().get());
    default:
      break;
  }
  raise("TypeError: unhashable type: '{}'", value.type_name());
}

void DictBuilder::set(const Value& key, Value value) {
  if (auto* entry = find_entry(budget_, entries_, index_, key)) {
    entry->second = std::move(value);
    return;
  }
  entries_.emplace_back(key, std::move(value));
  if (entries_.size() < kIndexedDictEntries) return;
  const size_t first = index_.empty() ? 0 : entries_.size() - 1;
  for (size_t i = first; i < entries_.size(); ++i) {
    index_.emplace(hash_of(budget_, entries_[i].first), static_cast<uint32_t>(i));
  }
}

void DictBuilder::set(std::string_view key, Value value) {
  set(Value::text(budget_, std::string(key)), std::move(value));
}

void DictBuilder::merge(const Dict& other) {
  for (const auto& [key, value] : other.entries)
    set(key, value);
}

Value DictBuilder::finish() {
  auto made = std::make_shared<const Dict>(std::move(entries_), std::move(index_), &budget_);
  entries_.clear();
  index_.clear();
  check_depth(made->depth);
  return Value::dict(std::move(made));
}

const Value* find(Budget& budget, const Dict& dict, const Value& key) {
  // find_entry only reads; it hands out what it was given.
  auto* entry = find_entry(budget, const_cast<Dict&>(dict).entries, dict.index, key);
  return entry == nullptr ? nullptr : &entry->second;
}

const Value* find(const Dict& dict, std::string_view key) {
  if (dict.index.empty()) {
    for (const auto& [name, value] : dict.entries) {
      if (name.is_text() && name.str() == key) return &value;
    }
    return nullptr;
  }
  auto [begin, end] = dict.index.equal_range(hash_text(key));
  for (auto it = begin; it != end; ++it) {
    const auto& [name, value] = dict.entries[it->second];
    if (name.is_text() && name.str() == key) return &value;
  }
  return nullptr;
}

}  // namespace inferno::token::jinja
