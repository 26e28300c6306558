// Filters over lists and other iterables.
//
// map, select, reject, unique, batch, slice and items give lazy iterators, as in Jinja: true even
// when they are empty, without a length, walked once, and no JSON.
#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "token/jinja/library.h"
#include "token/jinja/merge_sort.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

// "a.b.0" as the keys a, b and 0.
class AttributePath {
 public:
  AttributePath(Render& render, const Value& attribute) {
    if (attribute.is(Kind::kNone)) return;
    if (!attribute.is_text()) {
      keys_.push_back(attribute);
      return;
    }
    for (std::string_view part : split_at(attribute.str(), ".", std::nullopt, Side::kLeft)) {
      const bool number = !part.empty() && part.size() < 18 &&
                          std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
      if (!number) {
        keys_.push_back(render.text(std::string(part)));
        continue;
      }
      int64_t index = 0;
      std::from_chars(part.data(), part.data() + part.size(), index);
      keys_.push_back(Value::integer(index));
    }
  }

  Value of(Render& render, Value item, const Value& fallback = Value::none()) const {
    for (const Value& key : keys_) {
      item = render.item(item, key);
      if (item.is_undefined() && !fallback.is(Kind::kNone)) item = fallback;
    }
    return item;
  }

 private:
  std::vector<Value> keys_;
};

Value ignore_case(Render& render, Value value) {
  if (!value.is_text()) return value;
  render.budget().work_bytes(value.str().size());
  return render.text(lower(value.str()));
}

enum class CaseRule : uint8_t { kIgnore, kRespect };
CaseRule case_rule(const Bound& bound, size_t index) {
  return bound.truth(index) ? CaseRule::kRespect : CaseRule::kIgnore;
}

// What an element is sorted or compared by: its attribute, in lower case unless case counts.
Value sort_key(Render& render, const AttributePath& path, const Value& item, CaseRule rule) {
  Value key = path.of(render, item);
  return rule == CaseRule::kIgnore ? ignore_case(render, std::move(key)) : key;
}

Value attribute_or_none(const Bound& bound, size_t index) {
  return bound.has(index) ? bound[index] : Value::none();
}

struct Keyed {
  Value key;
  Value item;
};

enum class Direction : uint8_t { kAscending, kDescending };
Direction direction(const Bound& bound, size_t index) {
  return bound.truth(index) ? Direction::kDescending : Direction::kAscending;
}

// Stable in both directions.
void sort_keyed(Render& render, std::vector<Keyed>& items, Direction order) {
  merge_sort(items, [&](const Keyed& a, const Keyed& b) {
    return order == Direction::kDescending ? less(render, b.key, a.key)
                                           : less(render, a.key, b.key);
  });
}

Value filter_length(Render& render, Arguments& arguments) {
  const Bound bound("length", arguments, {"obj"});
  return Value::integer(render.length(bound[0]));
}

Value filter_list(Render& render, Arguments& arguments) {
  const Bound bound("list", arguments, {"value"});
  return render.list(render.elements(bound[0]));
}

Value filter_first(Render& render, Arguments& arguments) {
  const Bound bound("first", arguments, {"seq"});
  Value item;
  if (render.iterate(bound[0])->next(render, item)) return item;
  return Value::undefined("UndefinedError: No first item, sequence was empty.");
}

Value filter_last(Render& render, Arguments& arguments) {
  const Bound bound("last", arguments, {"seq"});
  if (bound[0].is(Kind::kObject)) {
    raise("TypeError: '{}' object is not reversible", bound[0].type_name());
  }
  const std::vector<Value> items = render.elements(bound[0]);
  if (!items.empty()) return items.back();
  return Value::undefined("UndefinedError: No last item, sequence was empty.");
}

Value filter_join(Render& render, Arguments& arguments) {
  const Bound bound("join", arguments, {"value", "d", "attribute"});
  const std::string glue = bound.has(1) ? to_text(render, bound[1]) : "";
  const AttributePath path(render, attribute_or_none(bound, 2));
  std::string out;
  bool first = true;
  const auto iterator = render.iterate(bound[0]);
  for (Value item; iterator->next(render, item);) {
    if (!first) out += glue;
    first = false;
    out += to_text(render, path.of(render, std::move(item)));
    render.budget().work(1 + glue.size() / 64);
    if (out.size() > kMaxTextBytes) raise_limit("a text has more than {} bytes", kMaxTextBytes);
  }
  return render.text(std::move(out));
}

Value filter_reverse(Render& render, Arguments& arguments) {
  const Bound bound("reverse", arguments, {"value"});
  const Value& value = bound[0];
  if (value.is_text()) return slice(render, value, {std::nullopt, std::nullopt, -1});
  if (value.is(Kind::kObject)) {
    std::vector<Value> items = render.elements(value);
    std::ranges::reverse(items);
    return render.list(std::move(items));
  }
  if (!Render::is_iterable(value)) raise("FilterArgumentError: argument must be iterable");
  const Value items = render.list(render.elements(value));
  const std::string_view type = value.is(Kind::kDict)                    ? "dict_reversekeyiterator"
                                : value.is_sequence(SequenceKind::kList) ? "list_reverseiterator"
                                                                         : "reversed";
  return make_generator(render, type, items.depth(),
                        [items, left = items.items().size()](Render&, Value& out) mutable {
                          if (left == 0) return false;
                          out = items.items()[--left];
                          return true;
                        });
}

Value filter_sort(Render& render, Arguments& arguments) {
  const Bound bound("sort", arguments, {"value", "reverse", "case_sensitive", "attribute"});
  std::vector<AttributePath> paths;
  const Value attribute = attribute_or_none(bound, 3);
  if (attribute.is_text()) {
    for (std::string_view part : split_at(attribute.str(), ",", std::nullopt, Side::kLeft)) {
      paths.emplace_back(render, render.text(std::string(part)));
    }
  } else {
    paths.emplace_back(render, attribute);
  }
  std::vector<Keyed> items;
  for (Value& item : render.elements(bound[0])) {
    std::vector<Value> keys;
    for (const auto& path : paths)
      keys.push_back(sort_key(render, path, item, case_rule(bound, 2)));
    items.push_back({Value::tuple(render.budget(), std::move(keys)), std::move(item)});
  }
  sort_keyed(render, items, direction(bound, 1));
  std::vector<Value> sorted;
  for (Keyed& keyed : items)
    sorted.push_back(std::move(keyed.item));
  return render.list(std::move(sorted));
}

Value filter_dictsort(Render& render, Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"value", "case_sensitive", "by", "reverse"});
  const std::string_view by = bound.text(2, "key");
  if (by != "key" && by != "value") {
    raise("FilterArgumentError: You can only sort by either \"key\" or \"value\"");
  }
  if (!bound[0].is(Kind::kDict)) require_defined(render.attribute(bound[0], "items"));
  if (!bound[0].is(Kind::kDict))
    raise("TypeError: dictsort needs a dict, not {}", bound[0].type_name());
  std::vector<Keyed> items;
  for (const auto& [key, value] : bound[0].as_dict().entries) {
    Value sort_key = by == "key" ? key : value;
    if (case_rule(bound, 1) == CaseRule::kIgnore) sort_key = ignore_case(render, sort_key);
    items.push_back({std::move(sort_key), Value::tuple(render.budget(), {key, value})});
  }
  sort_keyed(render, items, direction(bound, 3));
  std::vector<Value> sorted;
  for (Keyed& keyed : items)
    sorted.push_back(std::move(keyed.item));
  return render.list(std::move(sorted));
}

Value filter_unique(Render& render, Arguments& arguments) {
  const Bound bound("unique", arguments, {"value", "case_sensitive", "attribute"});
  const AttributePath path(render, attribute_or_none(bound, 2));
  const CaseRule rule = case_rule(bound, 1);
  auto source = render.iterate(bound[0]);
  struct Seen {
    std::unordered_multimap<size_t, Value> keys;
  };
  auto seen = std::make_shared<Seen>();
  return make_generator(
      render, "generator", bound[0].depth(), [source, seen, path, rule](Render& r, Value& out) {
        while (source->next(r, out)) {
          Value key = sort_key(r, path, out, rule);
          const size_t hash = hash_of(r.budget(), key);
          auto [begin, end] = seen->keys.equal_range(hash);
          const bool known = std::any_of(
              begin, end, [&](const auto& entry) { return equal(r.budget(), entry.second, key); });
          if (known) continue;
          seen->keys.emplace(hash, std::move(key));
          return true;
        }
        return false;
      });
}

enum class Extreme : uint8_t { kSmallest, kLargest };

Value extreme(Render& render, Arguments& arguments, Extreme wanted) {
  const bool largest = wanted == Extreme::kLargest;
  const Bound bound(largest ? "max" : "min", arguments, {"value", "case_sensitive", "attribute"});
  const AttributePath path(render, attribute_or_none(bound, 2));
  const CaseRule rule = case_rule(bound, 1);
  const auto iterator = render.iterate(bound[0]);
  Value best;
  if (!iterator->next(render, best)) {
    return Value::undefined("UndefinedError: No aggregated item, sequence was empty.");
  }
  Value best_key = sort_key(render, path, best, rule);
  for (Value item; iterator->next(render, item);) {
    Value key = sort_key(render, path, item, rule);
    const bool better = largest ? less(render, best_key, key) : less(render, key, best_key);
    if (!better) continue;
    best = std::move(item);
    best_key = std::move(key);
  }
  return best;
}

Value filter_min(Render& render, Arguments& arguments) {
  return extreme(render, arguments, Extreme::kSmallest);
}
Value filter_max(Render& render, Arguments& arguments) {
  return extreme(render, arguments, Extreme::kLargest);
}

Value filter_sum(Render& render, Arguments& arguments) {
  const Bound bound("sum", arguments, {"iterable", "attribute", "start"});
  const AttributePath path(render, attribute_or_none(bound, 1));
  Value total = bound.has(2) ? bound[2] : Value::integer(0);
  if (total.is_text()) raise("TypeError: sum() can't sum strings [use ''.join(seq) instead]");
  const auto iterator = render.iterate(bound[0]);
  for (Value item; iterator->next(render, item);) {
    total = apply(render, BinaryOperator::kAdd, total, path.of(render, std::move(item)));
  }
  return total;
}

Value filter_items(Render& render, Arguments& arguments) {
  const Bound bound("items", arguments, {"value"});
  const Value value = bound[0];
  if (!value.is_undefined() && !value.is(Kind::kDict)) {
    raise("TypeError: Can only get item pairs from a mapping.");
  }
  return make_generator(render, "generator", value.depth(),
                        [value, at = size_t{0}](Render& r, Value& out) mutable {
                          if (value.is_undefined()) return false;
                          const auto& entries = value.as_dict().entries;
                          if (at >= entries.size()) return false;
                          out = Value::tuple(r.budget(), {entries[at].first, entries[at].second});
                          ++at;
                          return true;
                        });
}

Value filter_batch(Render& render, Arguments& arguments) {
  const Bound bound("batch", arguments, {"value", "linecount", "fill_with"}, 2);
  const size_t count = bound.size(1, 1);
  const Value fill = attribute_or_none(bound, 2);
  auto source = render.iterate(bound[0]);
  return make_generator(
      render, "generator", bound[0].depth(), [source, count, fill](Render& r, Value& out) {
        std::vector<Value> line;
        // Like Jinja, a line takes its first element whatever the count.
        for (Value item; (line.empty() || line.size() < count) && source->next(r, item);) {
          line.push_back(std::move(item));
        }
        if (line.empty()) return false;
        if (!fill.is(Kind::kNone)) {
          while (line.size() < count) {
            r.budget().work(1);
            line.push_back(fill);
          }
        }
        out = r.list(std::move(line));
        return true;
      });
}

Value filter_slice(Render& render, Arguments& arguments) {
  const Bound bound("slice", arguments, {"value", "slices", "fill_with"}, 2);
  const Int slices = bound.integer(1, 1);
  if (slices == 0) raise("ZeroDivisionError: integer division or modulo by zero");
  const Value fill = attribute_or_none(bound, 2);
  const std::vector<Value> items = render.elements(bound[0]);
  const auto count = static_cast<size_t>(std::clamp(slices, Int{0}, Int{kMaxRangeItems}));
  std::vector<Value> columns;
  auto begin = items.begin();
  for (size_t i = 0; i < count; ++i) {
    const bool extra = i < items.size() % count;
    const auto end = begin + static_cast<ptrdiff_t>(items.size() / count + (extra ? 1 : 0));
    std::vector<Value> column(begin, end);
    if (!fill.is(Kind::kNone) && !extra) column.push_back(fill);
    columns.push_back(render.list(std::move(column)));
    begin = end;
  }
  const Value all = render.list(std::move(columns));
  auto iterator = std::make_shared<SequenceIterator>(all);
  return make_generator(render, "generator", all.depth(),
                        [iterator](Render& r, Value& out) { return iterator->next(r, out); });
}

Value filter_groupby(Render& render, Arguments& arguments) {
  const Bound bound("groupby", arguments, {"value", "attribute", "default", "case_sensitive"}, 2);
  const AttributePath path(render, bound[1]);
  const Value fallback = attribute_or_none(bound, 2);
  const CaseRule rule = case_rule(bound, 3);
  std::vector<Keyed> items;
  for (Value& item : render.elements(bound[0])) {
    Value key = path.of(render, item, fallback);
    if (rule == CaseRule::kIgnore) key = ignore_case(render, std::move(key));
    items.push_back({std::move(key), std::move(item)});
  }
  sort_keyed(render, items, Direction::kAscending);
  std::vector<Value> groups;
  for (size_t begin = 0; begin < items.size();) {
    std::vector<Value> members;
    size_t end = begin;
    while (end < items.size() && equal(render.budget(), items[end].key, items[begin].key)) {
      members.push_back(items[end++].item);
    }
    Value name =
        rule == CaseRule::kIgnore ? path.of(render, members[0], fallback) : items[begin].key;
    groups.push_back(Value::sequence(render.budget(), SequenceKind::kGroup,
                                     {std::move(name), render.list(std::move(members))}));
    begin = end;
  }
  return render.list(std::move(groups));
}

// How deep the values are that a lazy filter holds on to.
uint32_t depth_of(const Value& source, const Arguments& arguments) {
  uint32_t depth = source.depth();
  for (const Value& value : arguments.positional)
    depth = std::max(depth, value.depth());
  for (const auto& [name, value] : arguments.named)
    depth = std::max(depth, value.depth());
  return depth;
}

// Takes the first positional argument out; None when there is none.
std::optional<Value> take_first(Arguments& arguments) {
  if (arguments.positional.empty()) return std::nullopt;
  Value value = std::move(arguments.positional.front());
  arguments.positional.erase(arguments.positional.begin());
  return value;
}

Arguments with_first(const Arguments& arguments, const Value& first) {
  Arguments result = arguments;
  result.positional.insert(result.positional.begin(), first);
  return result;
}

// The source as an iterator that is opened at the first step, and not at all when the source is
// empty or undefined.
class LazySource {
 public:
  explicit LazySource(Value value) : value_(std::move(value)) {}
  bool next(Render& render, Value& out) {
    if (!value_.truthy()) return false;
    if (iterator_ == nullptr) iterator_ = render.iterate(value_);
    return iterator_->next(render, out);
  }

 private:
  Value value_;
  std::shared_ptr<Iterator> iterator_;
};

std::string required_name(const std::optional<Value>& name, std::string_view message) {
  if (!name) raise("FilterArgumentError: {}", message);
  if (!name->is_text())
    raise("TypeError: a filter's or test's name must be str, not {}", name->type_name());
  return name->str();
}

Value filter_map(Render& render, Arguments& arguments) {
  const Value source = take_first(arguments).value_or(Value::none());
  if (arguments.positional.empty() && !arguments.named.empty() &&
      std::ranges::any_of(arguments.named,
                          [](const auto& named) { return named.first == "attribute"; })) {
    const Bound bound("map", arguments, {"attribute", "default"});
    const AttributePath path(render, bound[0]);
    const Value fallback = attribute_or_none(bound, 1);
    const uint32_t depth = std::max(source.depth(), fallback.depth());
    return make_generator(
        render, "generator", depth,
        [lazy = LazySource(source), path, fallback](Render& r, Value& out) mutable {
          const Render::DepthGuard guard(r);
          if (!lazy.next(r, out)) return false;
          out = path.of(r, std::move(out), fallback);
          return true;
        });
  }
  const std::string name = required_name(take_first(arguments), "map requires a filter argument");
  const uint32_t depth = depth_of(source, arguments);
  return make_generator(
      render, "generator", depth,
      [lazy = LazySource(source), name, arguments](Render& r, Value& out) mutable {
        const Render::DepthGuard guard(r);
        if (!lazy.next(r, out)) return false;
        Arguments with_item = with_first(arguments, out);
        out = call_filter(r, name, with_item);
        return true;
      });
}

struct Selection {
  bool wanted;        // whether the elements that pass the test are kept, or the others
  bool by_attribute;  // whether the test looks at an attribute
};

Value select(Render& render, Arguments& arguments, Selection selection) {
  const Value source = take_first(arguments).value_or(Value::none());
  Value attribute;
  if (selection.by_attribute) {
    const auto given = take_first(arguments);
    if (!given) raise("FilterArgumentError: Missing parameter for attribute name");
    attribute = *given;
  }
  const AttributePath path(render, attribute);
  std::optional<std::string> test;
  if (auto name = take_first(arguments)) test = required_name(name, "");
  const uint32_t depth = depth_of(source, arguments);
  return make_generator(
      render, "generator", depth,
      [lazy = LazySource(source), path, test, arguments, selection](Render& r, Value& out) mutable {
        const Render::DepthGuard guard(r);
        while (lazy.next(r, out)) {
          r.budget().work(1);
          const Value tested = path.of(r, out);
          bool passes = tested.truthy();
          if (test) {
            Arguments with_item = with_first(arguments, tested);
            passes = call_test(r, *test, with_item);
          }
          if (passes == selection.wanted) return true;
        }
        return false;
      });
}

Value filter_select(Render& r, Arguments& a) {
  return select(r, a, {.wanted = true, .by_attribute = false});
}
Value filter_reject(Render& r, Arguments& a) {
  return select(r, a, {.wanted = false, .by_attribute = false});
}
Value filter_selectattr(Render& r, Arguments& a) {
  return select(r, a, {.wanted = true, .by_attribute = true});
}
Value filter_rejectattr(Render& r, Arguments& a) {
  return select(r, a, {.wanted = false, .by_attribute = true});
}

constexpr std::array<Builtin, 22> kSequenceFilters = {{
    {"batch", filter_batch},     {"count", filter_length},    {"dictsort", filter_dictsort},
    {"first", filter_first},     {"groupby", filter_groupby}, {"items", filter_items},
    {"join", filter_join},       {"last", filter_last},       {"length", filter_length},
    {"list", filter_list},       {"map", filter_map},         {"max", filter_max},
    {"min", filter_min},         {"reject", filter_reject},   {"rejectattr", filter_rejectattr},
    {"reverse", filter_reverse}, {"select", filter_select},   {"selectattr", filter_selectattr},
    {"slice", filter_slice},     {"sort", filter_sort},       {"sum", filter_sum},
    {"unique", filter_unique},
}};

}  // namespace

BuiltinFunction find_sequence_filter(std::string_view name) {
  const auto found = std::ranges::find(kSequenceFilters, name, &Builtin::name);
  return found == kSequenceFilters.end() ? nullptr : found->function;
}

}  // namespace inferno::token::jinja
