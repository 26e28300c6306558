#include "serve/answer_sharing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <vector>

#include "net/recording_responder.h"
#include "serve/api_fixture.h"
#include "serve/errors.h"

namespace inferno::serve {
namespace {

using Client = std::shared_ptr<net::RecordingResponder>;

class AnswerSharingTest : public ::testing::Test {
 protected:
  void SetUp() override { make({}); }
  void make(SharingOptions options) {
    sharing_ = std::make_unique<AnswerSharing>(options, clock_, metrics_);
  }

  static net::HttpRequest request(const std::string& key, const std::string& body) {
    net::HttpRequest out;
    out.method = "POST";
    out.path = "/v1/completions";
    out.body = body;
    if (!key.empty()) out.headers.push_back({"Idempotency-Key", key});
    return out;
  }

  // A client that asks; the computation is left to the test.
  Client ask(net::HttpRequest what) {
    auto client = std::make_shared<net::RecordingResponder>();
    sharing_->handle(std::move(what), client,
                     [this](net::HttpRequest whole, std::shared_ptr<net::Responder> responder) {
                       std::lock_guard lock(mutex_);
                       bodies_.push_back(whole.body);
                       computed_.push_back(std::move(responder));
                       changed_.notify_all();
                     });
    return client;
  }
  Client ask(const std::string& key, const std::string& body = "{}") {
    return ask(request(key, body));
  }

  // The responder that the `index`th computation answers through.
  std::shared_ptr<net::Responder> computation(size_t index) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20),
                                  [&] { return computed_.size() > index; }));
    return computed_.at(index);
  }
  size_t computation_count() {
    std::lock_guard lock(mutex_);
    return computed_.size();
  }
  double repeats(const std::string& reason) {
    return metrics_.counter({"inferno:deduplicated_requests_total", "", {{"reason", reason}}})
        .value();
  }
  double kept_bytes() { return metrics_.gauge({"inferno:idempotency_kept_bytes", "", {}}).value(); }

  ManualClock clock_;
  MetricRegistry metrics_;
  std::unique_ptr<AnswerSharing> sharing_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> bodies_;
  std::vector<std::shared_ptr<net::Responder>> computed_;
};

TEST_F(AnswerSharingTest, ARequestWithoutAKeyIsComputedHereForItself) {
  const Client one = ask("");
  const Client two = ask("");
  ASSERT_EQ(computation_count(), 2u);
  EXPECT_EQ(computation(0), one);
  EXPECT_EQ(computation(1), two);
}

TEST_F(AnswerSharingTest, ARepetitionInFlightJoins) {
  const Client one = ask("k");
  const auto made = computation(0);
  made->start_stream(200, {});
  made->write("early ");
  const Client two = ask("k");
  made->write("late");
  made->finish();
  EXPECT_EQ(one->body, "early late");
  EXPECT_EQ(two->body, "early late");
  EXPECT_TRUE(two->is_complete);
  EXPECT_EQ(two->header("Idempotency-Replayed"), "true");
  EXPECT_EQ(computation_count(), 1u);
  EXPECT_EQ(repeats("idempotency_key"), 1.0);
}

TEST_F(AnswerSharingTest, ARepetitionAfterwardsGetsTheSameAnswerUntilItIsTooOld) {
  ask("k");
  computation(0)->send(200, {{"Content-Type", "application/json"}}, "first");
  clock_.advance(599);
  const Client soon = ask("k");
  EXPECT_EQ(soon->body, "first");
  EXPECT_EQ(soon->header("Content-Type"), "application/json");
  EXPECT_EQ(soon->header("Idempotency-Replayed"), "true");
  clock_.advance(2);
  const Client late = ask("k");
  computation(1)->send(200, {}, "second");
  EXPECT_EQ(late->body, "second");
}

TEST_F(AnswerSharingTest, AKeyOfAnotherBodyIs422) {
  ask("my-key", "{}");
  const Client running = ask("my-key", "{ }");
  EXPECT_EQ(running->status, 422);
  EXPECT_THAT(running->body, ::testing::HasSubstr("my-key"));
  EXPECT_THAT(running->body, ::testing::HasSubstr("UnprocessableEntityError"));
  computation(0)->send(200, {}, "done");
  EXPECT_EQ(ask("my-key", "{ }")->status, 422);
  EXPECT_EQ(ask("my-key", "{}")->body, "done");
}

TEST_F(AnswerSharingTest, AMalformedKeyIs400) {
  EXPECT_EQ(ask(std::string(257, 'k'))->status, 400);
  EXPECT_EQ(computation_count(), 0u);
}

TEST_F(AnswerSharingTest, FailuresOfTheServerAreNotKept) {
  size_t index = 0;
  for (const int status : {500, 503, 504, 429, 404, 408, 499}) {
    ask("k");
    computation(index++)->send(status, {}, "failed");
  }
  ask("k");
  const auto made = computation(index++);
  made->start_stream(200, {});
  std::string event;
  append_error_event(event, {Fault::kDeadline, "too late", ""});
  made->write(event);
  made->finish();
  ask("k");
  computation(index++)->send(400, {}, "kept");
  EXPECT_EQ(ask("k")->body, "kept");
  EXPECT_EQ(kept_bytes() > 0, true);
}

TEST_F(AnswerSharingTest, ADroppedComputationIsBegunAnew) {
  const Client first = ask("k");
  computation(0);
  {
    std::lock_guard lock(mutex_);
    computed_[0].reset();
  }
  // The thread that computed may hold it a little longer.
  while (first.use_count() > 1)
    std::this_thread::yield();
  const Client second = ask("k");
  computation(1)->send(200, {}, "here");
  EXPECT_EQ(second->body, "here");
}

TEST_F(AnswerSharingTest, WhenAllClientsHaveGoneTheKeyIsFree) {
  const Client one = ask("k");
  const auto made = computation(0);
  const Client two = ask("k");
  std::promise<void> gone;
  made->on_disconnect([&] { gone.set_value(); });
  one->disconnect();
  two->disconnect();
  gone.get_future().wait();
  const Client three = ask("k");
  computation(1)->send(200, {}, "again");
  EXPECT_EQ(three->body, "again");
  EXPECT_EQ(two->body, "");
}

TEST_F(AnswerSharingTest, TheOldestAnswersMakeRoom) {
  make({.max_bytes = 10'000});
  for (size_t i = 0; i < 5; ++i) {
    ask("k" + std::to_string(i));
    computation(i)->send(200, {}, std::string(3000, 'x'));
  }
  EXPECT_LE(kept_bytes(), 10'000.0);
  EXPECT_GT(kept_bytes(), 6000.0);
  ask("k4");
  EXPECT_EQ(computation_count(), 5u);
  ask("k0");
  computation(5);
}

TEST_F(AnswerSharingTest, AnAnswerTooLongToKeepIsGivenToThoseThatAreThere) {
  make({.max_answer_bytes = 10});
  const Client one = ask("k");
  computation(0)->send(200, {}, "eleven byte");
  EXPECT_EQ(one->body, "eleven byte");
  EXPECT_EQ(kept_bytes(), 0.0);
  ask("k");
  computation(1);
}

TEST_F(AnswerSharingTest, IdenticalRequestsShareOnlyWhileInFlight) {
  make({.share_identical = true});
  const std::string body = R"({"temperature": 0})";
  const Client one = ask("", body);
  const auto made = computation(0);
  const Client two = ask("", R"({ "temperature" : 0 })");
  made->send(200, {}, "same");
  EXPECT_EQ(one->body, "same");
  EXPECT_EQ(two->body, "same");
  EXPECT_EQ(two->header("Idempotency-Replayed"), "");
  EXPECT_EQ(repeats("identical"), 1.0);
  ask("", body);
  computation(1);
}

TEST_F(AnswerSharingTest, ItsEndWaitsForAComputationThatRuns) {
  std::promise<void> begun;
  std::promise<void> gate;
  bool is_done = false;
  const auto client = std::make_shared<net::RecordingResponder>();
  sharing_->handle(request("k", "{}"), client,
                   [&](const net::HttpRequest&, const std::shared_ptr<net::Responder>&) {
                     begun.set_value();
                     gate.get_future().wait();
                     is_done = true;
                   });
  begun.get_future().wait();
  std::thread opener([&] { gate.set_value(); });
  sharing_.reset();
  EXPECT_TRUE(is_done);
  opener.join();
}

// Random requests, ends and departures: a request is computed exactly when a naive table of the
// keys says that nothing is running or kept.
TEST_F(AnswerSharingTest, AgreesWithANaiveTable) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  struct Row {
    std::optional<size_t> running;  // computation
    std::string kept;
    TimePoint kept_at;
    std::vector<Client> clients;
  };
  std::map<std::string, Row> rows;
  size_t computed = 0;
  for (int step = 0; step < 3000; ++step) {
    Row& row = rows["k" + std::to_string(below(8))];
    const std::string key = [&] {
      for (const auto& [name, each] : rows)
        if (&each == &row) return name;
      return std::string();
    }();
    if (!row.kept.empty() && clock_.now() - row.kept_at >= std::chrono::seconds(600)) {
      row.kept.clear();
    }
    switch (below(4)) {
      case 0:
      case 1: {
        const Client client = ask(key);
        if (!row.kept.empty()) {
          ASSERT_EQ(client->body, row.kept);
          break;
        }
        row.clients.push_back(client);
        if (!row.running) row.running = computed++;
        computation(*row.running);
        break;
      }
      case 2: {
        if (!row.running) break;
        const std::string text = "answer " + std::to_string(*row.running);
        const bool is_ok = below(3) > 0;
        computation(*row.running)->send(is_ok ? 200 : 503, {}, text);
        for (const Client& client : row.clients)
          ASSERT_EQ(client->body, text);
        row.running.reset();
        row.clients.clear();
        if (is_ok) {
          row.kept = text;
          row.kept_at = clock_.now();
        }
        break;
      }
      default: {
        clock_.advance(static_cast<double>(below(60)));
        if (row.clients.empty()) break;
        const size_t at = below(row.clients.size());
        row.clients[at]->disconnect();
        row.clients.erase(row.clients.begin() + static_cast<ptrdiff_t>(at));
        if (row.clients.empty()) row.running.reset();
      }
    }
    ASSERT_EQ(computation_count(), computed);
  }
  EXPECT_GT(computed, 100u);
}

// The same over a whole server.
class SharedRequests : public ApiServerTest {
 protected:
  static constexpr const char* kPath = "/v1/completions";
  static constexpr const char* kKey = "Idempotency-Key: k-1\r\n";

  // A request whose answer the test reads later.
  std::unique_ptr<net::TestClient> ask(const std::string& body, const std::string& headers = kKey) {
    auto client = std::make_unique<net::TestClient>(server_->port());
    client->request("POST", kPath, body, headers);
    return client;
  }
  static bool is_replay(const net::TestResponse& response) {
    return header_of(response, "Idempotency-Replayed") == "true";
  }
  // Waits until as many requests have joined another.
  void wait_for_repeats(const std::string& reason, double count) {
    while (metric("inferno:deduplicated_requests_total{reason=\"" + reason + "\"}") < count)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
};

TEST_F(SharedRequests, OfOneKeyAreComputedOnceAndHaveTheSameBytes) {
  start();
  generator_.hold();
  for (const char* body : {R"({"prompt": "hi", "max_tokens": 4})",
                           R"({"prompt": "hi", "max_tokens": 4, "stream": true})"}) {
    const std::string key = "Idempotency-Key: " + std::string(body) + "\r\n";
    const size_t before = generator_.requests().size();
    const auto one = ask(body, key);
    ASSERT_TRUE(generator_.wait_for_requests(before + 1));
    const double repeats =
        metric("inferno:deduplicated_requests_total{reason=\"idempotency_key\"}").value_or(0);
    const auto two = ask(body, key);
    wait_for_repeats("idempotency_key", repeats + 1);
    generator_.release();
    const net::TestResponse first = one->read();
    const net::TestResponse second = two->read();
    const net::TestResponse third = ask(body, key)->read();
    EXPECT_EQ(first.status, 200);
    EXPECT_EQ(first.body, second.body);
    EXPECT_EQ(first.body, third.body);
    EXPECT_FALSE(is_replay(first));
    EXPECT_TRUE(is_replay(second));
    EXPECT_TRUE(is_replay(third));
    EXPECT_EQ(generator_.requests().size(), before + 1);
    generator_.hold();
  }
}

TEST_F(SharedRequests, OfOneKeyAndAnotherBodyAre422) {
  start();
  EXPECT_EQ(ask(R"({"prompt": "a"})")->read().status, 200);
  const net::TestResponse other = ask(R"({"prompt": "b"})")->read();
  EXPECT_EQ(other.status, 422);
  EXPECT_THAT(other.body, ::testing::HasSubstr("k-1"));
}

TEST_F(SharedRequests, AreCancelledOnlyWhenAllClientsHaveGone) {
  start();
  generator_.hold();
  const auto one = ask(R"({"prompt": "hi"})");
  ASSERT_TRUE(generator_.wait_for_requests(1));
  const auto two = ask(R"({"prompt": "hi"})");
  wait_for_repeats("idempotency_key", 1);
  one->close();
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(generator_.cancel_count(), 0u);
  two->close();
  EXPECT_TRUE(generator_.wait_for_cancels(1));
}

TEST_F(SharedRequests, AClientThatDoesNotReadDelaysNobody) {
  options_.http.max_buffered_bytes = 64 << 20;  // nobody is cut off for being slow
  generator_.set_script([](const request::Request& request) {
    std::vector<request::TokenEvent> events(300);
    for (request::TokenEvent& event : events) {
      event.id = request.id;
      event.tokens.resize(1);
      event.text = std::string(20'000, 'x');
    }
    events.back().finish = request::FinishReason::kStop;
    return events;
  });
  start();
  generator_.hold();
  const std::string body = R"({"prompt": "hi", "stream": true})";
  const auto stalled = ask(body);
  ASSERT_TRUE(generator_.wait_for_requests(1));
  const auto reader = ask(body);
  wait_for_repeats("idempotency_key", 1);
  generator_.release();
  const net::TestResponse whole = reader->read();
  EXPECT_GT(whole.body.size(), 300u * 20'000u);
  EXPECT_EQ(chunks_of(whole).size(), 300u);
}

TEST_F(SharedRequests, IdenticalOnesAreSharedWhereThatIsWished) {
  options_.deduplicate_requests = true;
  start();
  generator_.hold();
  const std::string body = R"({"prompt": "hi", "temperature": 0, "max_tokens": 3})";
  const auto one = ask(body, "");
  ASSERT_TRUE(generator_.wait_for_requests(1));
  const auto two = ask(R"({"max_tokens": 3, "temperature": 0, "prompt": "hi"})", "");
  wait_for_repeats("identical", 1);
  const auto other = ask(R"({"prompt": "hi", "max_tokens": 3})", "");
  ASSERT_TRUE(generator_.wait_for_requests(2));
  generator_.release();
  EXPECT_EQ(one->read().body, two->read().body);
  EXPECT_EQ(other->read().status, 200);
  EXPECT_EQ(generator_.requests().size(), 2u);
}

TEST_F(SharedRequests, RefusedOnesAreTriedAgain) {
  start();
  generator_.refuse({Fault::kOverloaded, "full", "", 3.0});
  EXPECT_EQ(ask(R"({"prompt": "hi"})")->read().status, 429);
  generator_.refuse({Fault::kOverloaded, "full", "", 3.0}, 1000);
  const net::TestResponse again = ask(R"({"prompt": "hi"})")->read();
  EXPECT_EQ(again.status, 200);
  EXPECT_FALSE(is_replay(again));
}

}  // namespace
}  // namespace inferno::serve
