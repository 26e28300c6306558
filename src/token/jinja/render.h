// Render: one rendering in progress: its variables, its output, its limits, and Python's way to
// attributes and items.
//
//   context    globals and what the caller gave      (depth 0)
//     root     what the template sets at top level
//       ...    loops, macro calls, with, set blocks: a scope each, gone when they end
//
// A macro keeps the scope it was defined in. Scopes and namespaces that values may refer back to
// are kept (keep()) and emptied at the end, so that shared pointers free everything.
//
// Threads: one rendering belongs to one thread; the Template is shared.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "token/jinja/ast.h"
#include "token/jinja/value.h"

namespace inferno::token::jinja {

struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<Symbol, Value>> variables;
  uint32_t depth = 0;

  // The variable of this scope itself, or null.
  Value* find(Symbol symbol);
  void set(Symbol symbol, Value value);
};

class Render {
 public:
  Render(const Template& source, std::chrono::system_clock::time_point now);
  ~Render();
  Render(const Render&) = delete;
  Render& operator=(const Render&) = delete;

  // Makes a value known to the template under this name.
  void define(std::string_view name, Value value);
  // The text of the whole template. Throws Failure. Requires: called once.
  std::string run();

  Budget& budget() { return budget_; }
  std::chrono::system_clock::time_point now() const { return now_; }
  int line() const { return line_; }

  // ---- the tree (evaluate.cc, execute.cc) ----
  Value evaluate(const Expression& expression);
  Flow execute(const Body& body);
  // The text that `body` prints, with variables of its own; `flow` is how it ended.
  std::string capture(const Body& body, Flow& flow);
  void assign(const Target& target, Value value);
  Value variable(Symbol symbol);
  void print(std::string_view text);
  void set_variable(Symbol symbol, Value value) { scope_->set(symbol, std::move(value)); }
  // What a BlockText evaluates to.
  Value block_text;

  // ---- objects ----
  Value call(const Value& callee, Arguments& arguments);
  // object.name: Python's attribute, then the item.
  Value attribute(const Value& object, std::string_view name);
  // object[key]: the item, then Python's attribute.
  Value item(const Value& object, const Value& key);
  std::shared_ptr<Iterator> iterate(const Value& value);
  // Whether iterate() would succeed.
  static bool is_iterable(const Value& value);
  // Every element. Throws TypeError when the value cannot be iterated.
  std::vector<Value> elements(const Value& value);
  // len(value). Throws TypeError when it has none.
  Int length(const Value& value);

  // ---- making values ----
  Value text(std::string bytes) { return Value::text(budget_, std::move(bytes)); }
  // A string that is markup when `like` is.
  Value text_like(const Value& like, std::string bytes);
  Value list(std::vector<Value> items) { return Value::list(budget_, std::move(items)); }
  // Undefined that says what `object` does not have.
  static Value missing(const Value& object, std::string_view attribute);

  // Keeps an object until the end of the rendering and clears it then.
  void keep(std::shared_ptr<Object> object);
  // Keeps a scope that a macro refers to, likewise.
  void keep(std::shared_ptr<Scope> scope);

  const std::shared_ptr<Scope>& scope() const { return scope_; }
  const SymbolTable& symbols() const { return template_.symbols; }

  // Counts recursion; throws at kMaxRenderDepth.
  class DepthGuard {
   public:
    explicit DepthGuard(Render& render);
    ~DepthGuard() { --render_.depth_; }
    DepthGuard(const DepthGuard&) = delete;
    DepthGuard& operator=(const DepthGuard&) = delete;

   private:
    Render& render_;
  };

  // A scope below `parent` for as long as this lives.
  class ScopeGuard {
   public:
    ScopeGuard(Render& render, std::shared_ptr<Scope> parent);
    explicit ScopeGuard(Render& render) : ScopeGuard(render, render.scope_) {}
    ~ScopeGuard() { render_.scope_ = std::move(saved_); }
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;
    // Forgets the scope's variables; what holds on to the scope keeps them.
    void restart();

   private:
    Render& render_;
    std::shared_ptr<Scope> saved_;
    std::shared_ptr<Scope> parent_;
  };

  // Sends the output to a string of its own for as long as this lives.
  class OutputGuard {
   public:
    explicit OutputGuard(Render& render) : render_(render) { std::swap(render_.output_, saved_); }
    ~OutputGuard() { std::swap(render_.output_, saved_); }
    OutputGuard(const OutputGuard&) = delete;
    OutputGuard& operator=(const OutputGuard&) = delete;
    std::string take() { return std::move(render_.output_); }

   private:
    Render& render_;
    std::string saved_;
  };

 private:
  friend class ScopeGuard;

  const Template& template_;
  const std::chrono::system_clock::time_point now_;
  Budget budget_;  // before every value: they release to it
  std::shared_ptr<Scope> context_;
  std::shared_ptr<Scope> scope_;
  std::vector<std::shared_ptr<Object>> kept_objects_;
  std::vector<std::shared_ptr<Scope>> kept_scopes_;
  std::string output_;
  int depth_ = 0;
  int line_ = 0;
};

}  // namespace inferno::token::jinja
