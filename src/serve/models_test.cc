#include "serve/models.h"

#include <gtest/gtest.h>

#include "serve/api_fixture.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;

using ModelRoutes = ApiServerTest;

TEST_F(ModelRoutes, ListsModelsByEveryName) {
  start();
  const json::value list = json::parse(get("/v1/models").body);
  EXPECT_EQ(list.at("object"), "list");
  ASSERT_EQ(list.at("data").as_array().size(), 2u);
  EXPECT_EQ(list.at("data").at(1).at("id"), "org/second");
  EXPECT_EQ(list.at("data").at(0).at("max_model_len"), 200);
  EXPECT_EQ(json::parse(get("/v1/models/org%2Fsecond").body).at("id"), "org/second");
  EXPECT_EQ(json::parse(get("/v1/models/org/second").body).at("object"), "model");
  EXPECT_EQ(get("/v1/models/third").status, 404);
  EXPECT_EQ(get("/v1/models/%ff%fe").status, 404);
}

}  // namespace
}  // namespace inferno::serve
