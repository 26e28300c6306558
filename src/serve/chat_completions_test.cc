#include "serve/chat_completions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/api_fixture.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

constexpr const char* kChatPath = "/v1/chat/completions";

class ChatCompletions : public ApiServerTest {
 protected:
  // A body with one user message "hi" and some more fields.
  static std::string body(const std::string& fields = R"("max_tokens": 3)") {
    return R"({"messages": [{"role": "user", "content": "hi"}], )" + fields + "}";
  }
  std::string last_prompt() {
    return tokenizer_->decode(generator_.requests().back().prompt, {.skip_special = false});
  }
};

TEST_F(ChatCompletions, AnswerHasOpenAisShape) {
  start();
  const json::value out = answer(kChatPath, body());
  EXPECT_TRUE(out.at("id").as_string().starts_with("chatcmpl-"));
  EXPECT_EQ(out.at("object"), "chat.completion");
  EXPECT_EQ(out.at("model"), "first");
  const json::value& choice = out.at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("role"), "assistant");
  EXPECT_EQ(choice.at("message").at("content"), "abc");
  EXPECT_EQ(choice.at("message").at("tool_calls").as_array().size(), 0u);
  EXPECT_EQ(choice.at("finish_reason"), "length");
  EXPECT_EQ(out.at("usage").at("completion_tokens"), 3);
}

TEST_F(ChatCompletions, TheTemplatesSpecialTokensBecomeTokens) {
  start();
  answer(kChatPath, body());
  EXPECT_EQ(last_prompt(), "<|start|>user\nhi<|end|><|start|>assistant\n");
  EXPECT_EQ(generator_.requests().back().prompt.front(), 256);
}

TEST_F(ChatCompletions, WithoutMaxTokensTheAnswerMayFillTheContext) {
  start();
  answer(kChatPath, body("\"user\": \"u\""));
  const request::Request request = generator_.requests().back();
  EXPECT_EQ(request.sampling.max_tokens, 200 - static_cast<int>(request.prompt.size()));
}

TEST_F(ChatCompletions, StreamsRoleThenTextThenFinish) {
  start();
  const auto chunks = stream(kChatPath, body(R"("max_tokens": 2, "stream": true,
                                           "stream_options": {"include_usage": true})"));
  ASSERT_EQ(chunks.size(), 4u);
  for (const json::value& chunk : chunks)
    EXPECT_EQ(chunk.at("object"), "chat.completion.chunk");
  EXPECT_EQ(chunks[0].at("choices").at(0).at("delta").at("role"), "assistant");
  EXPECT_EQ(chunks[0].at("choices").at(0).at("delta").at("content"), "");
  EXPECT_EQ(chunks[1].at("choices").at(0).at("delta").at("content"), "a");
  EXPECT_TRUE(chunks[1].at("choices").at(0).at("finish_reason").is_null());
  EXPECT_EQ(chunks[2].at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(chunks[3].at("choices").as_array().size(), 0u);
  EXPECT_EQ(chunks[3].at("usage").at("completion_tokens"), 2);
}

TEST_F(ChatCompletions, StreamsTheRoleOfEveryChoiceFirst) {
  start();
  const auto chunks = stream(kChatPath, body(R"("n": 2, "max_tokens": 1, "stream": true)"));
  ASSERT_EQ(chunks.size(), 4u);
  EXPECT_EQ(chunks[0].at("choices").at(0).at("index"), 0);
  EXPECT_EQ(chunks[1].at("choices").at(0).at("index"), 1);
  EXPECT_EQ(chunks[1].at("choices").at(0).at("delta").at("role"), "assistant");
}

TEST_F(ChatCompletions, StreamHeadersForbidBuffering) {
  start();
  const net::TestResponse response = post(kChatPath, body(R"("max_tokens": 1, "stream": true)"));
  EXPECT_THAT(response.head, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(response.head, HasSubstr("Cache-Control: no-cache"));
}

TEST_F(ChatCompletions, LogprobsTellTokensBytesAndAlternatives) {
  start();
  const std::string fields = R"("max_tokens": 1, "logprobs": true, "top_logprobs": 2)";
  const json::value whole = answer(kChatPath, body(fields));
  const auto chunks = stream(kChatPath, body(fields + R"(, "stream": true)"));
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_TRUE(chunks[0].at("choices").at(0).at("logprobs").is_null());
  for (const json::value* choice : {&whole.at("choices").at(0), &chunks[1].at("choices").at(0)}) {
    const json::value& token = choice->at("logprobs").at("content").at(0);
    EXPECT_EQ(token.at("token"), "a");
    EXPECT_EQ(token.at("logprob").as_double(), -1.0);
    EXPECT_EQ(json::serialize(token.at("bytes")), "[97]");
    ASSERT_EQ(token.at("top_logprobs").as_array().size(), 2u);
    EXPECT_EQ(token.at("top_logprobs").at(1).at("token"), "B");
  }
}

TEST_F(ChatCompletions, TellsTokenIdsWhenAsked) {
  start();
  const json::value out = answer(kChatPath, body(R"("max_tokens": 2, "return_token_ids": true)"));
  EXPECT_EQ(json::serialize(out.at("choices").at(0).at("token_ids")), "[97,98]");
  EXPECT_EQ(out.at("prompt_token_ids").at(0), 256);
  const auto chunks =
      stream(kChatPath, body(R"("max_tokens": 2, "return_token_ids": true, "stream": true)"));
  EXPECT_EQ(chunks[0].at("prompt_token_ids").at(0), 256);
  EXPECT_EQ(json::serialize(chunks[1].at("choices").at(0).at("token_ids")), "[97]");
}

TEST_F(ChatCompletions, TellsPromptLogprobsWhenAsked) {
  start();
  const json::value out = answer(kChatPath, body(R"("max_tokens": 2, "prompt_logprobs": 1)"));
  const json::array& logprobs = out.at("prompt_logprobs").as_array();
  ASSERT_EQ(logprobs.size(), generator_.requests().back().prompt.size());
  EXPECT_TRUE(logprobs[0].is_null());
  EXPECT_EQ(logprobs[1].at("117").at("rank"), 1);
}

TEST_F(ChatCompletions, ContinuesTheFinalMessage) {
  start();
  const json::value out = answer(kChatPath, R"({"messages": [{"role": "user", "content": "hi"},
      {"role": "assistant", "content": "Well, "}], "continue_final_message": true, "echo": true,
      "max_tokens": 1})");
  EXPECT_EQ(last_prompt(), "<|start|>user\nhi<|end|><|start|>assistant\nWell, ");
  EXPECT_EQ(out.at("choices").at(0).at("message").at("content"), "Well, a");
}

TEST_F(ChatCompletions, AddGenerationPromptCanBeLeftOut) {
  start();
  answer(kChatPath, body(R"("add_generation_prompt": false, "max_tokens": 1)"));
  EXPECT_EQ(last_prompt(), "<|start|>user\nhi<|end|>");
}

TEST_F(ChatCompletions, TheTemplatesRefusalIsTheClientsError) {
  start();
  const json::value error =
      refusal(400, kChatPath, R"({"messages": [{"role": "refused", "content": "x"}]})");
  EXPECT_EQ(error.at("param"), "messages");
  EXPECT_THAT(std::string(error.at("message").as_string()), HasSubstr("no such role"));
}

TEST_F(ChatCompletions, AModelWithoutTemplateRefusesWithTheReason) {
  has_template_ = false;
  start();
  EXPECT_THAT(std::string(refusal(400, kChatPath, body()).at("message").as_string()),
              HasSubstr("no chat template"));
}

TEST_F(ChatCompletions, StopWhileStreamingEndsTheStreamAndCancels) {
  start();
  generator_.hold();
  net::TestClient client(server_->port());
  client.request("POST", kChatPath, body(R"("stream": true)"));
  ASSERT_TRUE(generator_.wait_for_requests(1));
  server_->stop(std::chrono::milliseconds(50));
  EXPECT_TRUE(generator_.wait_for_cancels(1));
  EXPECT_EQ(client.read().status, 0);
}

}  // namespace
}  // namespace inferno::serve
