#include "serve/tokenize.h"

#include <gtest/gtest.h>

#include "serve/api_fixture.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;

using TokenizeRoutes = ApiServerTest;

TEST_F(TokenizeRoutes, TokenizesAsTheEndpointsDo) {
  start();
  const json::value prompt = answer("/tokenize", R"({"prompt": "hi", "return_token_strs": true})");
  EXPECT_EQ(json::serialize(prompt.at("tokens")), "[104,105]");
  EXPECT_EQ(prompt.at("count"), 2);
  EXPECT_EQ(prompt.at("max_model_len"), 200);
  EXPECT_EQ(json::serialize(prompt.at("token_strs")), R"(["h","i"])");
  const json::value chat =
      answer("/tokenize", R"({"messages": [{"role": "user", "content": "hi"}]})");
  EXPECT_EQ(chat.at("tokens").at(0), 256);
  EXPECT_EQ(answer("/detokenize", R"({"tokens": [104, 105, 257]})").at("prompt"), "hi<|end|>");
  EXPECT_EQ(refusal(400, "/tokenize", "{}").at("param"), "prompt");
  EXPECT_EQ(refusal(400, "/tokenize", R"({"messages": []})").at("param"), "messages");
  EXPECT_EQ(refusal(400, "/detokenize", "{}").at("param"), "tokens");
  EXPECT_EQ(refusal(400, "/detokenize", R"({"tokens": [258]})").at("param"), "tokens");
}

TEST_F(TokenizeRoutes, RefuseMoreThanAModelCanEverTake) {
  start();
  const auto list = [](int count) {
    std::string out = "104";
    for (int i = 1; i < count; ++i)
      out += ",104";
    return "{\"tokens\": [" + out + "]}";
  };
  EXPECT_EQ(answer("/detokenize", list(200)).at("prompt").as_string().size(), 200u);
  EXPECT_EQ(refusal(400, "/detokenize", list(201)).at("param"), "tokens");
  const std::string text(65537, 'x');
  EXPECT_EQ(refusal(400, "/tokenize", R"({"prompt": ")" + text + "\"}").at("param"), "prompt");
  EXPECT_EQ(
      refusal(400, "/tokenize", R"({"messages": [{"role": "user", "content": ")" + text + "\"}]}")
          .at("param"),
      "messages");
}

}  // namespace
}  // namespace inferno::serve
