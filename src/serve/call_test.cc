#include "serve/call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>

#include "serve/chat_call.h"
#include "serve/completion_call.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

const CallLimits kLimits = {.vocab_size = 1000, .max_model_len = 100, .default_sampling = {}};

Result<CompletionCall> completion(const std::string& fields) {
  const auto object = parse_json_object(R"({"prompt": "p", )" + fields + "}");
  EXPECT_TRUE(object) << fields;
  return read_completion_call(*object, kLimits);
}

Result<ChatCall> chat_call(const std::string& fields) {
  const auto object =
      parse_json_object(R"({"messages": [{"role": "user", "content": "hi"}], )" + fields + "}");
  EXPECT_TRUE(object) << fields;
  return read_chat_call(*object, kLimits);
}

// The field at fault, or "".
std::string param_of(const std::string& fields) {
  const auto call = completion(fields);
  return call ? "" : call.error().param;
}

TEST(Call, DefaultsAreTheModelsAndThenVllms) {
  const auto plain = completion(R"("unknown": {"a": [1]})");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->call.sampling.temperature, 1.0f);
  EXPECT_EQ(plain->call.sampling.top_k, 0);
  EXPECT_EQ(plain->call.choice_count, 1);
  EXPECT_FALSE(plain->call.stream);
  EXPECT_EQ(plain->call.max_tokens, std::nullopt);
  EXPECT_TRUE(plain->call.add_special_tokens);
  CallLimits model = kLimits;
  model.default_sampling.temperature = 0.5f;
  model.default_sampling.top_k = 20;
  const auto object = *parse_json_object(R"({"prompt": "p", "top_k": -1, "temperature": null})");
  const auto given = read_completion_call(object, model);
  ASSERT_TRUE(given);
  EXPECT_EQ(given->call.sampling.temperature, 0.5f);
  EXPECT_EQ(given->call.sampling.top_k, 0);
}

TEST(Call, TakesEverySamplingField) {
  const auto call = completion(
      R"("temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "seed": -5, "n": 2,
         "presence_penalty": 1, "frequency_penalty": -1, "repetition_penalty": 1.1,
         "stop": ["a", "b"], "stop_token_ids": [7], "min_tokens": 3, "ignore_eos": true,
         "logit_bias": {"5": -100, "6": 1.5}, "skip_special_tokens": false, "priority": -3,
         "include_stop_str_in_output": true, "cache_salt": "s", "logprobs": 2, "max_tokens": 9)");
  ASSERT_TRUE(call) << call.error().message;
  const request::SamplingParams& sampling = call->call.sampling;
  EXPECT_FLOAT_EQ(sampling.temperature, 0.7f);
  EXPECT_EQ(sampling.seed, static_cast<uint64_t>(-5));
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_FLOAT_EQ(sampling.min_p, 0.05f);
  EXPECT_THAT(sampling.stop, ElementsAre("a", "b"));
  EXPECT_THAT(sampling.stop_token_ids, ElementsAre(7));
  EXPECT_THAT(sampling.logit_bias, ElementsAre(Pair(5, -100.0f), Pair(6, 1.5f)));
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_TRUE(sampling.include_stop_str_in_output);
  EXPECT_FALSE(sampling.skip_special_tokens);
  EXPECT_EQ(sampling.logprobs, 2);
  EXPECT_EQ(call->call.priority, -3);
  EXPECT_EQ(call->call.max_tokens, 9);
}

TEST(Call, TakesWhoAsksAndHowUrgently) {
  const auto call = completion(R"("service_class": "batch", "timeout_s": 2.5, "user": "ann")");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->call.service_class, request::ServiceClass::kBatch);
  EXPECT_EQ(call->call.timeout_s, 2.5);
  EXPECT_EQ(call->call.user, "ann");
  const auto silent =
      completion(R"("service_class": null, "user": "", "safety_identifier": "bob")");
  ASSERT_TRUE(silent) << silent.error().message;
  EXPECT_EQ(silent->call.service_class, std::nullopt);
  EXPECT_EQ(silent->call.timeout_s, std::nullopt);
  EXPECT_EQ(silent->call.user, "bob");
}

TEST(Call, AWrongServiceClassIsToldWhatIsAllowed) {
  const auto call = completion(R"("service_class": "urgent")");
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().message,
            "service_class is \"urgent\", must be \"interactive\", \"standard\" or \"batch\"");
}

TEST(Call, RefusesWrongValuesByName) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"("temperature": -0.1)", "temperature"},
      {R"("temperature": "1")", "temperature"},
      {R"("temperature": 1e400)", "temperature"},
      {R"("top_p": 0)", "top_p"},
      {R"("top_p": 1e-60)", "top_p"},
      {R"("top_p": 1.01)", "top_p"},
      {R"("top_k": -2)", "top_k"},
      {R"("top_k": 1.5)", "top_k"},
      {R"("min_p": 2)", "min_p"},
      {R"("presence_penalty": 3)", "presence_penalty"},
      {R"("frequency_penalty": -3)", "frequency_penalty"},
      {R"("repetition_penalty": 0)", "repetition_penalty"},
      {R"("n": 0)", "n"},
      {R"("n": 100000)", "n"},
      {R"("n": 2, "temperature": 0)", "n"},
      {R"("max_tokens": 0)", "max_tokens"},
      {R"("max_tokens": -1)", "max_tokens"},
      {R"("min_tokens": -1)", "min_tokens"},
      {R"("seed": 9223372036854775808)", "seed"},
      {R"("stop": ["a", ""])", "stop"},
      {R"("stop": ["1", "2", "3", "4", "5"])", "stop"},
      {R"("stop": 5)", "stop"},
      {R"("stop_token_ids": [1000])", "stop_token_ids"},
      {R"("logit_bias": {"1000": 1})", "logit_bias"},
      {R"("logit_bias": {"x": 1})", "logit_bias"},
      {R"("logit_bias": {"1": 101})", "logit_bias"},
      {R"("logit_bias": [1])", "logit_bias"},
      {R"("logprobs": 21)", "logprobs"},
      {R"("logprobs": -1)", "logprobs"},
      {R"("prompt_logprobs": 1, "stream": true)", "prompt_logprobs"},
      {R"("stream": 1)", "stream"},
      {R"("stream_options": {"include_usage": true})", "stream_options"},
      {R"("stream": true, "stream_options": {"include_usage": 1})", "stream_options"},
      {R"("cache_salt": "")", "cache_salt"},
      {R"("truncate_prompt_tokens": 0)", "truncate_prompt_tokens"},
      {R"("truncate_prompt_tokens": 101)", "truncate_prompt_tokens"},
      {R"("truncation_side": "middle")", "truncation_side"},
      {R"("priority": 3000000000)", "priority"},
      {R"("service_class": "urgent")", "service_class"},
      {R"("service_class": 1)", "service_class"},
      {R"("timeout_s": 0)", "timeout_s"},
      {R"("timeout_s": 86401)", "timeout_s"},
      {R"("timeout_s": "5")", "timeout_s"},
      {R"("user": 5)", "user"},
      {R"("safety_identifier": {})", "safety_identifier"},
      {R"("suffix": "x")", "suffix"},
      {R"("use_beam_search": true)", "use_beam_search"},
      {R"("response_format": {"type": "json_object"})", "response_format"},
      {R"("response_format": {})", "response_format"},
      {R"("structured_outputs": {"regex": "a"})", "structured_outputs"},
      {R"("bad_words": ["x"])", "bad_words"},
      {R"("allowed_token_ids": [1])", "allowed_token_ids"},
  };
  for (const auto& [fields, param] : cases)
    EXPECT_EQ(param_of(fields), param) << fields;
}

TEST(Call, AcceptsWhatClientsSendWithoutMeaning) {
  EXPECT_EQ(param_of(R"("response_format": {"type": "text"}, "user": "u", "logprobs": null,
                         "bad_words": [], "use_beam_search": false, "suffix": "", "best_of": 1,
                         "length_penalty": 1.0, "spaces_between_special_tokens": true)"),
            "");
}

TEST(CompletionCall, TakesPromptsInAllFourForms) {
  const auto prompts = [](const std::string& json) {
    const auto object = *parse_json_object("{\"prompt\": " + json + "}");
    return read_completion_call(object, kLimits);
  };
  EXPECT_EQ(std::get<std::string>(prompts(R"("a")")->prompts.at(0)), "a");
  EXPECT_EQ(prompts(R"(["a", "b"])")->prompts.size(), 2u);
  EXPECT_THAT(std::get<1>(prompts("[1, 2]")->prompts.at(0)), ElementsAre(1, 2));
  EXPECT_THAT(std::get<1>(prompts("[[1], [2, 3]]")->prompts.at(1)), ElementsAre(2, 3));
  for (const char* wrong : {"null", "[]", "{}", "7", "[\"a\", 1]", "[1, \"a\"]", "[[1], \"a\"]",
                            "[1000]", "[[-1]]", "[[\"a\"]]", "[null]", "[{}]", "[1.5]"}) {
    const auto refused = prompts(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().param, "prompt");
  }
  std::string many = "[";
  for (int i = 0; i < 1025; ++i)
    many += i == 0 ? "\"a\"" : ",\"a\"";
  EXPECT_THAT(prompts(many + "]").error().message, HasSubstr("1024"));
}

TEST(CompletionCall, EchoWithoutAnswerAsksForOneTokenAndPromptLogprobs) {
  const auto call = completion(R"("echo": true, "max_tokens": 0, "logprobs": 1)");
  ASSERT_TRUE(call);
  EXPECT_TRUE(call->call.is_echo_only);
  EXPECT_EQ(call->call.max_tokens, 1);
  EXPECT_EQ(call->call.sampling.prompt_logprobs, 1);
}

TEST(ChatCall, JoinsTextPartsAndOpensToolArguments) {
  const auto object = *parse_json_object(R"({"messages": [
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "assistant", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
      {"role": "tool", "content": null, "tool_call_id": "1"}]})");
  const auto call = read_chat_call(object, kLimits);
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->messages[0].at("content"), "a\nb");
  EXPECT_EQ(call->messages[1].at("content"), "");
  EXPECT_EQ(call->messages[1].at("tool_calls").at(0).at("function").at("arguments").at("x"), 1);
  EXPECT_EQ(call->messages[2].at("tool_call_id"), "1");
}

TEST(ChatCall, ReadsTemplateVariablesAndLogprobs) {
  const auto call = chat_call(
      R"("chat_template_kwargs": {"enable_thinking": false, "messages": []},
         "documents": [{"a": 1}],
         "reasoning_effort": "low", "logprobs": true, "top_logprobs": 3, "max_tokens": 5,
         "max_completion_tokens": 6, "tools": [{"type": "function"}], "tool_choice": "auto")");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->template_variables.at("enable_thinking"), false);
  EXPECT_FALSE(call->template_variables.contains("messages"));
  EXPECT_EQ(call->template_variables.at("reasoning_effort"), "low");
  EXPECT_EQ(call->call.sampling.logprobs, 3);
  EXPECT_EQ(call->call.max_tokens, 6);
  EXPECT_TRUE(call->tools.is_array());
  EXPECT_FALSE(call->call.add_special_tokens);
}

TEST(ChatCall, RefusesWrongMessagesAndFields) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({})", "messages"},
      {R"({"messages": []})", "messages"},
      {R"({"messages": "hi"})", "messages"},
      {R"({"messages": [1]})", "messages"},
      {R"({"messages": [{"content": "x"}]})", "messages"},
      {R"({"messages": [{"role": 1, "content": "x"}]})", "messages"},
      {R"({"messages": [{"role": "user", "content": 5}]})", "messages"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})", "messages"},
      {R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})", "messages"},
      {R"({"messages": [{"role": "user", "content": [7]}]})", "messages"},
      {R"({"messages": [{"role": "assistant", "tool_calls": 1}]})", "messages"},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{}]}]})", "messages"},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "["}}]}]})",
       "messages"},
      {R"({"messages": [{"role": "user"}], "tools": []})", "tools"},
      {R"({"messages": [{"role": "user"}], "tools": [1]})", "tools"},
      {R"({"messages": [{"role": "user"}], "tool_choice": "required"})", "tool_choice"},
      {R"({"messages": [{"role": "user"}], "tool_choice": {"type": "function"}})", "tool_choice"},
      {R"({"messages": [{"role": "user"}], "top_logprobs": 2})", "top_logprobs"},
      {R"({"messages": [{"role": "user"}], "logprobs": 2})", "logprobs"},
      {R"({"messages": [{"role": "user"}], "max_tokens": 0})", "max_tokens"},
      {R"({"messages": [{"role": "user"}], "chat_template": "x"})", "chat_template"},
      {R"({"messages": [{"role": "user"}], "continue_final_message": true,
           "add_generation_prompt": true})",
       "continue_final_message"},
  };
  for (const auto& [body, param] : cases) {
    const auto call = read_chat_call(*parse_json_object(body), kLimits);
    ASSERT_FALSE(call) << body;
    EXPECT_EQ(call.error().param, param) << body;
  }
}

// "A, B, C" of `count` texts that `make` gives.
std::string joined(int count, const std::function<std::string(int)>& make) {
  std::string out;
  for (int i = 0; i < count; ++i)
    out += (i == 0 ? "" : ", ") + make(i);
  return out;
}

TEST(Call, ASequenceCountAboveTheLimitIsRefused) {
  const auto prompts = [](int count, int n) {
    const auto object =
        parse_json_object(R"({"prompt": [)" + joined(count, [](int) { return R"("p")"; }) +
                          fmt::format(R"(], "n": {}}})", n));
    return read_completion_call(*object, kLimits);
  };
  EXPECT_TRUE(prompts(512, 2));
  const auto refused = prompts(1024, 16384);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kInvalid);
  EXPECT_EQ(refused.error().param, "n");
  EXPECT_THAT(refused.error().message, HasSubstr("n is 16384"));
  EXPECT_THAT(refused.error().message, HasSubstr("16777216 sequences"));
  EXPECT_THAT(refused.error().message, HasSubstr("at most 1024"));
  EXPECT_TRUE(chat_call(R"("n": 1024)"));
  EXPECT_EQ(chat_call(R"("n": 1025)").error().param, "n");
}

TEST(Call, ListsOfTokensAreBounded) {
  CallLimits limits = kLimits;
  limits.vocab_size = 5000;
  const auto read = [&](const std::string& fields) {
    return read_completion_call(*parse_json_object(R"({"prompt": "p", )" + fields + "}"), limits);
  };
  const auto stops = [&](int count, int distinct) {
    return read(
        R"("stop_token_ids": [)" +
        joined(count, [&](int i) { return fmt::format("{}", distinct - 1 - i % distinct); }) + "]");
  };
  EXPECT_THAT(stops(4000, 3)->call.sampling.stop_token_ids, ElementsAre(0, 1, 2));
  EXPECT_TRUE(stops(1024, 1024));
  EXPECT_EQ(stops(1025, 1025).error().param, "stop_token_ids");
  EXPECT_THAT(stops(1025, 1025).error().message, HasSubstr("at most 1024"));
  const auto biases = [&](int count) {
    return read(R"("logit_bias": {)" +
                joined(count, [](int i) { return fmt::format("\"{}\": 1", i); }) + "}");
  };
  EXPECT_TRUE(biases(1024));
  EXPECT_EQ(biases(1025).error().param, "logit_bias");
  EXPECT_THAT(biases(1025).error().message, HasSubstr("at most 1024"));
}

}  // namespace
}  // namespace inferno::serve
