#include "serve/tokenize.h"

#include <boost/json.hpp>
#include <utility>

#include "serve/errors.h"
#include "serve/off_strand.h"
#include "token/tokenizer.h"

namespace inferno::serve {

namespace json = boost::json;

namespace {

// The text that a body stands for: its prompt, or its messages by the chat template.
Result<std::string> prompt_text(const ModelEntry& entry, const json::object& body,
                                FieldReader& fields) {
  if (fields.any("messages") == nullptr) {
    auto prompt = fields.text("prompt");
    if (!prompt) fields.refuse("prompt", "must be a string, or messages be given");
    if (fields.error()) return std::unexpected(*fields.error());
    return std::move(*prompt);
  }
  ChatCall chat;
  FieldReader chat_fields(body);
  read_chat_input(chat_fields, chat);
  if (chat_fields.error()) return std::unexpected(*chat_fields.error());
  return chat_text(entry, chat);
}

Result<json::object> tokenized(const Service& service, const json::object& body) {
  auto entry = service.model_of(body);
  if (!entry) return std::unexpected(entry.error());
  FieldReader fields(body);
  const bool is_chat = fields.any("messages") != nullptr;
  const bool add_special = fields.boolean("add_special_tokens").value_or(!is_chat);
  const bool with_strings = fields.boolean("return_token_strs").value_or(false);
  auto text = prompt_text(**entry, body, fields);
  if (!text) return std::unexpected(text.error());
  if (fields.error()) return std::unexpected(*fields.error());
  if (auto checked = check_text_size(**entry, *text, is_chat ? "messages" : "prompt"); !checked) {
    return std::unexpected(checked.error());
  }
  const token::Tokenizer& tokenizer = *(*entry)->model.tokenizer;
  const auto tokens = tokenizer.encode(*text, {.add_special = add_special, .parse_special = true});
  json::object out;
  out["count"] = tokens.size();
  out["max_model_len"] = (*entry)->limits.max_model_len;
  out["tokens"] = id_list(tokens);
  out["token_strs"] = nullptr;
  if (with_strings) {
    json::array strings;
    for (TokenId token : tokens) {
      strings.emplace_back(
          tokenizer.decode(std::span(&token, 1), {.skip_special = false, .starts_text = false}));
    }
    out["token_strs"] = std::move(strings);
  }
  return out;
}

Result<json::object> detokenized(const Service& service, const json::object& body) {
  auto entry = service.model_of(body);
  if (!entry) return std::unexpected(entry.error());
  FieldReader fields(body);
  const auto tokens = fields.token_ids("tokens", (*entry)->limits.vocab_size);
  if (!tokens) fields.refuse("tokens", "must be a list of token ids");
  if (fields.error()) return std::unexpected(*fields.error());
  const int limit = (*entry)->limits.max_model_len;
  if (tokens->size() > static_cast<size_t>(limit)) {
    return std::unexpected(
        Error{Fault::kTooLong,
              fmt::format("tokens has {} tokens, must have at most {}, the model's context",
                          tokens->size(), limit),
              "tokens"});
  }
  json::object out;
  out["prompt"] = (*entry)->model.tokenizer->decode(*tokens, {.skip_special = false});
  return out;
}

// Answers with what `make` makes of the request's body, or its error.
void answer_with(const Service& service, net::HttpRequest request,
                 std::shared_ptr<net::Responder> responder,
                 Result<json::object> (*make)(const Service&, const json::object&)) {
  const size_t body_bytes = request.body.size();
  auto shared = std::make_shared<const net::HttpRequest>(std::move(request));
  run_off_strand(*service.text_work, body_bytes, responder,
                 [&service, shared, responder, make]() -> std::function<void()> {
                   const auto body = parse_json_object(shared->body);
                   const auto out = body ? make(service, *body) : std::unexpected(body.error());
                   out ? send_json(*responder, *out) : send_error(*responder, out.error());
                   return [] {};
                 });
}

}  // namespace

void handle_tokenize(const Service& service, net::HttpRequest request,
                     std::shared_ptr<net::Responder> responder) {
  answer_with(service, std::move(request), std::move(responder), tokenized);
}

void handle_detokenize(const Service& service, net::HttpRequest request,
                       std::shared_ptr<net::Responder> responder) {
  answer_with(service, std::move(request), std::move(responder), detokenized);
}

}  // namespace inferno::serve
