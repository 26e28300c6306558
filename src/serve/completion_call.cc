#include "serve/completion_call.h"

#include <boost/json.hpp>
#include <limits>

namespace inferno::serve {

namespace json = boost::json;

namespace {

// One token list of a list of token lists.
void add_token_prompt(FieldReader& fields, const json::value& element, const CallLimits& limits,
                      std::vector<PromptInput>& prompts) {
  json::object wrapper;
  wrapper["prompt"] = element;
  FieldReader inner(wrapper);
  auto ids = inner.token_ids("prompt", limits.vocab_size);
  if (inner.error()) fields.refuse(*inner.error());
  if (ids) prompts.emplace_back(std::move(*ids));
}

// A string, a list of strings, a list of token ids, or a list of lists of token ids.
std::vector<PromptInput> read_prompts(FieldReader& fields, const CallLimits& limits) {
  constexpr std::string_view kKinds =
      "must be a string, a list of strings, a list of token ids or a list of lists of them";
  std::vector<PromptInput> prompts;
  const json::value* value = fields.any("prompt");
  if (value == nullptr) {
    fields.refuse("prompt", kKinds);
    return prompts;
  }
  if (value->is_string()) {
    prompts.emplace_back(std::string(value->get_string()));
    return prompts;
  }
  if (!value->is_array() || value->get_array().empty()) {
    fields.refuse("prompt", kKinds);
    return prompts;
  }
  const json::array& list = value->get_array();
  if (list.front().is_number()) {
    if (auto ids = fields.token_ids("prompt", limits.vocab_size)) {
      prompts.emplace_back(std::move(*ids));
    }
    return prompts;
  }
  if (list.size() > static_cast<size_t>(kMaxPrompts)) {
    fields.refuse("prompt", fmt::format("must hold at most {} prompts", kMaxPrompts));
    return prompts;
  }
  for (const json::value& element : list) {
    if (element.kind() != list.front().kind() || !(element.is_string() || element.is_array())) {
      fields.refuse("prompt", kKinds);
      break;
    }
    if (element.is_string()) {
      prompts.emplace_back(std::string(element.get_string()));
    } else {
      add_token_prompt(fields, element, limits, prompts);
    }
  }
  return prompts;
}

}  // namespace

Result<CompletionCall> read_completion_call(const json::object& body, const CallLimits& limits) {
  FieldReader fields(body);
  CompletionCall out;
  out.call = read_call(fields, limits);
  out.call.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  out.prompts = read_prompts(fields, limits);
  check_sequence_count(fields, out.call, out.prompts.size());
  if (const json::value* suffix = fields.any("suffix")) {
    if (!suffix->is_string() || !suffix->get_string().empty()) {
      fields.refuse("suffix", "is not supported");
    }
  }
  out.call.sampling.logprobs = read_logprob_count(fields, "logprobs", limits);
  const auto max_tokens = fields.integer("max_tokens", {0, std::numeric_limits<int>::max()});
  if (max_tokens) out.call.max_tokens = static_cast<int>(*max_tokens);
  if (max_tokens && *max_tokens == 0) {
    if (!out.call.echo) fields.refuse("max_tokens", "must be at least 1 unless echo is true");
    out.call.is_echo_only = true;
    out.call.max_tokens = 1;
    out.call.sampling.min_tokens = 0;
  }
  if (out.call.echo && out.call.sampling.logprobs && !out.call.sampling.prompt_logprobs) {
    out.call.sampling.prompt_logprobs = out.call.sampling.logprobs;
  }
  if (fields.error()) return std::unexpected(*fields.error());
  return out;
}

}  // namespace inferno::serve
