#include "serve/prompt.h"

#include <algorithm>
#include <utility>

#include "token/chat_template.h"
#include "token/tokenizer.h"

namespace inferno::serve {
namespace {

// OpenAI's default for completions.
constexpr int kDefaultCompletionTokens = 16;

// A longer text is refused before it is tokenized: prose has 4 bytes a token, and 64 leave room for
// runs of blanks and for what normalization drops.
constexpr size_t kMaxBytesPerToken = 64;
// Where the model's context is tiny.
constexpr size_t kLeastTextLimitBytes = 64 << 10;

// Stands behind the last content while looking for its end. Digits: case filters keep them.
constexpr std::string_view kContentEndMark = "704918365229417730586143";

Error too_long(std::string_view param, std::string message) {
  return {Fault::kTooLong, std::move(message), std::string(param)};
}

void truncate(const ModelEntry& entry, const Call& call, std::vector<TokenId>& tokens) {
  if (!call.truncate_prompt_tokens) return;
  const int room = entry.limits.max_model_len - std::max(1, call.max_tokens.value_or(1));
  const int wanted = *call.truncate_prompt_tokens;
  const auto kept = static_cast<size_t>(std::max(1, wanted < 0 ? room : wanted));
  if (tokens.size() <= kept) return;
  if (call.truncation_side == TruncationSide::kLeft) {
    tokens.erase(tokens.begin(), tokens.end() - static_cast<ptrdiff_t>(kept));
  } else {
    tokens.resize(kept);
  }
}

// How many tokens the answer may have: what the request says if that fits, else the smaller of
// `default_max_tokens` (none: no limit) and what is left.
Result<int> room_for_answer(const ModelEntry& entry, const Call& call, size_t prompt_tokens,
                            std::string_view param, std::optional<int> default_max_tokens) {
  const int limit = entry.limits.max_model_len;
  if (prompt_tokens == 0) {
    return fail_field(param, "{} has no tokens, must have at least 1", param);
  }
  if (prompt_tokens >= static_cast<size_t>(limit)) {
    return std::unexpected(too_long(
        param, fmt::format("{} has {} tokens and the answer needs 1 more, but the model's context "
                           "is limited to {} tokens",
                           param, prompt_tokens, limit)));
  }
  const int room = limit - static_cast<int>(prompt_tokens);
  if (call.max_tokens && *call.max_tokens > room) {
    return std::unexpected(too_long(
        "max_tokens",
        fmt::format("max_tokens is {} and {} has {} tokens, together more than the model's context "
                    "of {} tokens: at most {} are left for the answer",
                    *call.max_tokens, param, prompt_tokens, limit, room)));
  }
  const int max_tokens =
      call.max_tokens.value_or(std::min(room, default_max_tokens.value_or(room)));
  if (call.sampling.min_tokens > max_tokens) {
    return fail_field("min_tokens", "min_tokens is {}, must be at most max_tokens, which is {}",
                      call.sampling.min_tokens, max_tokens);
  }
  return max_tokens;
}

Result<std::vector<TokenId>> encode(const ModelEntry& entry, const Call& call,
                                    std::string_view text, std::string_view param) {
  if (auto checked = check_text_size(entry, text, param); !checked) {
    return std::unexpected(checked.error());
  }
  return entry.model.tokenizer->encode(
      text, {.add_special = call.add_special_tokens, .parse_special = true});
}

Result<std::string> render(const ModelEntry& entry, const token::ChatTemplate::Input& input) {
  auto text = entry.model.chat_template->render(input);
  if (text) return text;
  Error error = text.error();
  if (error.param.empty()) error.param = "messages";
  return std::unexpected(std::move(error));
}

// Cuts a rendered conversation behind the last message's content, so that the answer continues it.
// What follows the content is what follows a mark behind it: so the cut is right wherever else the
// content's text occurs, and when the template trims it.
Result<std::string> cut_after_final_message(const ModelEntry& entry,
                                            token::ChatTemplate::Input input, std::string text) {
  input.messages.back().as_object().at("content").as_string().append(kContentEndMark);
  auto marked = render(entry, input);
  if (!marked) return std::unexpected(marked.error());
  const size_t at = marked->rfind(kContentEndMark);
  const std::string_view rest = at == std::string::npos
                                    ? std::string_view()
                                    : std::string_view(*marked).substr(at + kContentEndMark.size());
  if (at == std::string::npos || !text.ends_with(rest)) {
    return fail_field("continue_final_message",
                      "continue_final_message is true, but the model's chat template does not show "
                      "the last message's content");
  }
  text.resize(text.size() - rest.size());
  return text;
}

}  // namespace

Result<void> check_text_size(const ModelEntry& entry, std::string_view text,
                             std::string_view param) {
  const size_t limit_bytes = std::max(
      kLeastTextLimitBytes, static_cast<size_t>(entry.limits.max_model_len) * kMaxBytesPerToken);
  if (text.size() <= limit_bytes) return {};
  return std::unexpected(too_long(
      param, fmt::format("{} has {} bytes, must have at most {} for the model's context of {} "
                         "tokens",
                         param, text.size(), limit_bytes, entry.limits.max_model_len)));
}

Result<Prompt> completion_prompt(const ModelEntry& entry, const CompletionCall& call,
                                 const PromptInput& input) {
  Prompt prompt;
  if (const auto* text = std::get_if<std::string>(&input)) {
    auto tokens = encode(entry, call.call, *text, "prompt");
    if (!tokens) return std::unexpected(tokens.error());
    prompt.tokens = std::move(*tokens);
    prompt.text = *text;
  } else {
    prompt.tokens = std::get<std::vector<TokenId>>(input);
  }
  const size_t whole_count = prompt.tokens.size();
  truncate(entry, call.call, prompt.tokens);
  const int fallback = entry.model.default_max_tokens.value_or(kDefaultCompletionTokens);
  auto room = room_for_answer(entry, call.call, prompt.tokens.size(), "prompt", fallback);
  if (!room) return std::unexpected(room.error());
  prompt.max_tokens = *room;
  const bool has_text =
      std::holds_alternative<std::string>(input) && prompt.tokens.size() == whole_count;
  if (call.call.echo && !has_text) {
    prompt.text = entry.model.tokenizer->decode(prompt.tokens);
  }
  return prompt;
}

Result<std::string> chat_text(const ModelEntry& entry, const ChatCall& chat) {
  if (entry.model.chat_template == nullptr) {
    return fail(Fault::kInvalid,
                "model {} has no chat template: use /v1/completions with a whole prompt",
                entry.name());
  }
  token::ChatTemplate::Input input;
  input.messages = chat.messages;
  input.tools = chat.tools;
  input.add_generation_prompt = chat.add_generation_prompt;
  input.extra = chat.template_variables;
  input.now = std::chrono::system_clock::now();
  auto text = render(entry, input);
  if (!text || !chat.continue_final_message) return text;
  return cut_after_final_message(entry, std::move(input), std::move(*text));
}

Result<Prompt> chat_prompt(const ModelEntry& entry, const ChatCall& chat) {
  auto text = chat_text(entry, chat);
  if (!text) return std::unexpected(text.error());
  auto tokens = encode(entry, chat.call, *text, "messages");
  if (!tokens) return std::unexpected(tokens.error());
  Prompt prompt;
  prompt.tokens = std::move(*tokens);
  truncate(entry, chat.call, prompt.tokens);
  auto room = room_for_answer(entry, chat.call, prompt.tokens.size(), "messages",
                              entry.model.default_max_tokens);
  if (!room) return std::unexpected(room.error());
  prompt.max_tokens = *room;
  prompt.text = std::move(*text);
  return prompt;
}

}  // namespace inferno::serve
