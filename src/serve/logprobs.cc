#include "serve/logprobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "token/detokenizer.h"
#include "token/tokenizer.h"

namespace inferno::serve {

namespace json = boost::json;
using request::TokenLogprob;
using request::TokenOutput;

namespace {

// JSON has no infinity; vLLM and OpenAI say -9999 for "impossible".
double finite_logprob(float logprob) {
  return std::isfinite(logprob) ? std::max(static_cast<double>(logprob), -9999.0) : -9999.0;
}

std::string token_text(const LogprobStyle& style, TokenId token) {
  if (style.tokens_as_ids) return fmt::format("token_id:{}", token);
  return style.tokenizer.decode(std::span(&token, 1),
                                {.skip_special = false, .starts_text = false});
}

// Characters, not bytes.
size_t length_of(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// The chosen token and then the alternatives, each once.
std::vector<TokenLogprob> chosen_and_top(const TokenOutput& output) {
  std::vector<TokenLogprob> all = {{output.token, output.logprob, output.rank}};
  for (const TokenLogprob& top : output.top) {
    if (top.token != output.token) all.push_back(top);
  }
  return all;
}

json::object chat_token(const LogprobStyle& style, const TokenLogprob& token) {
  json::array bytes;
  for (char c : style.tokenizer.piece_bytes(token.token, {.skip_special = false})) {
    bytes.emplace_back(static_cast<unsigned char>(c));
  }
  json::object out;
  out["token"] = token_text(style, token.token);
  out["logprob"] = finite_logprob(token.logprob);
  out["bytes"] = std::move(bytes);
  return out;
}

json::array& list_of(json::object& out, const char* name) {
  json::value& value = out[name];
  return value.is_array() ? value.get_array() : value.emplace_array();
}

// Follows the tokens of a text through the text. What they decode to is the text but for control
// tokens, which may be spelled in it or come from elsewhere (a BOS), for a space that a
// SentencePiece vocabulary puts before a word, and for what normalization changed: there the walk
// is as long as the decoded text, and never leaves the text.
class TextWalk {
 public:
  TextWalk(const token::Tokenizer& tokenizer, std::string_view text)
      : tokenizer_(tokenizer), decoder_(tokenizer), text_(text) {}

  // Whole characters passed.
  size_t character_count() const { return character_count_; }

  void pass(TokenId token) {
    if (tokenizer_.is_special(token)) {
      const std::string_view piece = tokenizer_.piece_bytes(token, {.skip_special = false});
      if (!piece.empty() && rest().starts_with(piece)) advance(piece);
      return;
    }
    const std::string decoded = decoder_.push(token);
    std::string_view shown = decoded;
    if (shown.starts_with(' ') && !rest().starts_with(' ')) shown.remove_prefix(1);
    advance(shown);
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }

  void advance(std::string_view passed) {
    const size_t end = std::min(at_ + passed.size(), text_.size());
    character_count_ += length_of(text_.substr(at_, end - at_));
    at_ = end;
  }

  const token::Tokenizer& tokenizer_;
  token::Detokenizer decoder_;
  std::string_view text_;
  size_t at_ = 0;  // bytes passed
  size_t character_count_ = 0;
};

}  // namespace

std::vector<TokenOutput> prompt_outputs(std::span<const TokenId> prompt,
                                        std::vector<TokenOutput> given) {
  if (given.size() + 1 == prompt.size()) given.insert(given.begin(), TokenOutput{});
  given.resize(prompt.size());
  for (size_t i = 0; i < prompt.size(); ++i)
    given[i].token = prompt[i];
  return given;
}

void CompletionLogprobs::add_token(json::object& out, const TokenOutput& output) {
  json::object top;
  for (const TokenLogprob& token : chosen_and_top(output)) {
    // Two tokens may share a spelling: the more probable one, which comes first, stays.
    top.emplace(token_text(style_, token.token), finite_logprob(token.logprob));
  }
  list_of(out, "tokens").emplace_back(token_text(style_, output.token));
  list_of(out, "token_logprobs").emplace_back(finite_logprob(output.logprob));
  list_of(out, "top_logprobs").emplace_back(std::move(top));
  list_of(out, "text_offset").emplace_back(text_offset_);
}

void CompletionLogprobs::add_prompt(json::object& out, std::span<const TokenOutput> outputs,
                                    std::string_view text) {
  TextWalk walk(style_.tokenizer, text);
  for (const TokenOutput& output : outputs) {
    text_offset_ = walk.character_count();
    add_token(out, output);
    walk.pass(output.token);
  }
  text_offset_ = length_of(text);
  if (outputs.empty()) return;
  list_of(out, "token_logprobs").front() = nullptr;
  list_of(out, "top_logprobs").front() = nullptr;
}

void CompletionLogprobs::add(json::object& out, std::span<const TokenOutput> outputs) {
  for (const char* name : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    list_of(out, name);
  }
  for (const TokenOutput& output : outputs) {
    add_token(out, output);
    text_offset_ += length_of(output.text);
  }
}

json::object chat_logprobs(const LogprobStyle& style, std::span<const TokenOutput> outputs) {
  json::array content;
  for (const TokenOutput& output : outputs) {
    json::object token = chat_token(style, {output.token, output.logprob, output.rank});
    json::array top;
    for (const TokenLogprob& other : output.top)
      top.emplace_back(chat_token(style, other));
    token["top_logprobs"] = std::move(top);
    content.emplace_back(std::move(token));
  }
  json::object out;
  out["content"] = std::move(content);
  return out;
}

json::array prompt_logprobs(const LogprobStyle& style, std::span<const TokenOutput> outputs) {
  json::array out;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (i == 0) {
      out.emplace_back(nullptr);
      continue;
    }
    json::object tokens;
    for (const TokenLogprob& token : chosen_and_top(outputs[i])) {
      json::object about;
      about["logprob"] = finite_logprob(token.logprob);
      about["rank"] = token.rank;
      about["decoded_token"] = token_text({style.tokenizer, false}, token.token);
      tokens[fmt::format("{}", token.token)] = std::move(about);
    }
    out.emplace_back(std::move(tokens));
  }
  return out;
}

}  // namespace inferno::serve
