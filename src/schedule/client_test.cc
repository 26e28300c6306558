#include "schedule/client.h"

#include <gtest/gtest.h>

namespace inferno::schedule {
namespace {

TEST(ClientTable, KnowsAClientWhileItHasSequences) {
  ClientTable table(0);
  Client& first = table.join(7);
  Client& again = table.join(7);
  EXPECT_EQ(&first, &again);
  EXPECT_EQ(first.live_count, 2);
  table.leave(first);
  EXPECT_EQ(table.client_count(), 1);
  table.leave(first);
  EXPECT_EQ(table.client_count(), 0) << "no idle client is remembered";
}

TEST(ClientTable, ForgetsTheLongestIdleClientFirst) {
  ClientTable table(2);
  for (const uint64_t name : {1, 2, 3}) {
    Client& client = table.join(name);
    client.virtual_tokens = static_cast<int64_t>(name) * 100;
    table.leave(client);
  }
  EXPECT_EQ(table.client_count(), 2);
  EXPECT_EQ(table.join(2).virtual_tokens, 200);
  EXPECT_EQ(table.join(3).virtual_tokens, 300);
  EXPECT_EQ(table.join(1).virtual_tokens, 0) << "came back as a stranger";
}

TEST(ClientTable, DoesNotForgetAClientThatCameBack) {
  ClientTable table(1);
  table.leave(table.join(1));
  Client& back = table.join(1);
  table.leave(table.join(2));
  table.leave(table.join(3));
  EXPECT_EQ(&table.join(1), &back);
}

}  // namespace
}  // namespace inferno::schedule
