// What the two halves of the parser share: the place in the tokens, depth limits, and errors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "token/jinja/ast.h"
#include "token/jinja/lexer.h"

namespace inferno::token::jinja {

// Parses expressions. Statements are the derived StatementParser's (parser.cc).
class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, SymbolTable& symbols)
      : tokens_(std::move(tokens)), symbols_(symbols) {}

 protected:
  enum class Conditionals : uint8_t { kAllowed, kForbidden };

  // An expression, or a tuple of several with commas. `end_name`: a name that ends it too.
  ExpressionPtr parse_tuple(Conditionals conditionals = Conditionals::kAllowed,
                            std::string_view end_name = {});
  ExpressionPtr parse_expression(Conditionals conditionals = Conditionals::kAllowed);
  // A chain of `|filter` behind `input`.
  ExpressionPtr parse_filters(ExpressionPtr input);
  // One filter whose name comes next, over `input`.
  ExpressionPtr parse_filter(ExpressionPtr input);

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& advance();
  bool skip_name(std::string_view name);
  bool skip_operator(std::string_view characters);
  const Token& expect(TokenKind kind, std::string_view called);
  const Token& expect_name() { return expect(TokenKind::kName, "name"); }
  void expect_name(std::string_view name);
  void expect_operator(std::string_view characters);
  [[noreturn]] void fail(std::string_view message) const { fail(message, current().line); }
  [[noreturn]] static void fail(std::string_view message, int line);

  Symbol intern(std::string_view name) { return symbols_.intern(name); }

  // Counts nesting for as long as it lives; fails at kMaxNestedSyntax.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

  // The macros around this place, whose bodies note the special variables they mention.
  std::vector<MacroBody*> macros_;
  // Inside of `if`, an unknown filter or test is an error only when it is reached.
  bool lenient_ = false;

 private:
  ExpressionPtr parse_conditional();
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concat();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  enum class Filters : uint8_t { kAllowed, kForbidden };
  ExpressionPtr parse_unary(Filters filters);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr node);
  ExpressionPtr parse_attribute(ExpressionPtr node);
  ExpressionPtr parse_subscript(ExpressionPtr node);
  ExpressionPtr parse_call(ExpressionPtr callee);
  ExpressionPtr parse_test(ExpressionPtr node);
  CallArguments parse_arguments();
  void parse_argument(CallArguments& arguments, int line);

  int depth_of(const CallArguments& arguments) const;
  // Sets a node's depth above its children's; fails at kMaxTreeDepth.
  void set_depth(Expression& node, int children_depth) const;

  const std::vector<Token> tokens_;
  SymbolTable& symbols_;
  size_t at_ = 0;
  int nesting_ = 0;
};

}  // namespace inferno::token::jinja
