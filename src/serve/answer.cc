#include "serve/answer.h"

#include <boost/json.hpp>
#include <utility>

#include "net/sse.h"
#include "serve/errors.h"

namespace inferno::serve {

namespace json = boost::json;
using request::FinishReason;
using request::TokenEvent;

namespace {

constexpr std::string_view kDone = "[DONE]";

json::value stop_reason(const TokenEvent& event) {
  if (!event.stop_string.empty()) return json::value(event.stop_string);
  if (event.stop_token) return json::value(*event.stop_token);
  return nullptr;
}

json::object usage_object(size_t prompt_tokens, size_t completion_tokens) {
  json::object out;
  out["prompt_tokens"] = prompt_tokens;
  out["total_tokens"] = prompt_tokens + completion_tokens;
  out["completion_tokens"] = completion_tokens;
  out["prompt_tokens_details"] = nullptr;
  return out;
}

}  // namespace

json::array id_list(std::span<const TokenId> tokens) {
  return json::array(tokens.begin(), tokens.end());
}

Answer::Answer(AnswerContext context)
    : context_(std::move(context)),
      choices_(context_.prompts.size() * static_cast<size_t>(context_.call.choice_count)),
      running_count_(choices_.size()) {}

Answer::~Answer() = default;

void Answer::write(std::string_view bytes) {
  if (!std::exchange(is_streaming_, true)) {
    context_.responder->start_stream(200, {{"Content-Type", net::kSseContentType},
                                           {"Cache-Control", "no-cache"},
                                           {"X-Accel-Buffering", "no"}});
  }
  context_.responder->write(bytes);
}

std::vector<json::object> Answer::opening_chunks() {
  return {};
}

const Prompt& Answer::prompt_of(size_t index) const {
  return context_.prompts[index / static_cast<size_t>(context_.call.choice_count)];
}

LogprobStyle Answer::style() const {
  return {*context_.entry->model.tokenizer, context_.call.tokens_as_ids};
}

json::object Answer::envelope(std::string_view object, json::array choices) const {
  json::object out;
  out["id"] = context_.id;
  out["object"] = json::string_view(object.data(), object.size());
  out["created"] = context_.created;
  out["model"] = context_.entry->name();
  out["choices"] = std::move(choices);
  return out;
}

void Answer::add_finish(json::object& choice, const TokenEvent& event) {
  choice["finish_reason"] = nullptr;
  if (event.finish) {
    const std::string_view name = name_of(*event.finish);
    choice["finish_reason"] = json::string_view(name.data(), name.size());
  }
  choice["stop_reason"] = stop_reason(event);
}

bool Answer::is_worth_a_chunk(const TokenEvent& event) const {
  const bool tells_tokens = context_.call.sampling.logprobs || context_.call.return_token_ids;
  return event.finish || !event.text.empty() || (tells_tokens && !event.tokens.empty());
}

bool Answer::on_event(size_t index, TokenEvent event) {
  if (event.error || event.finish == FinishReason::kError) {
    return fail_with(
        event.error.value_or(Error{Fault::kInternal, "The engine failed on this request.", {}}));
  }
  ChoiceState& choice = choices_[index];
  choice.token_count += event.tokens.size();
  if (!event.prompt_tokens.empty()) {
    choice.prompt_outputs =
        prompt_outputs(prompt_of(index).tokens, std::exchange(event.prompt_tokens, {}));
  }
  if (context_.call.stream) {
    stream(index, event);
  } else {
    keep(choice, event);
  }
  if (event.finish) {
    choice.last_event = std::move(event);
    if (--running_count_ == 0) complete();
  }
  return true;
}

void Answer::keep(ChoiceState& choice, TokenEvent& event) {
  choice.text += event.text;
  for (request::TokenOutput& output : event.tokens) {
    if (context_.call.return_token_ids) choice.token_ids.push_back(output.token);
    if (context_.call.sampling.logprobs) choice.outputs.push_back(std::move(output));
  }
}

void Answer::stream(size_t index, const TokenEvent& event) {
  std::vector<json::object> chunks;
  if (!std::exchange(has_opened_, true)) chunks = opening_chunks();
  if (context_.call.continuous_usage) {
    for (json::object& opening : chunks)
      opening["usage"] = usage_object(prompt_of(index).tokens.size(), 0);
  }
  if (auto made = chunk(index, event)) {
    choices_[index].has_chunk = true;
    if (context_.call.continuous_usage) (*made)["usage"] = usage(index);
    chunks.push_back(std::move(*made));
  }
  send_chunks(chunks);
}

void Answer::send_chunks(const std::vector<json::object>& chunks) {
  std::string out;
  for (const json::object& made : chunks)
    net::append_sse(out, json::serialize(made));
  if (!out.empty()) write(out);
}

// Counts of one sequence, or of all: a prompt counts once, however many choices it has.
json::object Answer::usage(std::optional<size_t> index) const {
  size_t prompt_tokens = 0;
  size_t completion_tokens = 0;
  if (index) {
    prompt_tokens = prompt_of(*index).tokens.size();
    completion_tokens = choices_[*index].token_count;
  } else {
    for (const Prompt& prompt : context_.prompts)
      prompt_tokens += prompt.tokens.size();
    for (const ChoiceState& choice : choices_)
      completion_tokens += choice.token_count;
  }
  return usage_object(prompt_tokens, completion_tokens);
}

void Answer::complete() {
  if (!context_.call.stream) {
    json::object out = whole();
    out["usage"] = usage(std::nullopt);
    send_json(*context_.responder, out);
    return;
  }
  std::string out;
  if (context_.call.include_usage) {
    json::object last = envelope(chunk_object(), {});
    last["usage"] = usage(std::nullopt);
    net::append_sse(out, json::serialize(last));
  }
  net::append_sse(out, kDone);
  write(out);
  context_.responder->finish();
}

bool Answer::fail_with(const Error& error) {
  if (!is_streaming_) {
    send_error(*context_.responder, error);
    return false;
  }
  std::string out;
  append_error_event(out, error);
  net::append_sse(out, kDone);
  write(out);
  context_.responder->finish();
  return false;
}

}  // namespace inferno::serve
