#include "serve/service.h"

#include <gtest/gtest.h>

#include "serve/api_fixture.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;

using ServiceTest = ApiServerTest;

TEST_F(ServiceTest, AnUnknownModelIs404) {
  start();
  const json::value error =
      refusal(404, "/v1/completions", R"({"model": "third", "prompt": "hi"})");
  EXPECT_EQ(error.at("type"), "NotFoundError");
  EXPECT_EQ(error.at("param"), "model");
  EXPECT_EQ(answer("/v1/completions", R"({"model": "org/second", "prompt": "hi"})").at("model"),
            "first");
}

TEST_F(ServiceTest, EveryRequestGetsAnIdOfItsOwn) {
  start();
  const json::value first = answer("/v1/completions", R"({"prompt": "hi"})");
  const json::value second = answer("/v1/completions", R"({"prompt": "hi"})");
  EXPECT_EQ(first.at("id").as_string().size(), std::string("cmpl-").size() + 32);
  EXPECT_NE(first.at("id"), second.at("id"));
}

TEST_F(ServiceTest, ARequestThatNamesNoModelGetsTheFirst) {
  start();
  for (const char* body : {R"({"prompt": "hi"})", R"({"prompt": "hi", "model": null})",
                           R"({"prompt": "hi", "model": ""})"}) {
    EXPECT_EQ(answer("/v1/completions", body).at("model"), "first");
  }
  EXPECT_EQ(refusal(400, "/v1/completions", R"({"prompt": "hi", "model": 7})").at("param"),
            "model");
}

}  // namespace
}  // namespace inferno::serve
