// The expressions of the grammar, from `a if b else c` down to names and literals.
#include <algorithm>
#include <initializer_list>
#include <span>

#include "token/jinja/library.h"
#include "token/jinja/parser_state.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

int greatest_depth(std::initializer_list<const Expression*> children) {
  int depth = 0;
  for (const Expression* child : children) {
    if (child != nullptr) depth = std::max(depth, child->depth);
  }
  return depth;
}

struct OperatorName {
  std::string_view characters;
  BinaryOperator op;
};

const OperatorName* find_operator(const Token& token, std::span<const OperatorName> among) {
  for (const OperatorName& candidate : among) {
    if (token.is_operator(candidate.characters)) return &candidate;
  }
  return nullptr;
}

constexpr OperatorName kSums[] = {{"+", BinaryOperator::kAdd}, {"-", BinaryOperator::kSubtract}};
constexpr OperatorName kProducts[] = {{"*", BinaryOperator::kMultiply},
                                      {"/", BinaryOperator::kDivide},
                                      {"//", BinaryOperator::kFloorDivide},
                                      {"%", BinaryOperator::kModulo}};

struct ComparisonName {
  std::string_view characters;
  Comparison comparison;
};
constexpr ComparisonName kComparisons[] = {
    {"==", Comparison::kEqual},  {"!=", Comparison::kNotEqual},
    {"<", Comparison::kLess},    {"<=", Comparison::kLessEqual},
    {">", Comparison::kGreater}, {">=", Comparison::kGreaterEqual}};

}  // namespace

const Token& ExpressionParser::advance() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool ExpressionParser::skip_name(std::string_view name) {
  if (!current().is_name(name)) return false;
  advance();
  return true;
}

bool ExpressionParser::skip_operator(std::string_view characters) {
  if (!current().is_operator(characters)) return false;
  advance();
  return true;
}

const Token& ExpressionParser::expect(TokenKind kind, std::string_view called) {
  if (current().kind != kind) {
    if (current().kind == TokenKind::kEnd) {
      fail(fmt::format("unexpected end of template, expected '{}'.", called));
    }
    fail(fmt::format("expected token '{}', got {}", called, quote(describe(current()))));
  }
  return advance();
}

void ExpressionParser::expect_name(std::string_view name) {
  if (!current().is_name(name)) expect(TokenKind::kData, name);  // fails with this name
  advance();
}

void ExpressionParser::expect_operator(std::string_view characters) {
  if (!current().is_operator(characters)) expect(TokenKind::kData, characters);
  advance();
}

void ExpressionParser::fail(std::string_view message, int line) {
  throw Failure{Fault::kInvalid, fmt::format("TemplateSyntaxError: {}", message), line, false};
}

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (parser_.nesting_ >= kMaxNestedSyntax) {
    parser_.fail(fmt::format("nested deeper than {}", kMaxNestedSyntax));
  }
  ++parser_.nesting_;
}

void ExpressionParser::set_depth(Expression& node, int children_depth) const {
  node.depth = children_depth + 1;
  if (node.depth > kMaxTreeDepth) {
    fail(fmt::format("an expression is nested deeper than {}", kMaxTreeDepth));
  }
}

int ExpressionParser::depth_of(const CallArguments& arguments) const {
  int depth = greatest_depth({arguments.more_positional.get(), arguments.more_named.get()});
  for (const auto& argument : arguments.positional)
    depth = std::max(depth, argument->depth);
  for (const auto& [name, argument] : arguments.named)
    depth = std::max(depth, argument->depth);
  return depth;
}

ExpressionPtr ExpressionParser::parse_tuple(Conditionals conditionals, std::string_view end_name) {
  const int line = current().line;
  auto ends = [&] {
    return current().kind == TokenKind::kPrintEnd || current().kind == TokenKind::kBlockEnd ||
           current().is_operator(")") || (!end_name.empty() && current().is_name(end_name));
  };
  auto tuple = std::make_unique<Display>(line, SequenceKind::kTuple);
  int depth = 0;
  bool is_tuple = false;
  while (!ends()) {
    tuple->items.push_back(parse_expression(conditionals));
    depth = std::max(depth, tuple->items.back()->depth);
    if (!skip_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!tuple->items.empty()) return std::move(tuple->items.front());
    const bool in_parentheses = current().is_operator(")");
    if (!in_parentheses) {
      fail(fmt::format("Expected an expression, got {}", quote(describe(current()))));
    }
  }
  set_depth(*tuple, depth);
  return tuple;
}

ExpressionPtr ExpressionParser::parse_expression(Conditionals conditionals) {
  const Nesting nesting(*this);
  return conditionals == Conditionals::kAllowed ? parse_conditional() : parse_or();
}

ExpressionPtr ExpressionParser::parse_conditional() {
  int line = current().line;
  ExpressionPtr value = parse_or();
  while (skip_name("if")) {
    auto node = std::make_unique<Conditional>(line);
    const bool outer = std::exchange(lenient_, true);
    node->condition = parse_or();
    if (skip_name("else")) {
      const Nesting nesting(*this);
      node->otherwise = parse_conditional();
    }
    lenient_ = outer;
    node->value = std::move(value);
    set_depth(*node,
              greatest_depth({node->condition.get(), node->value.get(), node->otherwise.get()}));
    value = std::move(node);
    line = current().line;
  }
  return value;
}

ExpressionPtr ExpressionParser::parse_or() {
  ExpressionPtr left = parse_and();
  while (current().is_name("or")) {
    const int line = advance().line;
    ExpressionPtr right = parse_and();
    const int depth = greatest_depth({left.get(), right.get()});
    left = std::make_unique<Binary>(line, BinaryOperator::kOr, std::move(left), std::move(right));
    set_depth(*left, depth);
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_and() {
  ExpressionPtr left = parse_not();
  while (current().is_name("and")) {
    const int line = advance().line;
    ExpressionPtr right = parse_not();
    const int depth = greatest_depth({left.get(), right.get()});
    left = std::make_unique<Binary>(line, BinaryOperator::kAnd, std::move(left), std::move(right));
    set_depth(*left, depth);
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_not() {
  if (!current().is_name("not")) return parse_compare();
  const Nesting nesting(*this);
  const int line = advance().line;
  ExpressionPtr operand = parse_not();
  const int depth = operand->depth;
  ExpressionPtr node = std::make_unique<Unary>(line, UnaryOperator::kNot, std::move(operand));
  set_depth(*node, depth);
  return node;
}

ExpressionPtr ExpressionParser::parse_compare() {
  const int line = current().line;
  ExpressionPtr first = parse_sum();
  auto node = std::make_unique<Compare>(line);
  int depth = first->depth;
  auto add = [&](Comparison comparison) {
    node->rest.emplace_back(comparison, parse_sum());
    depth = std::max(depth, node->rest.back().second->depth);
  };
  for (;;) {
    const auto* found = std::ranges::find_if(
        kComparisons, [&](const auto& name) { return current().is_operator(name.characters); });
    if (found != std::end(kComparisons)) {
      advance();
      add(found->comparison);
    } else if (skip_name("in")) {
      add(Comparison::kIn);
    } else if (current().is_name("not") && ahead().is_name("in")) {
      advance();
      advance();
      add(Comparison::kNotIn);
    } else {
      break;
    }
  }
  if (node->rest.empty()) return first;
  node->first = std::move(first);
  set_depth(*node, depth);
  return node;
}

ExpressionPtr ExpressionParser::parse_sum() {
  ExpressionPtr left = parse_concat();
  while (const auto* found = find_operator(current(), kSums)) {
    const BinaryOperator op = found->op;
    const int line = advance().line;
    ExpressionPtr right = parse_concat();
    const int depth = greatest_depth({left.get(), right.get()});
    left = std::make_unique<Binary>(line, op, std::move(left), std::move(right));
    set_depth(*left, depth);
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_concat() {
  const int line = current().line;
  ExpressionPtr first = parse_product();
  if (!current().is_operator("~")) return first;
  auto node = std::make_unique<Concat>(line);
  int depth = first->depth;
  node->parts.push_back(std::move(first));
  while (skip_operator("~")) {
    node->parts.push_back(parse_product());
    depth = std::max(depth, node->parts.back()->depth);
  }
  set_depth(*node, depth);
  return node;
}

ExpressionPtr ExpressionParser::parse_product() {
  ExpressionPtr left = parse_power();
  while (const auto* found = find_operator(current(), kProducts)) {
    const BinaryOperator op = found->op;
    const int line = advance().line;
    ExpressionPtr right = parse_power();
    const int depth = greatest_depth({left.get(), right.get()});
    left = std::make_unique<Binary>(line, op, std::move(left), std::move(right));
    set_depth(*left, depth);
  }
  return left;
}

// As in Jinja, unlike Python: 2 ** 3 ** 2 is (2 ** 3) ** 2.
ExpressionPtr ExpressionParser::parse_power() {
  ExpressionPtr left = parse_unary(Filters::kAllowed);
  while (current().is_operator("**")) {
    const int line = advance().line;
    ExpressionPtr right = parse_unary(Filters::kAllowed);
    const int depth = greatest_depth({left.get(), right.get()});
    left =
        std::make_unique<Binary>(line, BinaryOperator::kPower, std::move(left), std::move(right));
    set_depth(*left, depth);
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_unary(Filters filters) {
  ExpressionPtr node;
  if (current().is_operator("-") || current().is_operator("+")) {
    const Nesting nesting(*this);
    const Token& sign = advance();
    ExpressionPtr operand = parse_unary(Filters::kForbidden);
    const int depth = operand->depth;
    node = std::make_unique<Unary>(sign.line,
                                   sign.text == "-" ? UnaryOperator::kMinus : UnaryOperator::kPlus,
                                   std::move(operand));
    set_depth(*node, depth);
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  if (filters == Filters::kForbidden) return node;
  for (;;) {
    if (current().is_operator("|")) {
      node = parse_filters(std::move(node));
    } else if (current().is_name("is")) {
      node = parse_test(std::move(node));
    } else if (current().is_operator("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::parse_primary() {
  const Token& token = current();
  switch (token.kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString: {
      std::string text;
      while (current().kind == TokenKind::kString)
        text += advance().text;
      return std::make_unique<Constant>(token.line, Value::constant(std::move(text)));
    }
    case TokenKind::kInteger:
      advance();
      return std::make_unique<Constant>(token.line, Value::integer(token.integer));
    case TokenKind::kFloat:
      advance();
      return std::make_unique<Constant>(token.line, Value::real(token.real));
    default:
      break;
  }
  if (skip_operator("(")) {
    ExpressionPtr inside = parse_tuple();
    expect_operator(")");
    return inside;
  }
  if (token.is_operator("[")) return parse_list();
  if (token.is_operator("{")) return parse_dict();
  if (token.kind == TokenKind::kEnd) fail("unexpected end of template");
  fail(fmt::format("unexpected {}", quote(describe(token))));
}

ExpressionPtr ExpressionParser::parse_name() {
  const Token& token = advance();
  const std::string& name = token.text;
  if (name == "true" || name == "True") {
    return std::make_unique<Constant>(token.line, Value::boolean(true));
  }
  if (name == "false" || name == "False") {
    return std::make_unique<Constant>(token.line, Value::boolean(false));
  }
  if (name == "none" || name == "None") {
    return std::make_unique<Constant>(token.line, Value::none());
  }
  const Symbol symbol = intern(name);
  for (MacroBody* macro : macros_) {
    if (name == "varargs") macro->varargs = symbol;
    if (name == "kwargs") macro->kwargs = symbol;
    if (name == "caller") macro->caller = symbol;
  }
  return std::make_unique<Name>(token.line, symbol);
}

ExpressionPtr ExpressionParser::parse_list() {
  auto list = std::make_unique<Display>(advance().line, SequenceKind::kList);
  int depth = 0;
  while (!current().is_operator("]")) {
    list->items.push_back(parse_expression());
    depth = std::max(depth, list->items.back()->depth);
    if (!skip_operator(",")) break;
  }
  expect_operator("]");
  set_depth(*list, depth);
  return list;
}

ExpressionPtr ExpressionParser::parse_dict() {
  auto dict = std::make_unique<DictDisplay>(advance().line);
  int depth = 0;
  while (!current().is_operator("}")) {
    ExpressionPtr key = parse_expression();
    expect_operator(":");
    ExpressionPtr value = parse_expression();
    depth = std::max({depth, key->depth, value->depth});
    dict->entries.emplace_back(std::move(key), std::move(value));
    if (!skip_operator(",")) break;
  }
  expect_operator("}");
  set_depth(*dict, depth);
  return dict;
}

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr node) {
  for (;;) {
    if (current().is_operator(".")) {
      node = parse_attribute(std::move(node));
    } else if (current().is_operator("[")) {
      node = parse_subscript(std::move(node));
    } else if (current().is_operator("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::parse_attribute(ExpressionPtr node) {
  const int line = advance().line;
  const int depth = node->depth;
  const Token& name = advance();
  ExpressionPtr access;
  if (name.kind == TokenKind::kName) {
    access = std::make_unique<Attribute>(line, std::move(node), name.text);
  } else if (name.kind == TokenKind::kInteger) {
    access = std::make_unique<Item>(
        line, std::move(node), std::make_unique<Constant>(name.line, Value::integer(name.integer)));
  } else {
    fail("expected name or number", name.line);
  }
  set_depth(*access, depth);
  return access;
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr node) {
  const int line = advance().line;
  ExpressionPtr start;
  if (current().is_operator("]")) {
    start = std::make_unique<Display>(line, SequenceKind::kTuple);  // as in Jinja, x[] is x[()]
  } else if (!current().is_operator(":")) {
    start = parse_expression();
    if (current().is_operator(",")) {
      auto tuple = std::make_unique<Display>(line, SequenceKind::kTuple);
      int depth = start->depth;
      tuple->items.push_back(std::move(start));
      while (skip_operator(",")) {
        tuple->items.push_back(parse_expression());
        depth = std::max(depth, tuple->items.back()->depth);
      }
      set_depth(*tuple, depth);
      start = std::move(tuple);
    }
  }
  if (!current().is_operator(":")) {
    expect_operator("]");
    const int depth = greatest_depth({node.get(), start.get()});
    ExpressionPtr item = std::make_unique<Item>(line, std::move(node), std::move(start));
    set_depth(*item, depth);
    return item;
  }
  auto slice = std::make_unique<Slice>(line);
  slice->object = std::move(node);
  slice->start = std::move(start);
  expect_operator(":");
  if (!current().is_operator(":") && !current().is_operator("]")) slice->stop = parse_expression();
  if (skip_operator(":") && !current().is_operator("]")) slice->step = parse_expression();
  expect_operator("]");
  set_depth(*slice, greatest_depth({slice->object.get(), slice->start.get(), slice->stop.get(),
                                    slice->step.get()}));
  return slice;
}

ExpressionPtr ExpressionParser::parse_call(ExpressionPtr callee) {
  auto call = std::make_unique<Call>(current().line);
  call->arguments = parse_arguments();
  call->callee = std::move(callee);
  set_depth(*call, std::max(call->callee->depth, depth_of(call->arguments)));
  return call;
}

CallArguments ExpressionParser::parse_arguments() {
  const int line = current().line;
  expect_operator("(");
  CallArguments arguments;
  while (!current().is_operator(")")) {
    parse_argument(arguments, line);
    if (!skip_operator(",")) break;
  }
  expect_operator(")");
  return arguments;
}

void ExpressionParser::parse_argument(CallArguments& arguments, int line) {
  auto require = [line](bool holds) {
    if (!holds) fail("invalid syntax for function call expression", line);
  };
  if (skip_operator("*")) {
    require(!arguments.more_positional && !arguments.more_named);
    arguments.more_positional = parse_expression();
  } else if (skip_operator("**")) {
    require(!arguments.more_named);
    arguments.more_named = parse_expression();
  } else if (current().kind == TokenKind::kName && ahead().is_operator("=")) {
    require(!arguments.more_named);
    std::string name = advance().text;
    advance();
    arguments.named.emplace_back(std::move(name), parse_expression());
  } else {
    require(!arguments.more_positional && !arguments.more_named && arguments.named.empty());
    arguments.positional.push_back(parse_expression());
  }
}

ExpressionPtr ExpressionParser::parse_filters(ExpressionPtr input) {
  while (skip_operator("|"))
    input = parse_filter(std::move(input));
  return input;
}

ExpressionPtr ExpressionParser::parse_filter(ExpressionPtr input) {
  const Token& token = expect_name();
  auto filter = std::make_unique<Filter>(token.line);
  filter->name = token.text;
  while (skip_operator("."))
    filter->name += "." + expect_name().text;
  if (!lenient_ && find_filter(filter->name) == nullptr) {
    fail(fmt::format("No filter named {}.", quote(filter->name)), token.line);
  }
  if (current().is_operator("(")) filter->arguments = parse_arguments();
  set_depth(*filter, std::max(input->depth, depth_of(filter->arguments)));
  filter->value = std::move(input);
  return filter;
}

ExpressionPtr ExpressionParser::parse_test(ExpressionPtr node) {
  const int line = advance().line;
  const bool negated = skip_name("not");
  auto test = std::make_unique<Test>(line);
  test->name = expect_name().text;
  while (skip_operator("."))
    test->name += "." + expect_name().text;
  if (!lenient_ && find_test(test->name) == nullptr) {
    fail(fmt::format("No test named {}.", quote(test->name)), line);
  }
  const Token& next = current();
  const bool literal = next.kind == TokenKind::kString || next.kind == TokenKind::kInteger ||
                       next.kind == TokenKind::kFloat || next.is_operator("[") ||
                       next.is_operator("{");
  const bool name = next.kind == TokenKind::kName && next.text != "else" && next.text != "or" &&
                    next.text != "and";
  if (next.is_operator("(")) {
    test->arguments = parse_arguments();
  } else if (next.is_name("is")) {
    fail("You cannot chain multiple tests with is");
  } else if (literal || name) {
    const Nesting nesting(*this);
    test->arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  set_depth(*test, std::max(node->depth, depth_of(test->arguments)));
  test->value = std::move(node);
  if (!negated) return test;
  const int depth = test->depth;
  ExpressionPtr inverse = std::make_unique<Unary>(line, UnaryOperator::kNot, std::move(test));
  set_depth(*inverse, depth);
  return inverse;
}

}  // namespace inferno::token::jinja
