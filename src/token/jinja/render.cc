#include "token/jinja/render.h"

#include <algorithm>
#include <array>

#include "token/jinja/methods.h"
#include "token/jinja/objects.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

// What the registration of a kept object or scope is counted as; it is never given back.
constexpr size_t kKeptBytes = 256;

// How an error names what lacks an attribute: "list object", "None".
std::string owner_name(const Value& object) {
  if (object.is(Kind::kNone)) return "None";
  if (object.is(Kind::kObject)) return fmt::format("{} object", object.as_object()->type_name());
  if (object.is_text() && object.as_text().markup) return "markupsafe.Markup object";
  return fmt::format("{} object", object.type_name());
}

// Attributes that every Python object has and that Jinja's sandbox hides.
bool is_internal(std::string_view name) {
  constexpr std::array<std::string_view, 12> kInternal = {
      "__class__",        "__dict__",   "__doc__",    "__init__",
      "__subclasshook__", "__module__", "__mro__",    "__globals__",
      "__getattr__",      "__new__",    "__reduce__", "__getattribute__"};
  return std::ranges::find(kInternal, name) != kInternal.end();
}

Value forbidden(const Value& object, std::string_view name) {
  return Value::undefined(
      fmt::format("SecurityError: access to attribute '{}' of '{}' object is unsafe.", name,
                  object.type_name()));
}

bool is_subscriptable(const Value& value) {
  return value.is_text() || value.is_list_or_tuple() || value.is_sequence(SequenceKind::kRange);
}

// The place of element `index` counted from either end; nothing outside.
std::optional<size_t> place_of(Int index, Int length) {
  if (index < 0) index += length;
  if (index < 0 || index >= length) return std::nullopt;
  return static_cast<size_t>(index);
}

}  // namespace

Value* Scope::find(Symbol symbol) {
  for (auto& [name, value] : variables) {
    if (name == symbol) return &value;
  }
  return nullptr;
}

void Scope::set(Symbol symbol, Value value) {
  if (Value* known = find(symbol)) {
    *known = std::move(value);
  } else {
    variables.emplace_back(symbol, std::move(value));
  }
}

Render::Render(const Template& source, std::chrono::system_clock::time_point now)
    : template_(source), now_(now), context_(std::make_shared<Scope>()), scope_(context_) {}

Render::~Render() {
  block_text = Value();
  for (const auto& object : kept_objects_)
    object->clear();
  for (const auto& scope : kept_scopes_)
    std::exchange(scope->variables, {}).clear();
  // A scope is older than those below it: cut from the youngest, so that no long chain falls at
  // once.
  for (auto scope = kept_scopes_.rbegin(); scope != kept_scopes_.rend(); ++scope) {
    (*scope)->parent.reset();
  }
  scope_.reset();
  context_.reset();
}

void Render::define(std::string_view name, Value value) {
  if (const auto symbol = template_.symbols.find(name)) context_->set(*symbol, std::move(value));
}

std::string Render::run() {
  try {
    const ScopeGuard root(*this);
    execute(template_.body);
    return std::move(output_);
  } catch (Failure& failure) {
    if (failure.line == 0) failure.line = line_;
    throw;
  }
}

Value Render::evaluate(const Expression& expression) {
  const DepthGuard guard(*this);
  budget_.work(1);
  const int outer_line = line_;
  line_ = expression.line;
  Value value = expression.evaluate(*this);
  line_ = outer_line;
  return value;
}

Flow Render::execute(const Body& body) {
  const DepthGuard guard(*this);
  for (const auto& statement : body) {
    budget_.work(1);
    line_ = statement->line;
    const Flow flow = statement->execute(*this);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

std::string Render::capture(const Body& body, Flow& flow) {
  OutputGuard output(*this);
  const ScopeGuard scope(*this);
  flow = execute(body);
  return output.take();
}

void Render::print(std::string_view text) {
  budget_.work_bytes(text.size());
  if (text.size() > kMaxTextBytes - output_.size()) {
    raise_limit("the rendered text has more than {} bytes", kMaxTextBytes);
  }
  output_ += text;
}

Value Render::variable(Symbol symbol) {
  for (Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    if (const Value* value = scope->find(symbol)) return *value;
  }
  return Value::undefined(
      fmt::format("UndefinedError: '{}' is undefined", template_.symbols.name(symbol)));
}

Value Render::call(const Value& callee, Arguments& arguments) {
  require_defined(callee);
  if (!callee.is(Kind::kObject) || !callee.as_object()->is_callable()) {
    raise("TypeError: '{}' object is not callable", callee.type_name());
  }
  const DepthGuard guard(*this);
  const std::shared_ptr<Object> object = callee.as_object();
  return object->call(*this, arguments);
}

Value Render::attribute(const Value& object, std::string_view name) {
  require_defined(object);
  budget_.work(1);
  if (object.is(Kind::kObject)) {
    Value found;
    if (object.as_object()->attribute(*this, name, found)) return found;
  }
  if (const Method* method = find_method(object, name)) {
    if (method->body == nullptr) return forbidden(object, name);
    return Value::object(std::make_shared<BoundMethod>(object, method->name, method->body));
  }
  if (object.is_sequence(SequenceKind::kGroup)) {
    if (name == "grouper") return object.items()[0];
    if (name == "list") return object.items()[1];
  }
  if (is_internal(name)) return forbidden(object, name);
  if (object.is(Kind::kDict)) {
    if (const Value* found = jinja::find(object.as_dict(), name)) return *found;
  }
  return missing(object, name);
}

Value Render::item(const Value& object, const Value& key) {
  require_defined(object);
  budget_.work(1);
  if (object.is(Kind::kDict)) {
    const bool hashable = !key.is(Kind::kDict) && !key.is_sequence(SequenceKind::kList);
    const Value* found = hashable ? jinja::find(budget_, object.as_dict(), key) : nullptr;
    if (found != nullptr) return *found;
  } else if (key.is_integral() && is_subscriptable(object)) {
    if (const auto place = place_of(key.as_int(), length(object))) {
      if (!object.is_text()) return object.items()[*place];
      return slice(*this, object, {static_cast<Int>(*place), static_cast<Int>(*place) + 1, 1});
    }
  } else if (key.is_text()) {
    return attribute(object, key.str());
  }
  if (key.is_text()) {  // a dictionary without this key: its methods
    return attribute(object, key.str());
  }
  return Value::undefined(
      fmt::format("UndefinedError: {} has no element {}", owner_name(object), to_repr(*this, key)));
}

Value Render::missing(const Value& object, std::string_view attribute) {
  return Value::undefined(fmt::format("UndefinedError: '{}' has no attribute {}",
                                      owner_name(object), quote(attribute)));
}

bool Render::is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kText:
    case Kind::kSequence:
    case Kind::kDict:
    case Kind::kUndefined:
      return true;
    case Kind::kObject:
      return value.as<Iterator>() != nullptr || value.as<Loop>() != nullptr;
    default:
      return false;
  }
}

std::shared_ptr<Iterator> Render::iterate(const Value& value) {
  switch (value.kind()) {
    case Kind::kText:
    case Kind::kDict:
      return std::make_shared<PartsIterator>(value);
    case Kind::kSequence:
      return std::make_shared<SequenceIterator>(value);
    case Kind::kUndefined:
      return std::make_shared<Generator>("generator", 0, [](Render&, Value&) { return false; });
    default:
      break;
  }
  if (auto iterator = value.is(Kind::kObject)
                          ? std::dynamic_pointer_cast<Iterator>(value.as_object())
                          : nullptr) {
    return iterator;
  }
  if (value.as<Loop>() != nullptr) {
    return std::make_shared<Generator>(
        "generator", value.depth(),
        [value](Render& render, Value& out) { return value.as<Loop>()->next(render, out); });
  }
  raise("TypeError: '{}' object is not iterable", value.type_name());
}

std::vector<Value> Render::elements(const Value& value) {
  if (value.is(Kind::kSequence)) {
    budget_.work(1 + value.items().size() / 4);
    return value.items();
  }
  std::vector<Value> items;
  const auto iterator = iterate(value);
  for (Value item; iterator->next(*this, item);) {
    budget_.work(1);
    items.push_back(std::move(item));
  }
  return items;
}

Int Render::length(const Value& value) {
  switch (value.kind()) {
    case Kind::kText: {
      const Text& text = value.as_text();
      if (text.ascii) return static_cast<Int>(text.bytes.size());
      budget_.work_bytes(text.bytes.size());
      return static_cast<Int>(count_code_points(text.bytes));
    }
    case Kind::kSequence:
      return static_cast<Int>(value.items().size());
    case Kind::kDict:
      return static_cast<Int>(value.as_dict().entries.size());
    case Kind::kUndefined:
      return 0;
    default:
      break;
  }
  if (Loop* loop = value.as<Loop>()) return loop->length(*this);
  raise("TypeError: object of type '{}' has no len()", value.type_name());
}

Value Render::text_like(const Value& like, std::string bytes) {
  return Value::text(budget_, std::move(bytes),
                     like.is_text() && like.as_text().markup ? Markup::kYes : Markup::kNo);
}

void Render::keep(std::shared_ptr<Object> object) {
  budget_.acquire(kKeptBytes);
  kept_objects_.push_back(std::move(object));
}

void Render::keep(std::shared_ptr<Scope> scope) {
  budget_.acquire(kKeptBytes);
  kept_scopes_.push_back(std::move(scope));
}

Render::DepthGuard::DepthGuard(Render& render) : render_(render) {
  if (render_.depth_ >= kMaxRenderDepth) {
    raise_limit("RecursionError: the template recurses deeper than {}", kMaxRenderDepth);
  }
  ++render_.depth_;
}

Render::ScopeGuard::ScopeGuard(Render& render, std::shared_ptr<Scope> parent)
    : render_(render), saved_(render.scope_), parent_(std::move(parent)) {
  if (parent_->depth >= static_cast<uint32_t>(kMaxRenderDepth)) {
    raise_limit("RecursionError: the template's scopes are nested deeper than {}", kMaxRenderDepth);
  }
  render_.scope_ =
      std::make_shared<Scope>(parent_, decltype(Scope::variables){}, parent_->depth + 1);
}

void Render::ScopeGuard::restart() {
  if (render_.scope_.use_count() == 1) {
    render_.scope_->variables.clear();
    return;
  }
  render_.scope_ =
      std::make_shared<Scope>(parent_, decltype(Scope::variables){}, parent_->depth + 1);
}

}  // namespace inferno::token::jinja
