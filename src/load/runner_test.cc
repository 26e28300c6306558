#include "load/runner.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <functional>
#include <mutex>

#include "net/http_server.h"

namespace inferno::load {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using ::testing::HasSubstr;

std::string chunk(std::string_view fields) {
  return fmt::format("data: {{\"choices\":[{{{}}}]}}\n\n", fields);
}

// A model server by script: keeps the bodies it got and answers each with two tokens, or as
// `answer` says.
class FakeModel : public net::HttpHandler {
 public:
  using Answer = std::function<void(size_t index, std::shared_ptr<net::Responder>)>;

  void handle(net::HttpRequest request, std::shared_ptr<net::Responder> responder) override {
    size_t index = 0;
    {
      std::lock_guard lock(mutex_);
      index = bodies_.size();
      bodies_.push_back(json::parse(request.body).as_object());
      targets_.push_back(request.target);
      running_most_ = std::max(running_most_, ++running_);
    }
    if (answer) {
      answer(index, std::move(responder));
    } else {
      stream(*responder);
    }
    std::lock_guard lock(mutex_);
    --running_;
  }

  static void stream(net::Responder& responder) {
    responder.start_stream(200, {{"Content-Type", "text/event-stream"}});
    responder.write(chunk(R"("text":"a","token_ids":[100])"));
    responder.write(chunk(R"("text":"b","token_ids":[101],"finish_reason":"length")"));
    responder.write(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\n"
        "data: [DONE]\n\n");
    responder.finish();
  }

  std::vector<json::object> bodies() {
    std::lock_guard lock(mutex_);
    return bodies_;
  }
  std::vector<std::string> targets() {
    std::lock_guard lock(mutex_);
    return targets_;
  }
  int running_most() {
    std::lock_guard lock(mutex_);
    return running_most_;
  }

  Answer answer;

 private:
  std::mutex mutex_;
  std::vector<json::object> bodies_;
  std::vector<std::string> targets_;
  int running_ = 0;
  int running_most_ = 0;
};

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() {
    net::HttpServerOptions http;
    http.host = "127.0.0.1";
    http.port = 0;
    server_ = *net::HttpServer::start(http, model_);
    options_.url = {.host = "127.0.0.1", .port = std::to_string(server_->port()), .path = "/base"};
    options_.body.model = "m";
  }
  ~RunnerTest() override { server_->stop(std::chrono::milliseconds(0)); }

  void add(double at_s, size_t turn_count = 1, double think_s = 0.0) {
    Conversation conversation;
    conversation.at_s = at_s;
    for (size_t i = 0; i < turn_count; ++i) {
      Turn turn;
      turn.segments = {{plan_.conversations.size() * 100 + i, 4}};
      turn.output_tokens = 2;
      turn.think_s = think_s;
      conversation.turns.push_back(turn);
    }
    plan_.conversations.push_back(conversation);
  }

  Runner& run() {
    runner_ = std::make_unique<Runner>(io_, plan_, options_);
    runner_->run();
    return *runner_;
  }

  std::shared_ptr<FakeModel> model_ = std::make_shared<FakeModel>();
  std::unique_ptr<net::HttpServer> server_;
  asio::io_context io_;
  Plan plan_;
  RunOptions options_;
  std::unique_ptr<Runner> runner_;
};

TEST_F(RunnerTest, MeasuresEachRequest) {
  for (int i = 0; i < 20; ++i)
    add(0.0);
  Runner& runner = run();
  ASSERT_EQ(runner.records().size(), 20U);
  for (const RequestRecord& record : runner.records()) {
    EXPECT_TRUE(record.is_completed()) << record.error;
    EXPECT_EQ(record.answer.output_tokens(), 2);
    EXPECT_EQ(record.input_tokens(), 4);
    EXPECT_EQ(record.due_s, 0.0);
    EXPECT_GE(record.sent_s, record.due_s);
    EXPECT_GE(record.answer.first_s, record.sent_s);
    EXPECT_GE(record.answer.last_s, record.answer.first_s);
    EXPECT_GE(runner.duration_s(), record.end_s);
    EXPECT_TRUE(record.answer.text.empty());
  }
  EXPECT_EQ(runner.unsent_count(), 0U);
  EXPECT_EQ(model_->targets().front(), "/base/v1/completions");
}

TEST_F(RunnerTest, SendsWhenThePlanSays) {
  add(0.0);
  add(0.08);
  Runner& runner = run();
  ASSERT_EQ(runner.records().size(), 2U);
  EXPECT_EQ(runner.records()[1].due_s, 0.08);
  EXPECT_GE(runner.records()[1].sent_s, 0.08);
}

TEST_F(RunnerTest, KeepsToMaxConcurrency) {
  for (int i = 0; i < 12; ++i)
    add(0.0);
  options_.max_concurrency = 1;
  Runner& runner = run();
  ASSERT_EQ(runner.records().size(), 12U);
  EXPECT_EQ(model_->running_most(), 1);
  // Each is due when the one before it has ended, and what it waited is told apart.
  for (size_t i = 1; i < 12; ++i) {
    EXPECT_GE(runner.records()[i].due_s, runner.records()[i - 1].end_s);
    EXPECT_EQ(runner.records()[i].slot_wait_s, runner.records()[i].due_s);
  }
}

TEST_F(RunnerTest, LaterTurnsRepeatTheConversation) {
  add(0.0, 3, 0.01);
  Runner& runner = run();
  ASSERT_EQ(runner.records().size(), 3U);
  const auto bodies = model_->bodies();
  ASSERT_EQ(bodies.size(), 3U);
  const auto prompt = [&](size_t i) -> const json::array& {
    return bodies[i].at("prompt").as_array();
  };
  EXPECT_EQ(prompt(0).size(), 4U);
  EXPECT_EQ(prompt(1).size(), 4U + 2 + 4);
  EXPECT_EQ(prompt(2).size(), 4U + 2 + 4 + 2 + 4);
  EXPECT_TRUE(std::equal(prompt(0).begin(), prompt(0).end(), prompt(1).begin()));
  EXPECT_EQ(prompt(1)[4], 100);
  EXPECT_EQ(runner.records()[1].turn_index, 1);
  EXPECT_NEAR(runner.records()[1].due_s, runner.records()[0].end_s + 0.01, 1e-9);
}

TEST_F(RunnerTest, AFailedTurnEndsItsConversation) {
  add(0.0, 3);
  model_->answer = [](size_t, auto responder) {
    responder->send(400, {}, R"({"error":{"message":"no such model"}})");
  };
  Runner& runner = run();
  ASSERT_EQ(runner.records().size(), 1U);
  EXPECT_EQ(runner.records()[0].outcome, Outcome::kStatus);
  EXPECT_EQ(runner.records()[0].status, 400);
  EXPECT_EQ(runner.records()[0].error, "no such model");
  EXPECT_EQ(runner.unsent_count(), 2U);
}

TEST_F(RunnerTest, CountsRejections) {
  add(0.0);
  model_->answer = [](size_t, auto responder) { responder->send(429, {}, "busy"); };
  EXPECT_EQ(run().records()[0].outcome, Outcome::kRejected);
  EXPECT_EQ(model_->bodies().size(), 1U);
}

TEST_F(RunnerTest, TriesAgainAfterARejectionWhenAsked) {
  add(0.0);
  options_.max_retries = 3;
  model_->answer = [](size_t index, auto responder) {
    if (index < 2) {
      responder->send(429, {{"Retry-After", "0.01"}}, "busy");
    } else {
      FakeModel::stream(*responder);
    }
  };
  Runner& runner = run();
  ASSERT_EQ(runner.records().size(), 1U);
  const RequestRecord& record = runner.records()[0];
  EXPECT_TRUE(record.is_completed());
  EXPECT_EQ(record.retry_count, 2);
  EXPECT_EQ(record.due_s, 0.0);
  EXPECT_GE(record.ttft_s(), 0.02);
}

TEST_F(RunnerTest, TellsFailuresApart) {
  for (int i = 0; i < 3; ++i)
    add(0.0);
  options_.max_concurrency = 1;
  options_.timeout_s = 0.2;
  std::shared_ptr<net::Responder> held;
  model_->answer = [&](size_t index, auto responder) {
    if (index == 0) {
      held = responder;  // never answered
      return;
    }
    responder->start_stream(200, {});
    responder->write(chunk(R"("text":"a")"));
    if (index == 1) responder->write("data: {\"error\":{\"message\":\"out of pages\"}}\n\n");
    responder->finish();
  };
  Runner& runner = run();
  ASSERT_EQ(runner.records().size(), 3U);
  EXPECT_EQ(runner.records()[0].outcome, Outcome::kTimeout);
  EXPECT_EQ(runner.records()[1].outcome, Outcome::kErrorEvent);
  EXPECT_EQ(runner.records()[1].error, "out of pages");
  EXPECT_EQ(runner.records()[2].outcome, Outcome::kBroken);
}

TEST_F(RunnerTest, SaysThatNobodyListens) {
  add(0.0);
  server_->stop(std::chrono::milliseconds(0));
  Runner& runner = run();
  EXPECT_EQ(runner.records()[0].outcome, Outcome::kUnreached);
  EXPECT_THAT(runner.records()[0].error, HasSubstr("cannot connect"));
}

TEST_F(RunnerTest, StopKeepsWhatWasMeasured) {
  add(0.0);
  add(0.0);
  add(3600.0);
  std::shared_ptr<net::Responder> held;
  model_->answer = [&](size_t index, auto responder) {
    if (index == 0) {
      FakeModel::stream(*responder);
      return;
    }
    held = responder;
    asio::post(io_, [this] { runner_->stop(); });
  };
  options_.max_concurrency = 1;
  Runner& runner = run();
  ASSERT_EQ(runner.records().size(), 2U);
  EXPECT_TRUE(runner.records()[0].is_completed());
  EXPECT_EQ(runner.records()[1].outcome, Outcome::kUnfinished);
  EXPECT_EQ(runner.unsent_count(), 1U);
}

TEST_F(RunnerTest, NothingIsSentAfterTheDuration) {
  add(0.0, 2, 3600.0);
  add(3600.0);
  options_.duration_s = 0.1;
  Runner& runner = run();
  ASSERT_EQ(runner.records().size(), 1U);
  EXPECT_TRUE(runner.records()[0].is_completed());
  EXPECT_EQ(runner.unsent_count(), 2U);
}

TEST_F(RunnerTest, NamesClassAndClient) {
  add(0.0);
  plan_.classes = {"interactive", "batch"};
  plan_.clients = {"client-0"};
  plan_.conversations[0].class_index = 1;
  EXPECT_EQ(run().records()[0].class_index, 1);
  EXPECT_EQ(model_->bodies()[0].at("service_class"), "batch");
  EXPECT_EQ(model_->bodies()[0].at("user"), "client-0");
}

TEST_F(RunnerTest, ReportsProgress) {
  add(0.0);
  std::vector<Progress> seen;
  options_.on_progress = [&](const Progress& progress) { seen.push_back(progress); };
  run();
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen[0].planned_count, 1U);
  EXPECT_EQ(seen[0].ended_count, 0U);
}

TEST(RetryAfter, IsSecondsOrOne) {
  EXPECT_EQ(retry_after_s({{"retry-after", "2.5"}}), 2.5);
  EXPECT_EQ(retry_after_s({{"Retry-After", "0"}}), 0.0);
  EXPECT_EQ(retry_after_s({}), 1.0);
  EXPECT_EQ(retry_after_s({{"Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"}}), 1.0);
  EXPECT_EQ(retry_after_s({{"Retry-After", "-5"}}), 1.0);
  EXPECT_EQ(retry_after_s({{"Retry-After", "1e12"}}), 600.0);
}

}  // namespace
}  // namespace inferno::load
