#include "serve/completions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/api_fixture.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kCompletionsPath = "/v1/completions";

class Completions : public ApiServerTest {};

TEST_F(Completions, AnswerHasOpenAisShape) {
  start();
  const json::value out =
      answer(kCompletionsPath, R"({"model": "first", "prompt": "hi", "max_tokens": 3})");
  EXPECT_TRUE(out.at("id").as_string().starts_with("cmpl-"));
  EXPECT_EQ(out.at("object"), "text_completion");
  EXPECT_EQ(out.at("model"), "first");
  EXPECT_GT(out.at("created").as_int64(), 1'700'000'000);
  const json::value& choice = out.at("choices").at(0);
  EXPECT_EQ(choice.at("text"), "abc");
  EXPECT_EQ(choice.at("index"), 0);
  EXPECT_EQ(choice.at("finish_reason"), "length");
  EXPECT_TRUE(choice.at("logprobs").is_null());
  EXPECT_TRUE(choice.at("stop_reason").is_null());
  EXPECT_TRUE(choice.at("token_ids").is_null());
  EXPECT_EQ(out.at("usage").at("prompt_tokens"), 2);
  EXPECT_EQ(out.at("usage").at("completion_tokens"), 3);
  EXPECT_EQ(out.at("usage").at("total_tokens"), 5);
}

TEST_F(Completions, DefaultLengthIsSixteenTokens) {
  start();
  answer(kCompletionsPath, R"({"prompt": "hi"})");
  answer(kCompletionsPath, "{\"prompt\": \"" + std::string(195, 'x') + "\"}");
  EXPECT_EQ(generator_.requests().at(0).sampling.max_tokens, 16);
  EXPECT_EQ(generator_.requests().at(1).sampling.max_tokens, 5);
}

TEST_F(Completions, TakesTokenIdsAndEchoesTheirText) {
  start();
  const json::value out =
      answer(kCompletionsPath,
             R"({"prompt": [104, 105], "max_tokens": 1, "echo": true, "return_token_ids": true})");
  EXPECT_EQ(out.at("choices").at(0).at("text"), "hia");
  EXPECT_EQ(json::serialize(out.at("choices").at(0).at("prompt_token_ids")), "[104,105]");
  EXPECT_EQ(json::serialize(out.at("choices").at(0).at("token_ids")), "[97]");
}

TEST_F(Completions, ManyPromptsAndChoicesAreNumberedPromptByPrompt) {
  takes_priority_ = true;
  start();
  const json::value out =
      answer(kCompletionsPath,
             R"({"prompt": ["a", "bb"], "n": 2, "max_tokens": 2, "seed": 10, "priority": 4,
                 "cache_salt": "s", "request_id": "mine"})");
  EXPECT_EQ(out.at("id"), "cmpl-mine");
  ASSERT_EQ(out.at("choices").as_array().size(), 4u);
  EXPECT_EQ(out.at("usage").at("prompt_tokens"), 3);
  EXPECT_EQ(out.at("usage").at("completion_tokens"), 8);
  const auto requests = generator_.requests();
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_EQ(requests[1].prompt.size(), 1u);
  EXPECT_EQ(requests[2].prompt.size(), 2u);
  EXPECT_EQ(requests[2].sampling.seed, 10u);
  EXPECT_EQ(requests[3].sampling.seed, 11u);
  EXPECT_EQ(requests[3].priority, 4);
  EXPECT_EQ(requests[3].cache_salt, "s");
  EXPECT_EQ(requests[3].external_id, "cmpl-mine");
}

TEST_F(Completions, LogprobsAreParallelLists) {
  start();
  const json::value out =
      answer(kCompletionsPath, R"({"prompt": "hi", "max_tokens": 2, "logprobs": 2})");
  const json::value& logprobs = out.at("choices").at(0).at("logprobs");
  EXPECT_EQ(json::serialize(logprobs.at("tokens")), R"(["a","b"])");
  EXPECT_EQ(json::serialize(logprobs.at("text_offset")), "[0,1]");
  EXPECT_EQ(logprobs.at("token_logprobs").at(1).as_double(), -2.0);
  const json::object& top = logprobs.at("top_logprobs").at(0).as_object();
  EXPECT_EQ(top.size(), 3u);
  EXPECT_EQ(top.at("a").as_double(), -1.0);
  EXPECT_EQ(top.at("A").as_double(), -0.25);
  EXPECT_EQ(top.at("B").as_double(), -0.5);
}

TEST_F(Completions, EchoedPromptHasLogprobsFromItsSecondToken) {
  start();
  const json::value out =
      answer(kCompletionsPath, R"({"prompt": "hi", "max_tokens": 1, "logprobs": 0, "echo": true})");
  const json::value& choice = out.at("choices").at(0);
  EXPECT_EQ(choice.at("text"), "hia");
  const json::value& logprobs = choice.at("logprobs");
  EXPECT_EQ(json::serialize(logprobs.at("tokens")), R"(["h","i","a"])");
  EXPECT_EQ(json::serialize(logprobs.at("text_offset")), "[0,1,2]");
  EXPECT_TRUE(logprobs.at("token_logprobs").at(0).is_null());
  EXPECT_TRUE(logprobs.at("top_logprobs").at(0).is_null());
  EXPECT_EQ(logprobs.at("token_logprobs").at(1).as_double(), -0.5);
  EXPECT_TRUE(choice.at("prompt_logprobs").at(0).is_null());
  EXPECT_EQ(choice.at("prompt_logprobs").at(1).at("105").at("decoded_token"), "i");
}

TEST_F(Completions, EchoOnlyGivesBackThePromptWithoutAnAnswer) {
  start();
  const json::value out =
      answer(kCompletionsPath, R"({"prompt": "hi", "max_tokens": 0, "logprobs": 0, "echo": true})");
  EXPECT_EQ(out.at("choices").at(0).at("text"), "hi");
  EXPECT_EQ(out.at("choices").at(0).at("logprobs").at("tokens").as_array().size(), 2u);
}

TEST_F(Completions, TokensCanBeSpelledAsIds) {
  start();
  const json::value out = answer(
      kCompletionsPath,
      R"({"prompt": "hi", "max_tokens": 1, "logprobs": 0, "return_tokens_as_token_ids": true})");
  EXPECT_EQ(out.at("choices").at(0).at("logprobs").at("tokens").at(0), "token_id:97");
}

TEST_F(Completions, AStopStringIsToldAsStopReason) {
  start();
  const json::value out = answer(kCompletionsPath, R"({"prompt": "hi", "stop": "c"})");
  EXPECT_EQ(out.at("choices").at(0).at("text"), "ab");
  EXPECT_EQ(out.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(out.at("choices").at(0).at("stop_reason"), "c");
}

TEST_F(Completions, StreamsAChunkPerEventAndUsageOnRequest) {
  start();
  const auto chunks = stream(kCompletionsPath, R"({"prompt": "hi", "max_tokens": 3, "stream": true,
      "logprobs": 0, "stream_options": {"include_usage": true, "continuous_usage_stats": true}})");
  ASSERT_EQ(chunks.size(), 4u);
  std::string text;
  for (int i = 0; i < 3; ++i) {
    text += chunks[static_cast<size_t>(i)].at("choices").at(0).at("text").as_string();
    EXPECT_EQ(chunks[static_cast<size_t>(i)].at("usage").at("completion_tokens"), i + 1);
    EXPECT_EQ(
        chunks[static_cast<size_t>(i)].at("choices").at(0).at("logprobs").at("text_offset").at(0),
        i);
    EXPECT_EQ(chunks[static_cast<size_t>(i)].at("id"), chunks[0].at("id"));
  }
  EXPECT_EQ(text, "abc");
  EXPECT_TRUE(chunks[1].at("choices").at(0).at("finish_reason").is_null());
  EXPECT_EQ(chunks[2].at("choices").at(0).at("finish_reason"), "length");
  EXPECT_THAT(chunks[3].at("choices").as_array(), IsEmpty());
  EXPECT_EQ(chunks[3].at("usage").at("total_tokens"), 5);
}

TEST_F(Completions, StreamsEchoAndIdsWithTheFirstChunkOfEachChoice) {
  start();
  const auto chunks =
      stream(kCompletionsPath, R"({"prompt": ["p", "q"], "max_tokens": 2, "stream": true,
                                       "echo": true, "return_token_ids": true})");
  std::map<int64_t, std::string> texts;
  int with_prompt_count = 0;
  for (const json::value& chunk : chunks) {
    const json::value& choice = chunk.at("choices").at(0);
    texts[choice.at("index").as_int64()] += choice.at("text").as_string();
    with_prompt_count += choice.as_object().contains("prompt_token_ids");
    EXPECT_EQ(choice.at("token_ids").as_array().size(), 1u);
  }
  EXPECT_EQ(texts[0], "pab");
  EXPECT_EQ(texts[1], "qab");
  EXPECT_EQ(with_prompt_count, 2);
}

TEST_F(Completions, HeldBackTextMakesNoEmptyChunks) {
  generator_.set_script([](const request::Request&) {
    std::vector<request::TokenEvent> events(4);
    for (auto& event : events)
      event.tokens.resize(1);
    events[3].text = "all at once";
    events[3].finish = request::FinishReason::kStop;
    return events;
  });
  start();
  const auto chunks = stream(kCompletionsPath, R"({"prompt": "p", "stream": true})");
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].at("choices").at(0).at("text"), "all at once");
}

TEST_F(Completions, TruncatesThePromptOnTheWantedSide) {
  start();
  answer(kCompletionsPath, R"({"prompt": "abcdef", "truncate_prompt_tokens": 2})");
  answer(kCompletionsPath,
         R"({"prompt": "abcdef", "truncate_prompt_tokens": 2, "truncation_side": "right"})");
  answer(kCompletionsPath, "{\"max_tokens\": 10, \"truncate_prompt_tokens\": -1, \"prompt\": \"" +
                               std::string(300, 'x') + "\"}");
  EXPECT_THAT(generator_.requests().at(0).prompt, ElementsAre('e', 'f'));
  EXPECT_THAT(generator_.requests().at(1).prompt, ElementsAre('a', 'b'));
  EXPECT_EQ(generator_.requests().at(2).prompt.size(), 190u);
}

TEST_F(Completions, RefusesWhatDoesNotFitWithItsNumbers) {
  start();
  json::value error =
      refusal(400, kCompletionsPath, "{\"prompt\": \"" + std::string(200, 'x') + "\"}");
  EXPECT_EQ(error.at("param"), "prompt");
  EXPECT_THAT(std::string(error.at("message").as_string()), HasSubstr("200 tokens"));
  error = refusal(400, kCompletionsPath, R"({"prompt": "hi", "max_tokens": 199})");
  EXPECT_EQ(error.at("param"), "max_tokens");
  EXPECT_THAT(std::string(error.at("message").as_string()), HasSubstr("198"));
  error = refusal(400, kCompletionsPath, R"({"prompt": "hi", "max_tokens": 5, "min_tokens": 6})");
  EXPECT_EQ(error.at("param"), "min_tokens");
  EXPECT_EQ(refusal(400, kCompletionsPath, R"({"prompt": ""})").at("param"), "prompt");
  EXPECT_EQ(refusal(400, kCompletionsPath, R"({"prompt": [[]]})").at("param"), "prompt");
  const std::string huge = "{\"prompt\": \"" + std::string(1 << 20, 'x') + "\"}";
  EXPECT_THAT(std::string(refusal(400, kCompletionsPath, huge).at("message").as_string()),
              HasSubstr("bytes"));
  EXPECT_THAT(generator_.requests(), IsEmpty());
}

TEST_F(Completions, RefusalsOfTheGeneratorBecomeStatuses) {
  start();
  generator_.refuse({Fault::kOverloaded, "the queue is full: 128 requests", ""});
  const net::TestResponse full = post(kCompletionsPath, R"({"prompt": "hi", "stream": true})");
  EXPECT_EQ(full.status, 429);
  EXPECT_THAT(full.head, HasSubstr("Retry-After: 1"));
  EXPECT_THAT(full.body, HasSubstr("TooManyRequestsError"));
  generator_.refuse({Fault::kInternal, "broken", ""});
  EXPECT_EQ(refusal(500, kCompletionsPath, R"({"prompt": "hi"})").at("type"),
            "InternalServerError");
}

TEST_F(Completions, ARefusedChoiceCancelsThoseBeforeIt) {
  start();
  generator_.hold();
  generator_.refuse({Fault::kOverloaded, "full", ""}, 2);
  EXPECT_EQ(post(kCompletionsPath, R"({"prompt": "hi", "n": 3})").status, 429);
  EXPECT_TRUE(generator_.wait_for_cancels(2));
}

TEST_F(Completions, AFailureBecomesAStatusOrAnErrorChunk) {
  generator_.set_script([](const request::Request&) {
    std::vector<request::TokenEvent> events(2);
    events[0].text = "a";
    events[1].finish = request::FinishReason::kError;
    events[1].error = Error{Fault::kInternal, "the engine broke", ""};
    return events;
  });
  start();
  EXPECT_EQ(refusal(500, kCompletionsPath, R"({"prompt": "hi"})").at("message"),
            "the engine broke");
  const auto chunks = stream(kCompletionsPath, R"({"prompt": "hi", "stream": true})");
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[1].at("error").at("code"), 500);
}

TEST_F(Completions, AClientThatLeavesCancelsAllItsSequences) {
  start();
  generator_.hold();
  for (const char* body :
       {R"({"prompt": "hi", "n": 3, "stream": true})", R"({"prompt": "hi", "n": 3})"}) {
    const size_t before = generator_.requests().size();
    net::TestClient client(server_->port());
    client.request("POST", kCompletionsPath, body);
    ASSERT_TRUE(generator_.wait_for_requests(before + 3));
    client.close();
    EXPECT_TRUE(generator_.wait_for_cancels(before + 3));
  }
  while (
      metric(
          "vllm:request_success_total{model_name=\"first\",engine=\"0\",finished_reason=\"abort\"}")
          .value_or(0) < 6) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_F(Completions, HeadersNameAndRankTheRequest) {
  takes_priority_ = true;
  start();
  const net::TestResponse response = post(kCompletionsPath, R"({"prompt": "hi", "priority": 1})",
                                          "X-Request-Id: abc\r\nX-Vllm-Priority: 9\r\n");
  EXPECT_EQ(json::parse(response.body).at("id"), "cmpl-abc");
  EXPECT_EQ(generator_.requests().at(0).priority, 9);
  EXPECT_EQ(post(kCompletionsPath, R"({"prompt": "hi"})", "X-Vllm-Priority: high\r\n").status, 400);
  const net::TestResponse odd =
      post(kCompletionsPath, R"({"prompt": "hi"})", "X-Request-Id: \xff\xfe\r\n");
  EXPECT_TRUE(json::parse(odd.body).at("id").as_string().starts_with("cmpl-"));
}

TEST_F(Completions, APriorityIsRefusedWhereNobodyGoesByIt) {
  start();
  for (const char* body :
       {R"({"prompt": "hi", "priority": -1})", R"({"prompt": "a", "priority": 7})"}) {
    const json::value error = refusal(400, kCompletionsPath, body);
    EXPECT_EQ(error.at("param"), "priority");
    EXPECT_THAT(std::string(error.at("message").as_string()),
                HasSubstr("--scheduling-policy priority"));
  }
  EXPECT_EQ(post(kCompletionsPath, R"({"prompt": "hi"})", "X-Vllm-Priority: -5\r\n").status, 400);
  EXPECT_EQ(post(kCompletionsPath, R"({"prompt": "hi", "priority": 0})").status, 200);
  EXPECT_EQ(
      post(kCompletionsPath, R"({"prompt": "hi", "priority": 3})", "X-Vllm-Priority: 0\r\n").status,
      200)
      << "the header wins";
  EXPECT_EQ(generator_.requests().size(), 2u);
}

TEST_F(Completions, CarryClassDeadlineAndClientToTheGenerator) {
  start();
  const char* key = "Authorization: Bearer secret\r\n";
  post(kCompletionsPath, R"({"prompt": "hi", "service_class": "batch", "timeout_s": 60})", key);
  post(kCompletionsPath, R"({"prompt": "hi", "service_class": "batch", "user": "ann"})",
       "X-Service-Class: interactive\r\nX-Request-Timeout-S: 30\r\n");
  post(kCompletionsPath, R"({"prompt": "hi"})");
  const auto requests = generator_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].service_class, request::ServiceClass::kBatch);
  EXPECT_EQ(requests[1].service_class, request::ServiceClass::kInteractive);
  EXPECT_EQ(requests[2].service_class, std::nullopt);
  EXPECT_EQ(requests[0].deadline, after_seconds(requests[0].arrival, 60));
  EXPECT_EQ(requests[1].deadline, after_seconds(requests[1].arrival, 30));
  EXPECT_EQ(requests[2].deadline, std::nullopt);
  EXPECT_EQ(requests[0].client.size(), 32u);
  EXPECT_NE(requests[0].client, requests[1].client);
  EXPECT_EQ(requests[2].client, "");
}

TEST_F(Completions, OverloadTellsWhenToComeBack) {
  start();
  generator_.refuse({Fault::kOverloaded, "1000 requests wait, limit 1000", "", 12.2});
  for (const char* body : {R"({"prompt": "hi"})", R"({"prompt": "hi", "stream": true})"}) {
    const net::TestResponse response = post(kCompletionsPath, body);
    EXPECT_EQ(response.status, 429);
    EXPECT_EQ(header_of(response, "Retry-After"), "13");
  }
}

TEST_F(Completions, ADeadlineThatTheLoadForbidsIs429AndOneThatPassedIs504) {
  start();
  generator_.refuse({Fault::kDeadline, "the first token would come in 90 s", "", 40.0});
  const net::TestResponse refused = post(kCompletionsPath, R"({"prompt": "hi", "timeout_s": 60})");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(header_of(refused, "Retry-After"), "40");
  const net::TestResponse passed = post(kCompletionsPath, R"({"prompt": "hi", "timeout_s": 1e-9})");
  EXPECT_EQ(passed.status, 504);
  EXPECT_EQ(header_of(passed, "Retry-After"), "");
}

TEST_F(Completions, ALongPromptIsAnsweredAsAShortOne) {
  start();
  const std::string blanks(8000, ' ');
  const std::string body = R"({"prompt": "hi", "max_tokens": 2)" + blanks;
  EXPECT_EQ(answer(kCompletionsPath, body + "}").at("choices").at(0).at("text"), "ab");
  EXPECT_EQ(stream(kCompletionsPath, body + R"(, "stream": true})").size(), 2u);
  EXPECT_EQ(refusal(400, kCompletionsPath, body + R"(, "n": 0})").at("param"), "n");
  refusal(400, kCompletionsPath, body);
}

TEST_F(Completions, ChoicesOfARequestCountOnce) {
  start();
  answer(kCompletionsPath, R"({"prompt": ["a", "b"], "n": 3, "max_tokens": 2})");
  const std::string labels = "{model_name=\"first\",engine=\"0\"}";
  EXPECT_EQ(metric("vllm:request_params_n_count" + labels), 2.0);
  EXPECT_EQ(metric("vllm:request_params_n_sum" + labels), 6.0);
  EXPECT_EQ(metric("vllm:request_max_num_generation_tokens_count" + labels), 2.0);
  EXPECT_EQ(metric("vllm:request_generation_tokens_count" + labels), 6.0);
}

TEST_F(Completions, ATruncatedPromptIsEchoedAsTheModelSawIt) {
  start();
  const json::value out =
      answer(kCompletionsPath, R"({"prompt": "abcdef", "max_tokens": 1, "echo": true,
      "logprobs": 0, "truncate_prompt_tokens": 2})");
  EXPECT_EQ(out.at("choices").at(0).at("text"), "efa");
  EXPECT_EQ(json::serialize(out.at("choices").at(0).at("logprobs").at("text_offset")), "[0,1,2]");
}

TEST_F(Completions, CountsWhatItServes) {
  start();
  answer(kCompletionsPath, R"({"prompt": "hi", "max_tokens": 3})");
  const std::string labels = "{model_name=\"first\",engine=\"0\"}";
  EXPECT_EQ(metric("vllm:prompt_tokens_total" + labels), 2.0);
  EXPECT_EQ(metric("vllm:generation_tokens_total" + labels), 3.0);
  EXPECT_EQ(metric("vllm:time_to_first_token_seconds_count" + labels), 1.0);
  EXPECT_EQ(metric("vllm:inter_token_latency_seconds_count" + labels), 2.0);
  EXPECT_EQ(metric("vllm:e2e_request_latency_seconds_count" + labels), 1.0);
  EXPECT_EQ(metric("vllm:request_params_max_tokens_sum" + labels), 3.0);
  EXPECT_EQ(metric("vllm:request_success_total{model_name=\"first\",engine=\"0\",finished_reason="
                   "\"length\"}"),
            1.0);
}

}  // namespace
}  // namespace inferno::serve
