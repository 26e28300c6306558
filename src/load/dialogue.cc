#include "load/dialogue.h"

#include <utility>

namespace inferno::load {

namespace json = boost::json;

namespace {

json::object message(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

}  // namespace

Dialogue::Dialogue(const BodyOptions& options, const PromptSource& source,
                   const std::vector<Segment>& shared)
    : options_(options), source_(source), form_(options.form) {
  if (shared.empty()) return;
  source_.append_tokens(shared, tokens_);
  source_.append_text(shared, text_);
  if (form_ == PromptForm::kMessages) messages_.push_back(message("system", text_));
}

void Dialogue::ask(const Turn& turn) {
  if (!turn.text.empty()) {
    if (form_ == PromptForm::kTokenIds) form_ = PromptForm::kText;
    if (!text_.empty()) text_ += '\n';
    text_ += turn.text;
    if (form_ == PromptForm::kMessages) messages_.push_back(message("user", turn.text));
    return;
  }
  switch (form_) {
    case PromptForm::kTokenIds:
      source_.append_tokens(turn.segments, tokens_);
      break;
    case PromptForm::kText:
      source_.append_text(turn.segments, text_);
      break;
    case PromptForm::kMessages: {
      std::string said;
      source_.append_text(turn.segments, said);
      messages_.push_back(message("user", said));
      break;
    }
  }
}

Result<void> Dialogue::hear(const AnswerRecord& answer) {
  switch (form_) {
    case PromptForm::kTokenIds:
      if (answer.token_ids.empty()) {
        return fail(Fault::kInvalid,
                    "the server tells no token ids (return_token_ids), so the next turn cannot "
                    "repeat the answer; use --prompt-format text");
      }
      tokens_.insert(tokens_.end(), answer.token_ids.begin(), answer.token_ids.end());
      break;
    case PromptForm::kText:
      text_ += answer.text;
      break;
    case PromptForm::kMessages:
      messages_.push_back(message("assistant", answer.text));
      break;
  }
  return {};
}

std::string Dialogue::body(int output_tokens, const RequestLabels& labels) const {
  json::object out;
  out["model"] = options_.model;
  switch (form_) {
    case PromptForm::kTokenIds:
      out["prompt"] = json::array(tokens_.begin(), tokens_.end());
      out["max_tokens"] = output_tokens;
      if (options_.wants_token_ids) out["return_token_ids"] = true;
      break;
    case PromptForm::kText:
      out["prompt"] = text_;
      out["max_tokens"] = output_tokens;
      break;
    case PromptForm::kMessages:
      out["messages"] = messages_;
      out["max_completion_tokens"] = output_tokens;
      out["max_tokens"] = output_tokens;
      break;
  }
  out["stream"] = true;
  out["stream_options"] = json::object{{"include_usage", true}};
  if (options_.ignore_eos) out["ignore_eos"] = true;
  if (!labels.service_class.empty()) out["service_class"] = labels.service_class;
  if (!labels.client.empty()) out["user"] = labels.client;
  for (const auto& [name, value] : options_.extra)
    out[name] = value;
  return json::serialize(out);
}

}  // namespace inferno::load
