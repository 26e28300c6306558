// From what a client sent to the tokens a generator takes: template, tokenizer, truncation, room
// for the answer.
//
// Threads: pure functions over immutable parts.
// Cost:    tokenizing; text of absurd length is refused before.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/chat_call.h"
#include "serve/completion_call.h"
#include "serve/model_entry.h"

namespace inferno::serve {

struct Prompt {
  std::vector<TokenId> tokens;  // not empty
  std::string text;             // as given, or decoded where an echo needs it: what the model saw
  int max_tokens = 1;           // tokens + max_tokens <= max_model_len
};

// Refuses a text that is too long to be tokenized for the model: kTooLong above 64 bytes for each
// token of its context, at least 64 KiB.
Result<void> check_text_size(const ModelEntry& entry, std::string_view text,
                             std::string_view param);

// Tokens of a completion's prompt. kTooLong when prompt and max_tokens exceed the model, kInvalid
// when it has no token.
Result<Prompt> completion_prompt(const ModelEntry& entry, const CompletionCall& call,
                                 const PromptInput& input);

// The text of a conversation by the model's chat template. kInvalid with the template's own words
// when it refuses the conversation, or when the model has no template.
Result<std::string> chat_text(const ModelEntry& entry, const ChatCall& chat);

// Tokens of a conversation; errors as above.
Result<Prompt> chat_prompt(const ModelEntry& entry, const ChatCall& chat);

}  // namespace inferno::serve
