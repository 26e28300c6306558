#include "serve/chat_completions.h"

#include <boost/json.hpp>
#include <utility>

#include "serve/chat_call.h"

namespace inferno::serve {

namespace json = boost::json;
using request::TokenEvent;

namespace {

constexpr std::string_view kChunkObject = "chat.completion.chunk";

class ChatAnswer final : public Answer {
 public:
  // `echoed` comes before the generated text: the last message, where the request asks for it.
  ChatAnswer(AnswerContext context, std::string echoed)
      : Answer(std::move(context)), echoed_(std::move(echoed)) {}

 protected:
  // OpenAI's first chunk of each choice names the role and has no text.
  std::vector<json::object> opening_chunks() override {
    std::vector<json::object> chunks;
    for (size_t index = 0; index < choices_.size(); ++index) {
      json::object out = delta_chunk(index, {{"role", "assistant"}, {"content", ""}});
      if (context_.call.return_token_ids) {
        out["prompt_token_ids"] = id_list(prompt_of(index).tokens);
      }
      chunks.push_back(std::move(out));
      if (!echoed_.empty()) chunks.push_back(delta_chunk(index, {{"content", echoed_}}));
    }
    return chunks;
  }

  std::optional<json::object> chunk(size_t index, const TokenEvent& event) override {
    if (!is_worth_a_chunk(event)) return std::nullopt;
    json::object delta;
    delta["content"] = event.text;
    json::object out = delta_chunk(index, std::move(delta));
    json::object& choice = out["choices"].as_array().front().as_object();
    if (context_.call.sampling.logprobs && !event.tokens.empty()) {
      choice["logprobs"] = chat_logprobs(style(), event.tokens);
    }
    if (event.finish) add_finish(choice, event);
    if (context_.call.return_token_ids) {
      json::array ids;
      for (const request::TokenOutput& output : event.tokens)
        ids.emplace_back(output.token);
      choice["token_ids"] = std::move(ids);
    }
    return out;
  }

  json::object whole() override {
    json::array choices;
    for (size_t index = 0; index < choices_.size(); ++index)
      choices.emplace_back(choice_of(index));
    const ChoiceState& first = choices_.front();
    json::object out = envelope("chat.completion", std::move(choices));
    out["service_tier"] = nullptr;
    out["system_fingerprint"] = nullptr;
    out["prompt_logprobs"] = context_.call.sampling.prompt_logprobs && !first.prompt_outputs.empty()
                                 ? json::value(prompt_logprobs(style(), first.prompt_outputs))
                                 : nullptr;
    out["prompt_token_ids"] =
        context_.call.return_token_ids ? json::value(id_list(prompt_of(0).tokens)) : nullptr;
    out["kv_transfer_params"] = nullptr;
    return out;
  }

  std::string_view chunk_object() const override { return kChunkObject; }

 private:
  json::object delta_chunk(size_t index, json::object delta) const {
    json::object choice;
    choice["index"] = index;
    choice["delta"] = std::move(delta);
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = nullptr;
    json::array choices;
    choices.emplace_back(std::move(choice));
    return envelope(kChunkObject, std::move(choices));
  }

  json::object choice_of(size_t index) const {
    const ChoiceState& state = choices_[index];
    json::object message;
    message["role"] = "assistant";
    message["content"] = echoed_ + state.text;
    message["refusal"] = nullptr;
    message["annotations"] = nullptr;
    message["audio"] = nullptr;
    message["function_call"] = nullptr;
    message["tool_calls"] = json::array();
    message["reasoning"] = nullptr;
    json::object choice;
    choice["index"] = index;
    choice["message"] = std::move(message);
    choice["logprobs"] = context_.call.sampling.logprobs
                             ? json::value(chat_logprobs(style(), state.outputs))
                             : nullptr;
    add_finish(choice, *state.last_event);
    choice["token_ids"] =
        context_.call.return_token_ids ? json::value(id_list(state.token_ids)) : nullptr;
    return choice;
  }

  std::string echoed_;
};

// The last message's text, when the request wants it back and the answer speaks for the same role.
std::string echoed_text(const ChatCall& chat) {
  const json::object& last = chat.messages.back().as_object();
  if (!chat.call.echo || last.at("role").as_string() != "assistant") return "";
  return std::string(last.at("content").as_string());
}

Result<std::unique_ptr<Answer>> prepare_chat(const Service& service, const json::object& body,
                                             const net::HttpRequest& request,
                                             const std::shared_ptr<net::Responder>& responder) {
  auto entry = service.model_of(body);
  if (!entry) return std::unexpected(entry.error());
  auto chat = read_chat_call(body, (*entry)->limits);
  if (!chat) return std::unexpected(chat.error());
  auto context = make_context(*entry, request, responder, chat->call, "chatcmpl-");
  if (!context) return std::unexpected(context.error());
  auto prompt = chat_prompt(**entry, *chat);
  if (!prompt) return std::unexpected(prompt.error());
  context->prompts.push_back(std::move(*prompt));
  return std::make_unique<ChatAnswer>(std::move(*context), echoed_text(*chat));
}

}  // namespace

void handle_chat(const Service& service, net::HttpRequest request,
                 std::shared_ptr<net::Responder> responder) {
  run_prepared(service, std::move(request), std::move(responder), prepare_chat);
}

}  // namespace inferno::serve
