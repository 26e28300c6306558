#include "serve/call.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <limits>

namespace inferno::serve {

namespace json = boost::json;

namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

void read_logit_bias(FieldReader& fields, const CallLimits& limits, request::SamplingParams& out) {
  const json::object* biases = fields.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > kMaxLogitBiases) {
    fields.refuse(Error{Fault::kInvalid,
                        fmt::format("logit_bias has {} entries, must have at most {}",
                                    biases->size(), kMaxLogitBiases),
                        "logit_bias"});
    return;
  }
  for (const auto& [key, value] : *biases) {
    TokenId token = -1;
    const auto parsed = std::from_chars(key.data(), key.data() + key.size(), token);
    const bool is_token = parsed.ec == std::errc() && parsed.ptr == key.data() + key.size() &&
                          token >= 0 && token < limits.vocab_size;
    const double bias = value.is_number() ? value.to_number<double>() : std::nan("");
    if (!is_token || !(bias >= -100.0 && bias <= 100.0)) {
      fields.refuse(Error{Fault::kInvalid,
                          fmt::format("logit_bias has {}: {}, must map token ids from 0 to {} to "
                                      "numbers from -100 to 100",
                                      shown(json::value(key)), shown(value), limits.vocab_size - 1),
                          "logit_bias"});
      return;
    }
    out.logit_bias.emplace_back(token, static_cast<float>(bias));
  }
}

void read_stops(FieldReader& fields, const CallLimits& limits, request::SamplingParams& out) {
  if (auto stop = fields.texts("stop")) {
    for (const std::string& text : *stop) {
      if (text.empty()) fields.refuse("stop", "must not hold an empty string");
    }
    if (stop->size() > kMaxStopStrings) {
      fields.refuse("stop", fmt::format("must hold at most {} strings", kMaxStopStrings));
    }
    out.stop = std::move(*stop);
  }
  if (auto ids = fields.token_ids("stop_token_ids", limits.vocab_size)) {
    std::ranges::sort(*ids);
    const auto repeated = std::ranges::unique(*ids);
    ids->erase(repeated.begin(), repeated.end());
    if (ids->size() > kMaxStopTokens) {
      fields.refuse(Error{Fault::kInvalid,
                          fmt::format("stop_token_ids has {} different tokens, must have at most "
                                      "{}",
                                      ids->size(), kMaxStopTokens),
                          "stop_token_ids"});
      return;
    }
    out.stop_token_ids = std::move(*ids);
  }
  if (auto value = fields.boolean("include_stop_str_in_output")) {
    out.include_stop_str_in_output = *value;
  }
}

request::SamplingParams read_sampling(FieldReader& fields, const CallLimits& limits) {
  request::SamplingParams out = limits.default_sampling;
  const auto number = [&](std::string_view name, NumberLimits bounds, float& value) {
    if (auto given = fields.number(name, bounds)) value = static_cast<float>(*given);
  };
  number("temperature", {.min = 0, .max = 1e6}, out.temperature);
  // Below, the softmax of the scaled logits is one-hot in float: the same answer as greedy, without
  // the overflow.
  constexpr float kGreedyBelow = 1e-5f;
  if (out.temperature < kGreedyBelow) out.temperature = 0.0f;
  number("top_p", {.max = 1, .above = 0}, out.top_p);
  number("min_p", {.min = 0, .max = 1}, out.min_p);
  number("presence_penalty", {.min = -2, .max = 2}, out.presence_penalty);
  number("frequency_penalty", {.min = -2, .max = 2}, out.frequency_penalty);
  number("repetition_penalty", {.max = 1e6, .above = 0}, out.repetition_penalty);
  // A positive number that is zero as a float would divide by zero where a penalty or a share is
  // used.
  if (out.top_p <= 0.0f) fields.refuse("top_p", "is too small");
  if (out.repetition_penalty < 1e-6f) {
    fields.refuse("repetition_penalty", "must be at least 0.000001");
  }
  if (auto top_k = fields.integer("top_k", {-1, kMaxInt})) {
    out.top_k = *top_k < 0 ? 0 : static_cast<int>(*top_k);  // -1 and 0 both mean all
  }
  if (auto seed = fields.integer("seed")) {
    out.seed.reset();
    if (*seed != -1) out.seed = static_cast<uint64_t>(*seed);  // -1: as if not given
  }
  if (auto count = fields.integer("min_tokens", {0, kMaxInt})) {
    out.min_tokens = static_cast<int>(*count);
  }
  if (auto value = fields.boolean("ignore_eos")) out.ignore_eos = *value;
  if (auto value = fields.boolean("skip_special_tokens")) out.skip_special_tokens = *value;
  read_stops(fields, limits, out);
  read_logit_bias(fields, limits, out);
  out.prompt_logprobs = read_logprob_count(fields, "prompt_logprobs", limits);
  return out;
}

// What would change the answer and is not offered is refused rather than ignored.
void refuse_unsupported(FieldReader& fields) {
  for (const char* name : {"structured_outputs", "guided_json", "guided_regex", "guided_choice",
                           "guided_grammar", "allowed_token_ids", "logprob_token_ids",
                           "repetition_detection", "prompt_embeds", "logits_processors"}) {
    if (fields.any(name) != nullptr) fields.refuse(name, "is not supported");
  }
  if (const json::value* words = fields.any("bad_words");
      words != nullptr && !(words->is_array() && words->get_array().empty())) {
    fields.refuse("bad_words", "is not supported");
  }
  if (fields.boolean("use_beam_search").value_or(false)) {
    fields.refuse("use_beam_search", "is not supported");
  }
  if (const json::object* format = fields.object("response_format")) {
    const json::value* type = format->if_contains("type");
    if (type == nullptr || !type->is_string() || type->get_string() != "text") {
      fields.refuse(Error{Fault::kInvalid,
                          fmt::format("response_format.type is {}, only \"text\" is supported",
                                      type == nullptr ? "missing" : shown(*type)),
                          "response_format"});
    }
  }
}

void read_stream(FieldReader& fields, Call& call) {
  call.stream = fields.boolean("stream").value_or(false);
  const json::object* options = fields.object("stream_options");
  if (options == nullptr) return;
  if (!call.stream) fields.refuse("stream_options", "is only allowed when stream is true");
  FieldReader inner(*options);
  call.include_usage = inner.boolean("include_usage").value_or(false);
  call.continuous_usage = inner.boolean("continuous_usage_stats").value_or(false);
  if (auto error = inner.error()) {
    error->message = "stream_options." + error->message;
    error->param = "stream_options";
    fields.refuse(*error);
  }
}

void read_truncation(FieldReader& fields, const CallLimits& limits, Call& call) {
  if (auto count = fields.integer("truncate_prompt_tokens", {-1, limits.max_model_len})) {
    if (*count == 0) fields.refuse("truncate_prompt_tokens", "must be -1 or at least 1");
    call.truncate_prompt_tokens = static_cast<int>(*count);
  }
  if (auto side = fields.text("truncation_side")) {
    if (*side != "left" && *side != "right") {
      fields.refuse("truncation_side", "must be \"left\" or \"right\"");
    }
    call.truncation_side = *side == "right" ? TruncationSide::kRight : TruncationSide::kLeft;
  }
}

// How urgent the request is, for how long, and for whom.
void read_service(FieldReader& fields, Call& call) {
  call.priority = static_cast<int>(
      fields.integer("priority", {std::numeric_limits<int>::min(), kMaxInt}).value_or(0));
  if (auto name = fields.text("service_class")) {
    call.service_class = request::service_class_named(*name);
    if (!call.service_class) {
      fields.refuse("service_class", "must be \"interactive\", \"standard\" or \"batch\"");
    }
  }
  call.timeout_s = fields.number("timeout_s", {.max = kMaxTimeoutSeconds, .above = 0});
  const auto user = fields.text("user");
  const auto identifier = fields.text("safety_identifier");  // OpenAI's later name for it
  call.user = user && !user->empty() ? *user : identifier.value_or("");
}

}  // namespace

std::optional<int> read_logprob_count(FieldReader& fields, std::string_view name,
                                      const CallLimits& limits) {
  const auto count = fields.integer(name, {-1, kMaxLogprobs});
  if (!count) return std::nullopt;
  if (*count >= 0) return static_cast<int>(*count);
  if (limits.vocab_size <= kMaxLogprobs) return limits.vocab_size;
  fields.refuse(name, fmt::format("which asks for {} logprobs a token, limit {}", limits.vocab_size,
                                  kMaxLogprobs));
  return std::nullopt;
}

void check_sequence_count(FieldReader& fields, const Call& call, size_t prompt_count) {
  const size_t count = prompt_count * static_cast<size_t>(call.choice_count);
  if (count <= kMaxSequences) return;
  fields.refuse(Error{Fault::kInvalid,
                      fmt::format("n is {}, which with {} prompts makes {} sequences, must be at "
                                  "most {} in one request",
                                  call.choice_count, prompt_count, count, kMaxSequences),
                      "n"});
}

Call read_call(FieldReader& fields, const CallLimits& limits) {
  Call call;
  refuse_unsupported(fields);
  call.sampling = read_sampling(fields, limits);
  call.choice_count = static_cast<int>(fields.integer("n", {1, kMaxChoices}).value_or(1));
  if (call.choice_count > 1 && call.sampling.temperature == 0.0f) {
    fields.refuse("n", "must be 1 when temperature is 0: all choices would be the same");
  }
  read_stream(fields, call);
  if (call.stream && call.sampling.prompt_logprobs.value_or(0) > 0) {
    fields.refuse("prompt_logprobs", "must be 0 or null when stream is true");
  }
  if (call.stream) call.sampling.prompt_logprobs.reset();
  call.echo = fields.boolean("echo").value_or(false);
  call.return_token_ids = fields.boolean("return_token_ids").value_or(false);
  call.tokens_as_ids = fields.boolean("return_tokens_as_token_ids").value_or(false);
  read_service(fields, call);
  if (auto salt = fields.text("cache_salt")) {
    if (salt->empty()) fields.refuse("cache_salt", "must not be empty");
    call.cache_salt = std::move(*salt);
  }
  call.request_id = fields.text("request_id").value_or("");
  read_truncation(fields, limits, call);
  return call;
}

}  // namespace inferno::serve
