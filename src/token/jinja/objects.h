// The objects a template can meet: functions, macros, namespaces, the loop, lazy iterators, cycler
// and joiner.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "token/jinja/render.h"

namespace inferno::token::jinja {

// A function of the interpreter: range, namespace, dict ...
class Function : public Object {
 public:
  using Body = Value (*)(Render&, Arguments&);
  Function(std::string_view name, Body body) : name_(name), body_(body) {}
  std::string_view type_name() const override { return "function"; }
  bool is_callable() const override { return true; }
  Value call(Render& render, Arguments& arguments) override { return body_(render, arguments); }
  std::string repr(Render&) const override { return fmt::format("<function {}>", name_); }

 private:
  std::string_view name_;
  Body body_;
};

// A function of a value, of the methods tables: "text".upper.
class BoundMethod : public Object {
 public:
  using Body = Value (*)(Render&, const Value& self, Arguments&);
  BoundMethod(Value self, std::string_view name, Body body)
      : Object(self.depth() + 1), self_(std::move(self)), name_(name), body_(body) {}
  std::string_view type_name() const override { return "builtin_function_or_method"; }
  bool is_callable() const override { return true; }
  Value call(Render& render, Arguments& arguments) override {
    return body_(render, self_, arguments);
  }
  std::string repr(Render&) const override {
    return fmt::format("<built-in method {} of {} object>", name_, self_.type_name());
  }

 private:
  Value self_;
  std::string_view name_;
  Body body_;
};

// namespace(): the one thing whose attributes a template may set, from any scope.
class Namespace : public Object {
 public:
  std::string_view type_name() const override { return "jinja2.utils.Namespace"; }
  bool attribute(Render& render, std::string_view name, Value& out) override;
  void set(std::string_view name, Value value);
  std::string repr(Render& render) const override;
  void clear() override { attributes_.clear(); }

 private:
  std::vector<std::pair<std::string, Value>> attributes_;
};

// A macro, or the `caller` of a call block, together with the scope it was defined in.
class Macro : public Object {
 public:
  Macro(const MacroBody& body, std::shared_ptr<Scope> scope)
      : body_(body), scope_(std::move(scope)) {}
  std::string_view type_name() const override { return "jinja2.runtime.Macro"; }
  bool is_callable() const override { return true; }
  bool attribute(Render& render, std::string_view name, Value& out) override;
  Value call(Render& render, Arguments& arguments) override;
  std::string repr(Render& render) const override;
  void clear() override { scope_.reset(); }

 private:
  void bind(Render& render, Arguments& arguments) const;

  const MacroBody& body_;
  std::shared_ptr<Scope> scope_;
};

// The variable `loop`.
class Loop : public Object {
 public:
  // `outer` is the scope around the loop, which a recursive call starts from.
  Loop(const For& statement, const Value& iterable, std::shared_ptr<Iterator> iterator,
       std::shared_ptr<Scope> outer, int depth);
  std::string_view type_name() const override { return "jinja2.runtime.LoopContext"; }
  bool is_callable() const override { return true; }
  // loop(children): the text of this loop over something else. Throws TypeError when it is not
  // recursive.
  Value call(Render& render, Arguments& arguments) override;
  bool attribute(Render& render, std::string_view name, Value& out) override;
  std::string repr(Render& render) const override;
  void clear() override { last_changed_.clear(); }

  // Moves to the following element; false at the end.
  bool next(Render& render, Value& out);
  Int length(Render& render);
  bool changed(std::vector<Value> values, Render& render);
  Value cycle(const Arguments& arguments) const;

 private:
  bool peek(Render& render);

  const For& statement_;
  Value iterable_;
  std::shared_ptr<Iterator> iterator_;
  std::shared_ptr<Scope> outer_;
  int loop_depth_;
  Int index0_ = -1;
  Int length_ = -1;  // not known yet
  Value before_;
  Value current_;
  Value after_;
  bool has_after_ = false;
  bool was_called_ = false;
  std::vector<Value> last_changed_;
};

// cycler(a, b, c): its items in turn, for ever.
class Cycler : public Object {
 public:
  // Requires: items not empty. `depth` is that of the deepest.
  Cycler(uint32_t depth, std::vector<Value> items) : Object(depth + 1), items_(std::move(items)) {}
  std::string_view type_name() const override { return "jinja2.utils.Cycler"; }
  bool attribute(Render& render, std::string_view name, Value& out) override;
  Value next();
  void reset() { at_ = 0; }

 private:
  std::vector<Value> items_;
  size_t at_ = 0;
};

// Runs the loop over `iterable` below the scope `outer`; `loop_depth` counts recursion from 0.
Flow run_loop(Render& render, const For& statement, const Value& iterable,
              std::shared_ptr<Scope> outer, int loop_depth);

// The elements of a sequence, forwards.
class SequenceIterator : public Iterator {
 public:
  explicit SequenceIterator(Value sequence)
      : Iterator(sequence.depth() + 1), sequence_(std::move(sequence)) {}
  bool next(Render& render, Value& out) override;

 private:
  Value sequence_;
  size_t at_ = 0;
};

// The code points of a string, or the keys of a dictionary.
class PartsIterator : public Iterator {
 public:
  explicit PartsIterator(Value value) : Iterator(value.depth() + 1), value_(std::move(value)) {}
  bool next(Render& render, Value& out) override;

 private:
  Value value_;
  size_t at_ = 0;
};

// An iterator made of a function: sets its argument to the following element, or returns false.
class Generator : public Iterator {
 public:
  using Step = std::function<bool(Render&, Value&)>;
  // `depth` is that of the deepest value the function holds.
  Generator(std::string_view type, uint32_t depth, Step step)
      : Iterator(depth + 1), type_(type), step_(std::move(step)) {}
  std::string_view type_name() const override { return type_; }
  bool next(Render& render, Value& out) override { return step_(render, out); }

 private:
  std::string_view type_;
  Step step_;
};

// Throws when nested deeper than kMaxValueDepth.
Value make_generator(Render& render, std::string_view type, uint32_t depth, Generator::Step step);

}  // namespace inferno::token::jinja
