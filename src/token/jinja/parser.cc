#include "token/jinja/parser.h"

#include <algorithm>

#include "token/jinja/parser_state.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

class StatementParser : private ExpressionParser {
 public:
  StatementParser(std::vector<Token> tokens, SymbolTable& symbols)
      : ExpressionParser(std::move(tokens), symbols) {}

  Body run() { return parse_body({}); }

 private:
  using EndNames = std::vector<std::string_view>;

  // Statements up to a block that starts with one of `ends` (whose name is then current), or the
  // end of the template when there are none.
  Body parse_body(const EndNames& ends) {
    const Nesting nesting(*this);
    Body body;
    for (;;) {
      const Token& token = current();
      if (token.kind == TokenKind::kEnd) {
        if (!ends.empty()) fail_end(ends);
        return body;
      }
      advance();
      if (token.kind == TokenKind::kData) {
        body.push_back(std::make_unique<DataOutput>(token.line, token.text));
      } else if (token.kind == TokenKind::kPrintBegin) {
        body.push_back(std::make_unique<Print>(token.line, parse_tuple()));
        expect(TokenKind::kPrintEnd, "end of print statement");
      } else {
        const bool ended = current().kind == TokenKind::kName &&
                           std::ranges::find(ends, current().text) != ends.end();
        if (ended) return body;
        parse_statement(body, ends);
        expect(TokenKind::kBlockEnd, "end of statement block");
      }
    }
  }

  // The body of a statement whose opening block ends here, and the name that ends it.
  Body parse_inner(const EndNames& ends) {
    skip_operator(":");
    expect(TokenKind::kBlockEnd, "end of statement block");
    return parse_body(ends);
  }

  void parse_statement(Body& body, const EndNames& ends) {
    const Token& token = current();
    if (token.kind != TokenKind::kName) fail("tag name expected");
    const std::string& tag = token.text;
    if (tag == "if") return body.push_back(parse_if());
    if (tag == "for") return body.push_back(parse_for());
    if (tag == "set") return body.push_back(parse_set());
    if (tag == "macro") return body.push_back(parse_macro());
    if (tag == "call") return body.push_back(parse_call_block());
    if (tag == "filter") return body.push_back(parse_filter_block());
    if (tag == "with") return body.push_back(parse_with());
    if (tag == "print") return parse_print(body);
    if (tag == "block" || tag == "generation") return body.push_back(parse_scoped());
    if (tag == "break" || tag == "continue") return body.push_back(parse_jump());
    if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") {
      return body.push_back(parse_load());
    }
    std::string message = fmt::format("Encountered unknown tag {}.", quote(tag));
    if (!ends.empty()) message += " Jinja was looking for: " + names_of(ends) + ".";
    fail(message);
  }

  static std::string names_of(const EndNames& ends) {
    std::string out;
    for (std::string_view end : ends)
      out += (out.empty() ? "" : " or ") + quote(end);
    return out;
  }

  [[noreturn]] void fail_end(const EndNames& ends) const {
    fail(fmt::format("Unexpected end of template. Jinja was looking for: {}.", names_of(ends)));
  }

  std::unique_ptr<Statement> parse_if() {
    auto node = std::make_unique<If>(advance().line);
    const bool outer = std::exchange(lenient_, true);
    for (;;) {
      ExpressionPtr condition = parse_tuple(Conditionals::kForbidden);
      Body body = parse_inner({"elif", "else", "endif"});
      node->branches.emplace_back(std::move(condition), std::move(body));
      const std::string& end = advance().text;
      if (end == "elif") continue;
      if (end == "else") {
        node->otherwise = parse_inner({"endif"});
        advance();
      }
      lenient_ = outer;
      return node;
    }
  }

  std::unique_ptr<Statement> parse_for() {
    auto node = std::make_unique<For>(advance().line);
    node->target = parse_target("in", Namespaces::kForbidden);
    if (mentions(node->target, intern("loop"))) {
      fail("Can't assign to special loop variable in for-loop target", node->line);
    }
    expect_name("in");
    node->iterable = parse_tuple(Conditionals::kForbidden, "recursive");
    if (skip_name("if")) node->condition = parse_expression();
    node->recursive = skip_name("recursive");
    const bool outer = std::exchange(lenient_, false);
    ++loop_count_;
    node->body = parse_inner({"endfor", "else"});
    --loop_count_;
    if (advance().text == "else") {
      node->otherwise = parse_inner({"endfor"});
      advance();
    }
    lenient_ = outer;
    return node;
  }

  static bool mentions(const Target& target, Symbol symbol) {
    if (target.kind != Target::Kind::kTuple) return target.symbol == symbol;
    return std::ranges::any_of(target.parts,
                               [symbol](const Target& part) { return mentions(part, symbol); });
  }

  std::unique_ptr<Statement> parse_set() {
    const int line = advance().line;
    Target target = parse_target({}, Namespaces::kAllowed);
    if (skip_operator("=")) {
      auto node = std::make_unique<Set>(line);
      node->target = std::move(target);
      node->value = parse_tuple();
      return node;
    }
    auto node = std::make_unique<SetBlock>(line);
    node->target = std::move(target);
    if (current().is_operator("|")) node->filter = parse_filters(std::make_unique<BlockText>(line));
    node->body = parse_inner({"endset"});
    advance();
    return node;
  }

  // Runs `parse` for a body that is a function of its own: no break out of it, its own special
  // variables.
  Body parse_macro_body(MacroBody& macro, std::string_view end) {
    macros_.push_back(&macro);
    const int outer_loops = std::exchange(loop_count_, 0);
    const bool outer_lenient = std::exchange(lenient_, false);
    Body body = parse_inner({end});
    lenient_ = outer_lenient;
    loop_count_ = outer_loops;
    macros_.pop_back();
    advance();
    return body;
  }

  std::unique_ptr<Statement> parse_macro() {
    auto node = std::make_unique<MacroDefinition>(advance().line);
    node->macro.line = node->line;
    node->macro.name = expect_name().text;
    node->symbol = intern(node->macro.name);
    parse_parameters(node->macro);
    node->macro.body = parse_macro_body(node->macro, "endmacro");
    return node;
  }

  void parse_parameters(MacroBody& macro) {
    expect_operator("(");
    bool has_fallback = false;
    while (!current().is_operator(")")) {
      if (!macro.parameters.empty()) expect_operator(",");
      MacroBody::Parameter parameter;
      parameter.name = expect_name().text;
      parameter.symbol = intern(parameter.name);
      if (skip_operator("=")) {
        parameter.fallback = parse_expression();
        has_fallback = true;
      } else if (has_fallback) {
        fail("non-default argument follows default argument");
      } else if (parameter.name == "caller") {
        fail("the special \"caller\" argument must be omitted or be given a default");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    expect_operator(")");
  }

  std::unique_ptr<Statement> parse_call_block() {
    auto node = std::make_unique<CallBlock>(advance().line);
    node->macro.line = node->line;
    node->macro.name = "caller";
    if (current().is_operator("(")) parse_parameters(node->macro);
    ExpressionPtr call = parse_expression();
    if (dynamic_cast<Call*>(call.get()) == nullptr) fail("expected call", node->line);
    node->call.reset(static_cast<Call*>(call.release()));
    node->macro.body = parse_macro_body(node->macro, "endcall");
    return node;
  }

  std::unique_ptr<Statement> parse_filter_block() {
    auto node = std::make_unique<FilterBlock>(advance().line);
    node->filter = parse_filters(parse_filter(std::make_unique<BlockText>(node->line)));
    node->body = parse_inner({"endfilter"});
    advance();
    return node;
  }

  std::unique_ptr<Statement> parse_with() {
    auto node = std::make_unique<With>(advance().line);
    while (current().kind != TokenKind::kBlockEnd) {
      if (!node->variables.empty()) expect_operator(",");
      Target target = parse_target({}, Namespaces::kForbidden);
      expect_operator("=");
      node->variables.emplace_back(std::move(target), parse_expression());
    }
    node->body = parse_inner({"endwith"});
    advance();
    return node;
  }

  void parse_print(Body& body) {
    const int line = advance().line;
    bool first = true;
    while (current().kind != TokenKind::kBlockEnd) {
      if (!first) expect_operator(",");
      first = false;
      body.push_back(std::make_unique<Print>(line, parse_expression()));
    }
  }

  std::unique_ptr<Statement> parse_scoped() {
    const Token& tag = advance();
    auto node = std::make_unique<ScopedBlock>(tag.line);
    const int outer_loops = std::exchange(loop_count_, 0);
    if (tag.text == "block") {
      const std::string& name = expect_name().text;
      skip_name("scoped");
      skip_name("required");
      node->body = parse_inner({"endblock"});
      advance();
      skip_name(name);
    } else {
      node->body = parse_inner({"endgeneration"});
      advance();
    }
    loop_count_ = outer_loops;
    return node;
  }

  std::unique_ptr<Statement> parse_jump() {
    const Token& tag = advance();
    if (loop_count_ == 0) fail(fmt::format("'{}' outside loop", tag.text), tag.line);
    return std::make_unique<Jump>(tag.line, tag.text == "break" ? Flow::kBreak : Flow::kContinue);
  }

  std::unique_ptr<Statement> parse_load() {
    auto node = std::make_unique<LoadTemplate>(advance().line);
    while (current().kind != TokenKind::kBlockEnd && current().kind != TokenKind::kEnd)
      advance();
    return node;
  }

  enum class Namespaces : uint8_t { kAllowed, kForbidden };

  // One name, or several with commas. `end_name`: a name that is no target but ends them.
  Target parse_target(std::string_view end_name, Namespaces namespaces) {
    Target tuple;
    tuple.kind = Target::Kind::kTuple;
    bool has_comma = false;
    for (;;) {
      const bool ends = !end_name.empty() && current().is_name(end_name);
      if (ends || current().is_operator(")") || current().is_operator("=")) break;
      tuple.parts.push_back(parse_single_target(namespaces));
      if (!skip_operator(",")) break;
      has_comma = true;
    }
    if (tuple.parts.empty()) {
      fail(fmt::format("Expected an expression, got {}", quote(describe(current()))));
    }
    if (has_comma) return tuple;
    return std::move(tuple.parts.front());
  }

  Target parse_single_target(Namespaces namespaces) {
    const Nesting nesting(*this);
    if (skip_operator("(")) {
      Target inside = parse_target({}, namespaces);
      expect_operator(")");
      return inside;
    }
    if (current().kind != TokenKind::kName) {
      fail(fmt::format("can't assign to {}", quote(describe(current()))));
    }
    const Token& token = advance();
    if (token.text == "true" || token.text == "false" || token.text == "none" ||
        token.text == "True" || token.text == "False" || token.text == "None") {
      fail("can't assign to 'const'", token.line);
    }
    Target target;
    target.symbol = intern(token.text);
    if (namespaces == Namespaces::kAllowed && skip_operator(".")) {
      target.kind = Target::Kind::kNamespaceAttribute;
      target.attribute = expect_name().text;
    }
    return target;
  }

  int loop_count_ = 0;  // the loops around this place
};

}  // namespace

std::unique_ptr<const Template> parse_template(std::string_view source) {
  auto parsed = std::make_unique<Template>();
  parsed->body = StatementParser(tokenize(source), parsed->symbols).run();
  return parsed;
}

}  // namespace inferno::token::jinja
