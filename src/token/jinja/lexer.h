// Template source -> tokens, by the rules of Jinja 3.1 with trim_blocks and lstrip_blocks on and
// keep_trailing_newline off.
//
// White space is settled here: `-` strips to the next text, `+` keeps, a line break behind a block
// or comment goes, white space before a block or comment that starts its line goes. Comments and
// raw markers leave no token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "token/jinja/value.h"

namespace inferno::token::jinja {

enum class TokenKind : uint8_t {
  kData,
  kPrintBegin,  // {{
  kPrintEnd,    // }}
  kBlockBegin,  // {%
  kBlockEnd,    // %}
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;  // data, name, unescaped string, or the operator's characters
  Int integer = 0;
  double real = 0;

  bool is_operator(std::string_view characters) const {
    return kind == TokenKind::kOperator && text == characters;
  }
  bool is_name(std::string_view name) const { return kind == TokenKind::kName && text == name; }
};

// The tokens of a template; the last one is kEnd. Throws a Failure with the line when the source is
// not a template.
std::vector<Token> tokenize(std::string_view source);

// How an error message calls a token: "end of print statement", "','".
std::string describe(const Token& token);

}  // namespace inferno::token::jinja
