// Tokens -> tree, by the grammar of Jinja 3.1 with loop controls and the `generation` tag.
//
// `generation` marks for training what the model said; here its body is simply part of the text.
#pragma once

#include <memory>
#include <string_view>

#include "token/jinja/ast.h"

namespace inferno::token::jinja {

// Throws a Failure with a line for what is no template, nests too deeply, or names an unknown
// filter or test where Jinja would look for it before rendering (outside of if).
std::unique_ptr<const Template> parse_template(std::string_view source);

}  // namespace inferno::token::jinja
