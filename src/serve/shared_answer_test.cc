#include "serve/shared_answer.h"

#include <gtest/gtest.h>

#include <future>
#include <stdexcept>

#include "net/recording_responder.h"
#include "serve/errors.h"

namespace inferno::serve {
namespace {

using Client = std::shared_ptr<net::RecordingResponder>;

class SharedAnswerTest : public ::testing::Test {
 protected:
  void make(size_t max_answer_bytes = 1000, size_t max_bytes = 10'000) {
    budget_ = std::make_shared<RecordBudget>(max_bytes);
    answer_ = std::make_shared<SharedAnswer>(
        SharedAnswer::Terms{.queue = queue_,
                            .budget = budget_,
                            .max_answer_bytes = max_answer_bytes,
                            .marks_repeats = true,
                            .on_end = [this](std::shared_ptr<const RecordedAnswer> record) {
                              ++end_count_;
                              record_ = std::move(record);
                            }});
  }
  Client attach(ClientPlace place) {
    auto client = std::make_shared<net::RecordingResponder>();
    is_attached_ = answer_->attach(client, place);
    return client;
  }
  // Waits until the tasks posted so far have run.
  void settle() {
    std::promise<void> done;
    ASSERT_TRUE(queue_->try_post([&] { done.set_value(); }));
    done.get_future().wait();
  }

  // One thread: what is posted to it runs in order.
  std::shared_ptr<WorkQueue> queue_ = std::make_shared<WorkQueue>(1, 1000);
  std::shared_ptr<RecordBudget> budget_;
  std::shared_ptr<SharedAnswer> answer_;
  bool is_attached_ = false;
  int end_count_ = 0;
  std::shared_ptr<const RecordedAnswer> record_;
};

TEST_F(SharedAnswerTest, EveryClientGetsTheSameBytesWheneverItCame) {
  make();
  const Client first = attach(ClientPlace::kFirst);
  answer_->start_stream(200, {{"Content-Type", "text/event-stream"}});
  answer_->write("one ");
  const Client second = attach(ClientPlace::kRepeat);
  EXPECT_EQ(second->status, 200);
  EXPECT_EQ(second->body, "one ");
  answer_->write("two ");
  answer_->finish();
  const Client third = attach(ClientPlace::kRepeat);
  for (const Client& client : {first, second, third}) {
    EXPECT_EQ(client->body, "one two ");
    EXPECT_TRUE(client->is_complete);
    EXPECT_EQ(client->header("Content-Type"), "text/event-stream");
  }
  EXPECT_EQ(first->header("Idempotency-Replayed"), "");
  EXPECT_EQ(second->header("Idempotency-Replayed"), "true");
  EXPECT_EQ(third->header("Idempotency-Replayed"), "true");
}

TEST_F(SharedAnswerTest, ItsRecordIsTheWholeAnswer) {
  make();
  const Client client = attach(ClientPlace::kFirst);
  answer_->send(400, {{"A", "b"}}, "no");
  answer_->send(200, {}, "too late");
  EXPECT_EQ(client->status, 400);
  EXPECT_EQ(client->body, "no");
  ASSERT_NE(record_, nullptr);
  EXPECT_EQ(record_->status, 400);
  EXPECT_EQ(record_->body, "no");
  EXPECT_FALSE(record_->is_stream);
  EXPECT_EQ(budget_->used_bytes(), 0u);
  net::RecordingResponder late;
  replay(*record_, late);
  EXPECT_EQ(late.body, "no");
  EXPECT_EQ(late.header("A"), "b");
  EXPECT_EQ(late.header("Idempotency-Replayed"), "true");
}

TEST_F(SharedAnswerTest, AnErrorInsideAStreamIsNoted) {
  make();
  const Client client = attach(ClientPlace::kFirst);
  answer_->start_stream(200, {});
  std::string event;
  append_error_event(event, {Fault::kDeadline, "too late", ""});
  answer_->write(event);
  answer_->finish();
  ASSERT_NE(record_, nullptr);
  EXPECT_TRUE(record_->has_error_event);
}

TEST_F(SharedAnswerTest, TheEndpointHearsOnlyOfTheLastClientThatGoes) {
  make();
  const Client first = attach(ClientPlace::kFirst);
  const Client second = attach(ClientPlace::kRepeat);
  int gone_count = 0;
  answer_->on_disconnect([&] { ++gone_count; });
  answer_->start_stream(200, {});
  first->disconnect();
  settle();
  EXPECT_EQ(gone_count, 0);
  answer_->write("more");
  EXPECT_EQ(first->body, "");
  EXPECT_EQ(second->body, "more");
  second->disconnect();
  settle();
  EXPECT_EQ(gone_count, 1);
  EXPECT_EQ(end_count_, 1);
  EXPECT_EQ(record_, nullptr);
  attach(ClientPlace::kRepeat);
  EXPECT_FALSE(is_attached_);
}

TEST_F(SharedAnswerTest, ARepeatThatGoesBeforeTheFirstCameEndsNothing) {
  make();
  attach(ClientPlace::kRepeat)->disconnect();
  EXPECT_EQ(end_count_, 0);
  const Client first = attach(ClientPlace::kFirst);
  ASSERT_TRUE(is_attached_);
  answer_->send(200, {}, "here");
  EXPECT_EQ(first->body, "here");
}

TEST_F(SharedAnswerTest, AClientThatIsGoneAlreadyCountsAsGone) {
  class Gone : public net::RecordingResponder {
   public:
    void on_disconnect(std::function<void()> callback) override { callback(); }
  };
  make();
  EXPECT_TRUE(answer_->attach(std::make_shared<Gone>(), ClientPlace::kFirst));
  EXPECT_EQ(end_count_, 1);
  bool was_told = false;
  answer_->on_disconnect([&] { was_told = true; });
  EXPECT_TRUE(was_told);
}

TEST_F(SharedAnswerTest, TasksRunInOrderUntilTheLastClientGoes) {
  make();
  const Client client = attach(ClientPlace::kFirst);
  std::promise<void> begun;
  std::promise<void> gate;
  std::string order;
  answer_->post([&, opened = gate.get_future().share()] {
    begun.set_value();
    opened.wait();
    order += "a";
  });
  answer_->post([&] { order += "b"; });
  answer_->on_disconnect([&] { order += "gone"; });
  begun.get_future().wait();
  client->disconnect();
  answer_->post([&] { order += "c"; });
  gate.set_value();
  settle();
  EXPECT_EQ(order, "agone");
}

TEST_F(SharedAnswerTest, ATaskThatThrowsAnswers500) {
  make();
  const Client client = attach(ClientPlace::kFirst);
  answer_->post([] { throw std::runtime_error("a test's exception"); });
  settle();
  EXPECT_EQ(client->status, 500);
  EXPECT_TRUE(client->is_complete);
}

TEST_F(SharedAnswerTest, ATaskThatThrowsLetsGoOfAStreamsClients) {
  make();
  Client client = attach(ClientPlace::kFirst);
  answer_->start_stream(200, {});
  answer_->post([] { throw std::runtime_error("a test's exception"); });
  settle();
  EXPECT_FALSE(client->is_complete);
  EXPECT_EQ(client.use_count(), 1);
  EXPECT_EQ(end_count_, 1);
}

TEST_F(SharedAnswerTest, ATooLongRecordIsDroppedAndNobodyJoinsAnyMore) {
  make(8);
  const Client client = attach(ClientPlace::kFirst);
  answer_->start_stream(200, {});
  answer_->write("12345678");
  EXPECT_EQ(budget_->used_bytes(), 8u);
  answer_->write("9");
  EXPECT_EQ(budget_->used_bytes(), 0u);
  attach(ClientPlace::kRepeat);
  EXPECT_FALSE(is_attached_);
  answer_->finish();
  EXPECT_EQ(client->body, "123456789");
  EXPECT_TRUE(client->is_complete);
  EXPECT_EQ(end_count_, 1);
  EXPECT_EQ(record_, nullptr);
}

TEST_F(SharedAnswerTest, AllRecordsTogetherStayInTheBudget) {
  make(1000, 10);
  ASSERT_TRUE(budget_->take(5));
  const Client client = attach(ClientPlace::kFirst);
  answer_->send(200, {}, "123456");
  EXPECT_EQ(client->body, "123456");
  EXPECT_EQ(record_, nullptr);
  EXPECT_EQ(budget_->used_bytes(), 5u);
}

TEST_F(SharedAnswerTest, OneThatIsDroppedUnansweredLetsGoOfItsClients) {
  make();
  const Client client = attach(ClientPlace::kFirst);
  answer_.reset();
  EXPECT_EQ(client.use_count(), 1);
  EXPECT_EQ(end_count_, 1);
  EXPECT_EQ(record_, nullptr);
}

TEST_F(SharedAnswerTest, AStoppedQueueRunsWhatItTookAndLetsGoOfTheRest) {
  make();
  const Client client = attach(ClientPlace::kFirst);
  const auto held = std::make_shared<int>(0);
  answer_->post([held, self = answer_] { ++*held; });
  answer_->post([held] { ++*held; });
  queue_->stop();
  EXPECT_EQ(*held, 2);
  answer_->post([held] { ++*held; });
  EXPECT_EQ(*held, 2);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace inferno::serve
