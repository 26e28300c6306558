#include "serve/prompt.h"

#include <algorithm>
#include <utility>

#include "token/chat_template.h"
#include "token/tokenizer.h"

namespace inferno::serve {
namespace {

// OpenAI's default for completions.
constexpr int kDefaultCompletionTokens = 16;

// Unicode normalization may shorten a text before it is cut into tokens, by less than this factor.
constexpr size_t kShorteningSlack = 4;

Error too_long(std::string_view param, std::string message) {
  return {Fault::kTooLong, std::move(message), std::string(param)};
}

// Refuses a text that has too many bytes for any of its tokenizations to fit, without making one.
Result<void> check_text_size(const ModelEntry& entry, const Call& call, std::string_view text,
                             std::string_view param) {
  const auto kind = entry.model.tokenizer->vocabulary().kind;
  const bool is_bpe = kind == token::VocabularyKind::kByteLevelBpe ||
                      kind == token::VocabularyKind::kSentencePieceBpe;
  const size_t limit_bytes = static_cast<size_t>(entry.limits.max_model_len) *
                             entry.longest_piece_bytes * kShorteningSlack;
  if (!is_bpe || call.truncate_prompt_tokens || text.size() <= limit_bytes) return {};
  return std::unexpected(too_long(
      param, fmt::format("{} has {} bytes, which cannot fit into the model's context of {} tokens",
                         param, text.size(), entry.limits.max_model_len)));
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
  if (auto checked = check_text_size(entry, call, text, param); !checked) {
    return std::unexpected(checked.error());
  }
  return entry.model.tokenizer->encode(
      text, {.add_special = call.add_special_tokens, .parse_special = true});
}

// Cuts a rendered conversation behind the last message's content, so that the answer continues it.
Result<std::string> cut_after_final_message(const ChatCall& chat, std::string text) {
  std::string_view content = chat.messages.back().as_object().at("content").as_string();
  size_t at = content.empty() ? std::string::npos : text.rfind(content);
  if (at == std::string::npos) {
    const size_t last = content.find_last_not_of(" \t\r\n");
    content = content.substr(0, last == std::string_view::npos ? 0 : last + 1);
    at = content.empty() ? std::string::npos : text.rfind(content);
  }
  if (at == std::string::npos) {
    return fail_field("continue_final_message",
                      "continue_final_message is true, but the model's chat template does not show "
                      "the last message's content");
  }
  text.resize(at + content.size());
  return text;
}

}  // namespace

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
    if (call.call.echo) prompt.text = entry.model.tokenizer->decode(prompt.tokens);
  }
  truncate(entry, call.call, prompt.tokens);
  const int fallback = entry.model.default_max_tokens.value_or(kDefaultCompletionTokens);
  auto room = room_for_answer(entry, call.call, prompt.tokens.size(), "prompt", fallback);
  if (!room) return std::unexpected(room.error());
  prompt.max_tokens = *room;
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
  auto text = entry.model.chat_template->render(input);
  if (!text) {
    Error error = text.error();
    if (error.param.empty()) error.param = "messages";
    return std::unexpected(std::move(error));
  }
  if (!chat.continue_final_message) return text;
  return cut_after_final_message(chat, std::move(*text));
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
