// The tree of a parsed template. Nodes know how to evaluate or execute themselves (evaluate.cc,
// execute.cc).
//
// Invariant: a tree is immutable after parsing and is shared by all renderings. Its depth is at
//            most kMaxTreeDepth for expressions and kMaxNestedSyntax for statements, so recursion
//            over it is bounded.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "token/jinja/value.h"

namespace inferno::token::jinja {

// A variable's name as a number, for quick lookups.
using Symbol = uint32_t;

class SymbolTable {
 public:
  Symbol intern(std::string_view name);
  // Absent when the template does not mention the name.
  std::optional<Symbol> find(std::string_view name) const;
  const std::string& name(Symbol symbol) const { return names_[symbol]; }

 private:
  std::unordered_map<std::string, Symbol> symbols_;
  std::vector<std::string> names_;
};

struct Expression {
  explicit Expression(int source_line) : line(source_line) {}
  virtual ~Expression() = default;
  virtual Value evaluate(Render& render) const = 0;
  int line;
  int depth = 1;  // of the tree below and with this node
};
using ExpressionPtr = std::unique_ptr<Expression>;

// What a statement's end means for the loop around it.
enum class Flow : uint8_t { kNormal, kBreak, kContinue };

struct Statement {
  explicit Statement(int source_line) : line(source_line) {}
  virtual ~Statement() = default;
  virtual Flow execute(Render& render) const = 0;
  int line;
};
using Body = std::vector<std::unique_ptr<Statement>>;

struct Template {
  Body body;
  SymbolTable symbols;
};

// ---- expressions ----

struct Constant : Expression {
  Constant(int l, Value v) : Expression(l), value(std::move(v)) {}
  Value evaluate(Render& render) const override;
  Value value;
};

struct Name : Expression {
  Name(int l, Symbol s) : Expression(l), symbol(s) {}
  Value evaluate(Render& render) const override;
  Symbol symbol;
};

// [a, b] or (a, b).
struct Display : Expression {
  Display(int l, SequenceKind k) : Expression(l), kind(k) {}
  Value evaluate(Render& render) const override;
  SequenceKind kind;
  std::vector<ExpressionPtr> items;
};

struct DictDisplay : Expression {
  using Expression::Expression;
  Value evaluate(Render& render) const override;
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};

enum class UnaryOperator : uint8_t { kNot, kMinus, kPlus };

struct Unary : Expression {
  Unary(int l, UnaryOperator o, ExpressionPtr v) : Expression(l), op(o), operand(std::move(v)) {}
  Value evaluate(Render& render) const override;
  UnaryOperator op;
  ExpressionPtr operand;
};

enum class BinaryOperator : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kAnd,
  kOr
};

struct Binary : Expression {
  Binary(int l, BinaryOperator o, ExpressionPtr a, ExpressionPtr b)
      : Expression(l), op(o), left(std::move(a)), right(std::move(b)) {}
  Value evaluate(Render& render) const override;
  BinaryOperator op;
  ExpressionPtr left;
  ExpressionPtr right;
};

// a ~ b ~ c
struct Concat : Expression {
  using Expression::Expression;
  Value evaluate(Render& render) const override;
  std::vector<ExpressionPtr> parts;
};

enum class Comparison : uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

// a < b <= c: every operand is evaluated at most once.
struct Compare : Expression {
  using Expression::Expression;
  Value evaluate(Render& render) const override;
  ExpressionPtr first;
  std::vector<std::pair<Comparison, ExpressionPtr>> rest;
};

// value if condition else otherwise
struct Conditional : Expression {
  using Expression::Expression;
  Value evaluate(Render& render) const override;
  ExpressionPtr condition;
  ExpressionPtr value;
  ExpressionPtr otherwise;  // may be null
};

// object.name
struct Attribute : Expression {
  Attribute(int l, ExpressionPtr o, std::string n)
      : Expression(l), object(std::move(o)), name(std::move(n)) {}
  Value evaluate(Render& render) const override;
  ExpressionPtr object;
  std::string name;
};

// object[key]
struct Item : Expression {
  Item(int l, ExpressionPtr o, ExpressionPtr k)
      : Expression(l), object(std::move(o)), key(std::move(k)) {}
  Value evaluate(Render& render) const override;
  ExpressionPtr object;
  ExpressionPtr key;
};

// object[start:stop:step]; any of the three may be null.
struct Slice : Expression {
  using Expression::Expression;
  Value evaluate(Render& render) const override;
  ExpressionPtr object;
  ExpressionPtr start;
  ExpressionPtr stop;
  ExpressionPtr step;
};

// (a, b, name=c, *d, **e)
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr more_positional;  // may be null
  ExpressionPtr more_named;       // may be null
  Arguments evaluate(Render& render) const;
};

struct Call : Expression {
  using Expression::Expression;
  Value evaluate(Render& render) const override;
  // As evaluate(), with one more named argument: what `call` blocks pass.
  Value evaluate_with(Render& render, Value caller) const;
  ExpressionPtr callee;
  CallArguments arguments;
};

// value | name(arguments)
struct Filter : Expression {
  using Expression::Expression;
  Value evaluate(Render& render) const override;
  ExpressionPtr value;
  std::string name;
  CallArguments arguments;
};

// value is name(arguments)
struct Test : Expression {
  using Expression::Expression;
  Value evaluate(Render& render) const override;
  ExpressionPtr value;
  std::string name;
  CallArguments arguments;
};

// The text that a filter block or a set block with filters has rendered.
struct BlockText : Expression {
  using Expression::Expression;
  Value evaluate(Render& render) const override;
};

// ---- statements ----

// What an assignment or a loop writes to: a name, a namespace's attribute, or several of these.
struct Target {
  enum class Kind : uint8_t { kName, kNamespaceAttribute, kTuple } kind = Kind::kName;
  Symbol symbol = 0;
  std::string attribute;
  std::vector<Target> parts;
};

struct DataOutput : Statement {
  DataOutput(int l, std::string t) : Statement(l), text(std::move(t)) {}
  Flow execute(Render& render) const override;
  std::string text;
};

struct Print : Statement {
  Print(int l, ExpressionPtr v) : Statement(l), value(std::move(v)) {}
  Flow execute(Render& render) const override;
  ExpressionPtr value;
};

struct If : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};

struct For : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr condition;  // may be null
  Body body;
  Body otherwise;
  bool recursive = false;
};

struct Set : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
  Target target;
  ExpressionPtr value;
};

// {% set x %}...{% endset %}
struct SetBlock : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
  Target target;
  ExpressionPtr filter;  // a chain of filters over a BlockText, or null
  Body body;
};

struct FilterBlock : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
  ExpressionPtr filter;
  Body body;
};

struct With : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
  std::vector<std::pair<Target, ExpressionPtr>> variables;
  Body body;
};

// What a macro or a call block takes and does.
struct MacroBody {
  struct Parameter {
    std::string name;
    Symbol symbol;
    ExpressionPtr fallback;  // may be null
  };
  std::string name;
  int line = 0;
  std::vector<Parameter> parameters;
  Body body;
  // The special variables that the body mentions.
  std::optional<Symbol> varargs;
  std::optional<Symbol> kwargs;
  std::optional<Symbol> caller;
};

struct MacroDefinition : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
  Symbol symbol = 0;
  MacroBody macro;
};

struct CallBlock : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
  std::unique_ptr<Call> call;
  MacroBody macro;
};

// A body with variables of its own: `block` and `generation`.
struct ScopedBlock : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
  Body body;
};

struct Jump : Statement {
  Jump(int l, Flow f) : Statement(l), flow(f) {}
  Flow execute(Render& render) const override;
  Flow flow;
};

// include, import, from, extends: there is nowhere to load another template from.
struct LoadTemplate : Statement {
  using Statement::Statement;
  Flow execute(Render& render) const override;
};

}  // namespace inferno::token::jinja
