#include "serve/completions.h"

#include <boost/json.hpp>
#include <utility>

#include "serve/completion_call.h"

namespace inferno::serve {

namespace json = boost::json;
using request::TokenEvent;

namespace {

// Chunks and whole answers have the same type in this API.
constexpr std::string_view kObject = "text_completion";

class CompletionAnswer final : public Answer {
 public:
  explicit CompletionAnswer(AnswerContext context)
      : Answer(std::move(context)), logprobs_(choices_.size(), CompletionLogprobs(style())) {}

 protected:
  std::optional<json::object> chunk(size_t index, const TokenEvent& event) override {
    if (!is_worth_a_chunk(event)) return std::nullopt;
    const bool is_first = !choices_[index].has_chunk;
    json::object choice;
    choice["index"] = index;
    choice["text"] =
        (is_first ? echoed_text(index) : "") + (context_.call.is_echo_only ? "" : event.text);
    choice["logprobs"] = logprobs(index, event.tokens);
    add_finish(choice, event);
    if (context_.call.return_token_ids) {
      if (is_first) choice["prompt_token_ids"] = id_list(prompt_of(index).tokens);
      json::array ids;
      for (const request::TokenOutput& output : event.tokens)
        ids.emplace_back(output.token);
      choice["token_ids"] = std::move(ids);
    }
    json::array choices;
    choices.emplace_back(std::move(choice));
    json::object out = envelope(kObject, std::move(choices));
    out["usage"] = nullptr;
    return out;
  }

  json::object whole() override {
    json::array choices;
    for (size_t index = 0; index < choices_.size(); ++index)
      choices.emplace_back(choice_of(index));
    json::object out = envelope(kObject, std::move(choices));
    out["service_tier"] = nullptr;
    out["system_fingerprint"] = nullptr;
    out["kv_transfer_params"] = nullptr;
    return out;
  }

  std::string_view chunk_object() const override { return kObject; }

 private:
  std::string echoed_text(size_t index) const {
    return context_.call.echo ? prompt_of(index).text : std::string();
  }

  json::object choice_of(size_t index) {
    const ChoiceState& state = choices_[index];
    json::object choice;
    choice["index"] = index;
    choice["text"] = echoed_text(index) + (context_.call.is_echo_only ? "" : state.text);
    choice["logprobs"] = logprobs(index, state.outputs);
    add_finish(choice, *state.last_event);
    const bool with_ids = context_.call.return_token_ids;
    choice["token_ids"] = with_ids ? json::value(id_list(state.token_ids)) : nullptr;
    choice["prompt_token_ids"] = with_ids ? json::value(id_list(prompt_of(index).tokens)) : nullptr;
    choice["prompt_logprobs"] =
        context_.call.sampling.prompt_logprobs && !state.prompt_outputs.empty()
            ? json::value(prompt_logprobs(style(), state.prompt_outputs))
            : nullptr;
    return choice;
  }

  // Of the prompt, where it is echoed and nothing of the choice was sent, and of generated tokens.
  json::value logprobs(size_t index, std::span<const request::TokenOutput> outputs) {
    if (!context_.call.sampling.logprobs) return nullptr;
    json::object out;
    if (context_.call.echo && !choices_[index].has_chunk) {
      logprobs_[index].add_prompt(out, choices_[index].prompt_outputs, prompt_of(index).text);
    }
    logprobs_[index].add(
        out, context_.call.is_echo_only ? std::span<const request::TokenOutput>() : outputs);
    return out;
  }

  std::vector<CompletionLogprobs> logprobs_;  // of each choice: they count text offsets
};

Result<std::unique_ptr<Answer>> prepare_completion(
    const Service& service, const json::object& body, const net::HttpRequest& request,
    const std::shared_ptr<net::Responder>& responder) {
  auto entry = service.model_of(body);
  if (!entry) return std::unexpected(entry.error());
  auto call = read_completion_call(body, (*entry)->limits);
  if (!call) return std::unexpected(call.error());
  auto context = make_context(*entry, request, responder, call->call, "cmpl-");
  if (!context) return std::unexpected(context.error());
  for (const PromptInput& input : call->prompts) {
    auto prompt = completion_prompt(**entry, *call, input);
    if (!prompt) return std::unexpected(prompt.error());
    context->prompts.push_back(std::move(*prompt));
  }
  return std::make_unique<CompletionAnswer>(std::move(*context));
}

}  // namespace

void handle_completion(const Service& service, net::HttpRequest request,
                       std::shared_ptr<net::Responder> responder) {
  run_prepared(service, std::move(request), std::move(responder), prepare_completion);
}

}  // namespace inferno::serve
