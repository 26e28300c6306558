#include "net/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace inferno::net {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Phase = AnswerState::Phase;

class FakeCarrier : public AnswerCarrier {
 public:
  void post_flush() override { ++flush_count; }
  void post_task(std::function<void()> task) override { tasks.push_back(std::move(task)); }
  bool is_draining() const override { return draining; }

  int flush_count = 0;
  bool draining = false;
  std::vector<std::function<void()>> tasks;
};

class ExchangeTest : public ::testing::Test {
 protected:
  ExchangeTest() {
    state_->terms.max_buffered_bytes = 1000;
    make();
  }
  void make() { exchange_ = std::make_unique<Exchange>(state_, carrier_); }

  std::shared_ptr<AnswerState> state_ = std::make_shared<AnswerState>();
  std::shared_ptr<FakeCarrier> carrier_ = std::make_shared<FakeCarrier>();
  std::unique_ptr<Exchange> exchange_;
};

TEST_F(ExchangeTest, SendsOnce) {
  exchange_->send(200, {{"Content-Type", "a/b"}}, "hello");
  EXPECT_EQ(state_->phase, Phase::kComplete);
  EXPECT_EQ(carrier_->flush_count, 1);
  EXPECT_THAT(state_->out, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(state_->out, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(state_->out, EndsWith("\r\n\r\nhello"));
  const std::string before = state_->out;
  exchange_->send(500, {}, "again");
  exchange_->start_stream(200, {});
  exchange_->write("more");
  exchange_->finish();
  EXPECT_EQ(state_->out, before);
}

TEST_F(ExchangeTest, StreamsChunksAndPostsOneFlushUntilItIsTaken) {
  exchange_->start_stream(200, {});
  state_->out.clear();
  exchange_->write("abc");
  exchange_->write("");
  exchange_->write("d");
  exchange_->finish();
  EXPECT_EQ(state_->out, "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
  EXPECT_EQ(carrier_->flush_count, 1);
}

TEST_F(ExchangeTest, OldProtocolStreamsPlainAndCloses) {
  state_->terms.is_http_1_0 = true;
  exchange_->start_stream(200, {});
  EXPECT_THAT(state_->out, HasSubstr("Connection: close"));
  EXPECT_THAT(state_->out, Not(HasSubstr("chunked")));
  exchange_->write("abc");
  exchange_->finish();
  EXPECT_THAT(state_->out, EndsWith("\r\n\r\nabc"));
}

TEST_F(ExchangeTest, ADrainingServerSaysThatItCloses) {
  carrier_->draining = true;
  exchange_->send(200, {}, "");
  EXPECT_THAT(state_->out, HasSubstr("Connection: close"));
  EXPECT_FALSE(state_->terms.keep_alive);
}

TEST_F(ExchangeTest, CountsInFlightBytesAgainstTheLimit) {
  exchange_->start_stream(200, {});
  state_->out.clear();
  state_->in_flight_bytes = 990;
  exchange_->write("0123456789");
  EXPECT_FALSE(state_->overflowed);
  exchange_->write("x");
  EXPECT_TRUE(state_->overflowed);
  exchange_->finish();
  EXPECT_EQ(state_->phase, Phase::kStreaming);
}

TEST_F(ExchangeTest, ALargeWriteBeforeAnythingIsInFlightIsNoOverflow) {
  exchange_->start_stream(200, {});
  exchange_->write(std::string(5000, 'x'));
  EXPECT_FALSE(state_->overflowed);
  state_->out.clear();
  state_->in_flight_bytes = 4999;
  exchange_->write("y");
  EXPECT_TRUE(state_->overflowed);
}

TEST_F(ExchangeTest, DroppedUnansweredItAnswers500) {
  exchange_.reset();
  EXPECT_EQ(state_->phase, Phase::kComplete);
  EXPECT_THAT(state_->out, StartsWith("HTTP/1.1 500 "));
}

TEST_F(ExchangeTest, DroppedInAStreamItBreaksTheConnection) {
  exchange_->start_stream(200, {});
  exchange_.reset();
  EXPECT_TRUE(state_->overflowed);
}

TEST_F(ExchangeTest, ADisconnectedClientIsToldAtOnceAndGetsNoTasks) {
  state_->phase = Phase::kGone;
  int called_count = 0;
  exchange_->on_disconnect([&] { ++called_count; });
  EXPECT_EQ(called_count, 1);
  exchange_->post([&] { ++called_count; });
  EXPECT_TRUE(carrier_->tasks.empty());
}

TEST_F(ExchangeTest, ATaskIsSkippedWhenTheClientLeftMeanwhile) {
  int called_count = 0;
  exchange_->post([&] { ++called_count; });
  ASSERT_EQ(carrier_->tasks.size(), 1u);
  carrier_->tasks[0]();
  EXPECT_EQ(called_count, 1);
  state_->phase = Phase::kGone;
  carrier_->tasks[0]();
  EXPECT_EQ(called_count, 1);
}

}  // namespace
}  // namespace inferno::net
