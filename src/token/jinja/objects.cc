#include "token/jinja/objects.h"

#include <algorithm>

#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {

bool Namespace::attribute(Render&, std::string_view name, Value& out) {
  for (const auto& [known, value] : attributes_) {
    if (known != name) continue;
    out = value;
    return true;
  }
  return false;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [known, old] : attributes_) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  attributes_.emplace_back(name, std::move(value));
}

std::string Namespace::repr(Render& render) const {
  const Render::DepthGuard guard(render);
  std::string out;
  for (const auto& [name, value] : attributes_) {
    out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", quote(name), to_repr(render, value));
  }
  return fmt::format("<Namespace {{{}}}>", out);
}

bool Macro::attribute(Render& render, std::string_view name, Value& out) {
  if (name == "name") {
    out = body_.name.empty() ? Value::none() : render.text(body_.name);
  } else if (name == "arguments") {
    std::vector<Value> names;
    for (const auto& parameter : body_.parameters)
      names.push_back(render.text(parameter.name));
    out = Value::tuple(render.budget(), std::move(names));
  } else if (name == "catch_varargs" || name == "catch_kwargs" || name == "caller") {
    out = Value::boolean(name == "caller"          ? body_.caller.has_value()
                         : name == "catch_varargs" ? body_.varargs.has_value()
                                                   : body_.kwargs.has_value());
  } else {
    return false;
  }
  return true;
}

std::string Macro::repr(Render&) const {
  return body_.name.empty() ? "<Macro anonymous>" : fmt::format("<Macro {}>", quote(body_.name));
}

Value Macro::call(Render& render, Arguments& arguments) {
  if (scope_ == nullptr) raise("RuntimeError: a macro was called after the rendering ended");
  const Render::ScopeGuard scope(render, scope_);
  Render::OutputGuard output(render);
  bind(render, arguments);
  render.execute(body_.body);
  return render.text(output.take());
}

void Macro::bind(Render& render, Arguments& arguments) const {
  auto take_named = [&](std::string_view name) -> std::optional<Value> {
    auto found = std::ranges::find(arguments.named, name, &std::pair<std::string, Value>::first);
    if (found == arguments.named.end()) return std::nullopt;
    Value value = std::move(found->second);
    arguments.named.erase(found);
    return value;
  };
  auto& positional = arguments.positional;
  bool has_caller_parameter = false;
  for (size_t i = 0; i < body_.parameters.size(); ++i) {
    const auto& parameter = body_.parameters[i];
    has_caller_parameter |= parameter.name == "caller";
    std::optional<Value> value;
    if (i < positional.size()) {
      value = positional[i];
    } else {
      value = take_named(parameter.name);
    }
    if (!value && parameter.fallback != nullptr) value = render.evaluate(*parameter.fallback);
    if (!value) {
      value = Value::undefined(
          fmt::format("UndefinedError: parameter '{}' was not provided", parameter.name));
    }
    render.set_variable(parameter.symbol, std::move(*value));
  }
  if (body_.caller && !has_caller_parameter) {
    auto caller = take_named("caller");
    if (!caller) caller = Value::undefined("UndefinedError: No caller defined");
    render.set_variable(*body_.caller, std::move(*caller));
  }
  if (body_.kwargs) {
    DictBuilder rest(render.budget());
    for (auto& [name, value] : arguments.named)
      rest.set(name, std::move(value));
    render.set_variable(*body_.kwargs, rest.finish());
  } else if (!arguments.named.empty()) {
    raise("TypeError: macro '{}' takes no keyword argument '{}'", body_.name,
          arguments.named.front().first);
  }
  const size_t taken = std::min(positional.size(), body_.parameters.size());
  if (body_.varargs) {
    std::vector<Value> rest(positional.begin() + static_cast<ptrdiff_t>(taken), positional.end());
    render.set_variable(*body_.varargs, Value::tuple(render.budget(), std::move(rest)));
  } else if (positional.size() > taken) {
    raise("TypeError: macro '{}' takes not more than {} argument(s)", body_.name, taken);
  }
}

Loop::Loop(const For& statement, const Value& iterable, std::shared_ptr<Iterator> iterator,
           std::shared_ptr<Scope> outer, int depth)
    : Object(iterable.depth() + 1),
      statement_(statement),
      iterable_(iterable),
      iterator_(std::move(iterator)),
      outer_(std::move(outer)),
      loop_depth_(depth) {}

bool Loop::next(Render& render, Value& out) {
  if (has_after_) {
    out = std::move(after_);
    has_after_ = false;
  } else if (!iterator_->next(render, out)) {
    return false;
  }
  ++index0_;
  before_ = std::move(current_);
  current_ = out;
  return true;
}

bool Loop::peek(Render& render) {
  if (!has_after_) has_after_ = iterator_->next(render, after_);
  return has_after_;
}

Int Loop::length(Render& render) {
  if (length_ >= 0) return length_;
  // A filtered loop's iterator is not the iterable: only walking it tells how much is left.
  const bool sized = statement_.condition == nullptr && iterable_.as<Iterator>() == nullptr;
  if (sized) {
    length_ = render.length(iterable_);
    return length_;
  }
  std::vector<Value> rest;
  for (Value item; iterator_->next(render, item);)
    rest.push_back(std::move(item));
  length_ = static_cast<Int>(rest.size()) + index0_ + 1 + (has_after_ ? 1 : 0);
  iterator_ = std::make_shared<SequenceIterator>(render.list(std::move(rest)));
  return length_;
}

bool Loop::attribute(Render& render, std::string_view name, Value& out) {
  if (name == "index") {
    out = Value::integer(index0_ + 1);
  } else if (name == "index0") {
    out = Value::integer(index0_);
  } else if (name == "first") {
    out = Value::boolean(index0_ == 0);
  } else if (name == "last") {
    out = Value::boolean(!peek(render));
  } else if (name == "length") {
    out = Value::integer(length(render));
  } else if (name == "revindex") {
    out = Value::integer(length(render) - index0_);
  } else if (name == "revindex0") {
    out = Value::integer(length(render) - index0_ - 1);
  } else if (name == "depth") {
    out = Value::integer(loop_depth_ + 1);
  } else if (name == "depth0") {
    out = Value::integer(loop_depth_);
  } else if (name == "previtem") {
    out = index0_ == 0 ? Value::undefined("UndefinedError: there is no previous item") : before_;
  } else if (name == "nextitem") {
    out = peek(render) ? after_ : Value::undefined("UndefinedError: there is no next item");
  } else {
    return false;
  }
  return true;
}

Value Loop::call(Render& render, Arguments& arguments) {
  if (!statement_.recursive) {
    raise("TypeError: The loop must have the 'recursive' marker to be called recursively.");
  }
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    raise("TypeError: loop() takes 1 positional argument but {} were given",
          arguments.positional.size() + arguments.named.size());
  }
  Render::OutputGuard output(render);
  run_loop(render, statement_, arguments.positional[0], outer_, loop_depth_ + 1);
  return render.text(output.take());
}

std::string Loop::repr(Render&) const {
  return fmt::format("<LoopContext {}/{}>", int_text(index0_ + 1),
                     length_ < 0 ? "?" : int_text(length_));
}

bool Loop::changed(std::vector<Value> values, Render& render) {
  const bool same = was_called_ && values.size() == last_changed_.size() &&
                    std::ranges::equal(values, last_changed_, [&](const Value& a, const Value& b) {
                      return equal(render.budget(), a, b);
                    });
  was_called_ = true;
  if (!same) last_changed_ = std::move(values);
  return !same;
}

Value Loop::cycle(const Arguments& arguments) const {
  const auto& choices = arguments.positional;
  if (choices.empty()) raise("TypeError: no items for cycling given");
  return choices[static_cast<size_t>(index0_) % choices.size()];
}

bool Cycler::attribute(Render&, std::string_view name, Value& out) {
  if (name != "current") return false;
  out = items_[at_];
  return true;
}

Value Cycler::next() {
  const Value item = items_[at_];
  at_ = (at_ + 1) % items_.size();
  return item;
}

bool SequenceIterator::next(Render&, Value& out) {
  if (at_ >= sequence_.items().size()) return false;
  out = sequence_.items()[at_++];
  return true;
}

bool PartsIterator::next(Render& render, Value& out) {
  if (value_.is(Kind::kDict)) {
    if (at_ >= value_.as_dict().entries.size()) return false;
    out = value_.as_dict().entries[at_++].first;
    return true;
  }
  const std::string& bytes = value_.str();
  if (at_ >= bytes.size()) return false;
  const size_t begin = at_;
  decode_at(bytes, at_);
  out = render.text(bytes.substr(begin, at_ - begin));
  return true;
}

Value make_generator(Render& render, std::string_view type, uint32_t depth, Generator::Step step) {
  if (depth >= kMaxValueDepth) raise_limit("an iterator is nested deeper than {}", kMaxValueDepth);
  render.budget().work(1);
  return Value::object(std::make_shared<Generator>(type, depth, std::move(step)));
}

}  // namespace inferno::token::jinja
