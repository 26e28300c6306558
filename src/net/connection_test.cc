#include "net/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "net/server_fixture.h"

namespace inferno::net {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

using ConnectionTest = HttpServerTest;

TEST_F(ConnectionTest, KeepsTheConnectionForTheNextRequest) {
  start();
  TestClient client(port());
  for (int i = 0; i < 3; ++i) {
    client.request("POST", "/a%20b?x=1", fmt::format("body {}", i));
    const TestResponse response = client.read();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, fmt::format("POST /a b?x=1\nbody {}", i));
    EXPECT_THAT(response.head, HasSubstr("Access-Control-Allow-Origin: *"));
    EXPECT_THAT(response.head, HasSubstr("\r\nDate: "));
    EXPECT_THAT(response.head, Not(HasSubstr("Connection: close")));
  }
}

TEST_F(ConnectionTest, ClosesWhenTheClientAsksForIt) {
  start();
  TestClient client(port());
  client.request("GET", "/", "", "Connection: close\r\n");
  EXPECT_THAT(client.read().head, HasSubstr("Connection: close"));
  EXPECT_TRUE(client.is_closed_by_peer());
}

TEST_F(ConnectionTest, SpeaksHttp10) {
  start();
  TestClient client(port());
  client.send("GET /old HTTP/1.0\r\n\r\n");
  const TestResponse response = client.read();
  EXPECT_EQ(response.body, "GET /old?\n");
  EXPECT_TRUE(client.is_closed_by_peer());

  TestClient streaming(port());
  streaming.send("GET /hold HTTP/1.0\r\n\r\n");
  auto responder = routes_->take_held();
  ASSERT_TRUE(responder);
  responder->start_stream(200, {});
  responder->write("a");
  responder->write("b");
  responder->finish();
  const TestResponse streamed = streaming.read();
  EXPECT_EQ(streamed.body, "ab");
  EXPECT_THAT(streamed.head, Not(HasSubstr("chunked")));
}

TEST_F(ConnectionTest, JoinsChunkedBodies) {
  start();
  TestClient client(port());
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.send("5\r\nhello\r\n");
  std::this_thread::sleep_for(20ms);
  client.send("6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(client.read().body, "POST /echo?\nhello world");
}

TEST_F(ConnectionTest, AnswersPipelinedRequestsInOrder) {
  start();
  TestClient client(port());
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests += fmt::format("GET /p{} HTTP/1.1\r\nHost: t\r\n\r\n", i);
  }
  client.send(requests);
  client.shutdown_send();
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(client.read().body, fmt::format("GET /p{}?\n", i));
  EXPECT_TRUE(client.is_closed_by_peer());
}

TEST_F(ConnectionTest, APipelinedRequestWaitsForTheAnswerBeforeIt) {
  start();
  TestClient client(port());
  client.send("GET /hold HTTP/1.1\r\nHost: t\r\n\r\nGET /second HTTP/1.1\r\nHost: t\r\n\r\n");
  auto responder = routes_->take_held();
  ASSERT_TRUE(responder);
  responder->start_stream(200, {});
  std::this_thread::sleep_for(20ms);
  responder->write("first");
  responder->finish();
  EXPECT_EQ(client.read().body, "first");
  EXPECT_EQ(client.read().body, "GET /second?\n");
}

TEST_F(ConnectionTest, TakesARequestByteByByte) {
  start();
  TestClient client(port());
  for (char c : std::string("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc")) {
    client.send(std::string(1, c));
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(client.read().body, "POST /echo?\nabc");
}

TEST_F(ConnectionTest, AnswersHeadWithoutABody) {
  start();
  TestClient client(port());
  client.send("HEAD /echo HTTP/1.1\r\nHost: t\r\n\r\n");
  const TestResponse response = client.read(true);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(TestClient::header_of(response.head, "Content-Length"), "12");
  client.request("GET", "/next");
  EXPECT_EQ(client.read().body, "GET /next?\n");
}

TEST_F(ConnectionTest, AnswersCorsPreflight) {
  start();
  TestClient client(port());
  client.request("OPTIONS", "/v1/x", "",
                 "Origin: http://a\r\nAccess-Control-Request-Headers: authorization, x-y\r\n");
  const TestResponse response = client.read();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(TestClient::header_of(response.head, "Access-Control-Allow-Headers"),
            "authorization, x-y");
  EXPECT_THAT(response.head, HasSubstr("Access-Control-Allow-Methods: DELETE, GET"));
}

TEST_F(ConnectionTest, SaysContinueBeforeABodyThatWaitsForIt) {
  start();
  TestClient client(port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read().status, 100);
  client.send("ok");
  EXPECT_EQ(client.read().body, "POST /echo?\nok");
}

TEST_F(ConnectionTest, RefusesWhatIsNotHttp) {
  start();
  const std::string host = "Host: t\r\n";
  const std::vector<std::string> requests = {
      "\x16\x03\x01\x02garbage\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/9.9\r\n" + host + "\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\n" + host + host + "\r\n",
      "GET / HTTP/1.1\r\n" + host + "no colon\r\n\r\n",
      "GET / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n",
      "GET / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999999\r\n\r\n",
      "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      "POST / HTTP/1.1\r\n" + host +
          "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
  };
  for (const std::string& request : requests) {
    TestClient client(port());
    client.send(request);
    EXPECT_EQ(client.read().status, 400) << request;
    EXPECT_TRUE(client.is_closed_by_peer()) << request;
  }
  expect_alive();
}

TEST_F(ConnectionTest, RefusesHeadersAboveTheLimit) {
  start();
  TestClient client(port());
  client.send("GET / HTTP/1.1\r\nHost: t\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(client.read().status, 431);
  TestClient many(port());
  std::string fields;
  for (int i = 0; i < 20'000; ++i)
    fields += "A: b\r\n";
  many.send("GET / HTTP/1.1\r\nHost: t\r\n" + fields + "\r\n");
  EXPECT_EQ(many.read().status, 431);
  expect_alive();
}

TEST_F(ConnectionTest, RefusesAnEndlessChunkExtensionOrTrailer) {
  start();
  for (const std::string prefix : {"5;ext=", "5\r\nhello\r\n0\r\nX: "}) {
    TestClient client(port());
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + prefix);
    client.send(std::string(200'000, 'x'));
    EXPECT_EQ(client.read().status, 431) << prefix;
  }
  TestClient fits(port());
  fits.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=" +
            std::string(30'000, 'x') + "\r\nhello\r\n0\r\n\r\n");
  EXPECT_EQ(fits.read().body, "POST /echo?\nhello");
  expect_alive();
}

TEST_F(ConnectionTest, RefusesBodiesAboveTheLimit) {
  options_.max_body_bytes = 1000;
  start();
  TestClient announced(port());
  announced.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_EQ(announced.read().status, 413);
  TestClient chunked(port());
  chunked.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" +
               std::string(2048, 'x') + "\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.read().status, 413);
  TestClient fits(port());
  fits.request("POST", "/echo", std::string(1000, 'x'));
  EXPECT_EQ(fits.read().status, 200);
}

TEST_F(ConnectionTest, AClientStillSendingCanReadTheRefusal) {
  options_.max_body_bytes = 1000;
  start();
  TestClient client(port());
  client.request("POST", "/echo", std::string(3 << 20, 'x'));
  EXPECT_EQ(client.read().status, 413);
}

TEST_F(ConnectionTest, ARefusalDoesNotWaitForTheBody) {
  start();
  for (const char* length : {"Content-Length: 1000000", "Transfer-Encoding: chunked",
                             "Expect: 100-continue\r\nContent-Length: 5"}) {
    TestClient client(port());
    client.send(fmt::format("POST /refused HTTP/1.1\r\nHost: t\r\n{}\r\n\r\n", length));
    const TestResponse response = client.read();
    EXPECT_EQ(response.status, 403) << length;
    EXPECT_EQ(response.body, "not you");
    EXPECT_THAT(response.head, HasSubstr("Connection: close"));
    EXPECT_TRUE(client.is_closed_by_peer());
  }
  TestClient failing(port());
  failing.send("POST /refuse-throws HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(failing.read().status, 500);
  expect_alive();
}

TEST_F(ConnectionTest, ARefusedRequestThatIsWholeKeepsItsConnection) {
  start();
  TestClient client(port());
  client.send(
      "POST /refused HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nab"
      "GET /next HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(client.read().status, 403);
  EXPECT_EQ(client.read().body, "GET /next?\n");
  client.send("HEAD /refused HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(client.read(true).status, 403);
  client.request("GET", "/last");
  EXPECT_EQ(client.read().body, "GET /last?\n");
}

TEST_F(ConnectionTest, ARefusedClientStillSendingCanReadTheRefusal) {
  start();
  TestClient client(port());
  client.request("POST", "/refused", std::string(3 << 20, 'x'));
  EXPECT_EQ(client.read().status, 403);
}

TEST_F(ConnectionTest, HoldsNoMoreBodiesThanItsBudget) {
  options_.max_body_bytes = 100'000;
  options_.max_held_body_bytes = 250'000;
  start();
  const std::string body(100'000, 'x');
  TestClient first(port());
  TestClient second(port());
  first.request("POST", "/hold", body);
  auto responder = routes_->take_held(0);
  ASSERT_TRUE(responder);
  second.request("POST", "/hold", body);
  ASSERT_TRUE(routes_->take_held(1));
  const auto expect_refused = [](const TestResponse& response) {
    EXPECT_EQ(response.status, 503);
    EXPECT_THAT(response.body, HasSubstr("250000 bytes"));
    EXPECT_EQ(TestClient::header_of(response.head, "Retry-After"), "1");
  };
  TestClient announced(port());
  announced.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n");
  expect_refused(announced.read());
  TestClient chunked(port());
  chunked.send(fmt::format(
      "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nEA60\r\n{}\r\n",
      std::string(60'000, 'x')));
  expect_refused(chunked.read());
  EXPECT_EQ(post(port(), "/echo", std::string(50'000, 'x')).status, 200) << "what fits is taken";
  // An answered request whose bytes are still kept holds its room; one that is gone does not.
  responder->send(200, {}, "done");
  EXPECT_EQ(first.read().status, 200);
  expect_refused(post(port(), "/echo", body));
  routes_->drop_requests();
  EXPECT_EQ(post(port(), "/echo", body).status, 200);
}

TEST_F(ConnectionTest, AnAnnouncedBodyTakesNoRoomBeforeItComes) {
  options_.max_body_bytes = 100'000;
  options_.max_held_body_bytes = 100'000;
  start();
  std::vector<std::unique_ptr<TestClient>> announcing;
  for (int i = 0; i < 20; ++i) {
    announcing.push_back(std::make_unique<TestClient>(port()));
    announcing.back()->send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 90000\r\n\r\nx");
  }
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(post(port(), "/echo", std::string(90'000, 'x')).status, 200);
  announcing.clear();
  // Bodies that were broken off give their room back.
  while (server_->connection_count() > 0)
    std::this_thread::sleep_for(1ms);
  EXPECT_EQ(post(port(), "/echo", std::string(100'000, 'x')).status, 200);
}

TEST_F(ConnectionTest, TimesOutSlowRequestsAndIdleConnections) {
  options_.header_timeout = 100ms;
  options_.body_timeout = 100ms;
  options_.idle_timeout = 100ms;
  start();
  TestClient slow_head(port());
  slow_head.send("GET / HTT");
  EXPECT_EQ(slow_head.read().status, 408);
  TestClient slow_body(port());
  slow_body.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(slow_body.read().status, 408);
  TestClient idle(port());
  EXPECT_TRUE(idle.is_closed_by_peer());
}

TEST_F(ConnectionTest, AnswersARequestWhoseClientHasShutItsSendingSide) {
  start();
  TestClient whole(port());
  whole.request("GET", "/half");
  whole.shutdown_send();
  EXPECT_EQ(whole.read().body, "GET /half?\n");
  TestClient part(port());
  part.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc");
  part.shutdown_send();
  EXPECT_EQ(part.read().status, 400);
}

TEST_F(ConnectionTest, NoticesAClientThatLeavesWhileNothingIsWritten) {
  start();
  for (const bool abruptly : {false, true}) {
    TestClient client(port());
    client.request("GET", "/hold");
    auto responder = routes_->take_held(abruptly ? 1 : 0);
    ASSERT_TRUE(responder);
    responder->start_stream(200, {});
    EXPECT_EQ(client.read_available().substr(0, 12), "HTTP/1.1 200");
    const auto start = std::chrono::steady_clock::now();
    abruptly ? client.reset() : client.close();
    EXPECT_TRUE(routes_->wait_for_gone(abruptly ? 2 : 1));
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
    responder->write("into the void");
    responder->finish();
    bool called = false;
    responder->on_disconnect([&] { called = true; });
    EXPECT_TRUE(called);
  }
  expect_alive();
}

TEST_F(ConnectionTest, DropsAClientThatSendsTooFarAhead) {
  start();
  TestClient client(port());
  auto responder = hold(client);
  ASSERT_TRUE(responder);
  client.send(std::string(400 << 10, 'x'));
  EXPECT_TRUE(routes_->wait_for_gone(1));
  expect_alive();
}

TEST_F(ConnectionTest, OneLargeWriteArrivesWhole) {
  start();
  TestClient client(port());
  auto responder = hold(client);
  ASSERT_TRUE(responder);
  responder->start_stream(200, {});
  const std::string block(5 << 20, 'x');
  responder->write(block);
  responder->finish();
  const TestResponse response = client.read();
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.body == block) << response.body.size();
}

TEST_F(ConnectionTest, DropsAClientThatDoesNotRead) {
  options_.max_buffered_bytes = 256 << 10;
  start();
  TestClient client(port(), 4096);
  auto responder = hold(client);
  ASSERT_TRUE(responder);
  responder->start_stream(200, {});
  const std::string block(16 << 10, 'x');
  int block_count = 0;
  while (routes_->gone_count() == 0 && block_count < 20'000) {
    responder->write(block);
    ++block_count;
    if (block_count % 8 == 0) std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(routes_->wait_for_gone(1));
  expect_alive();
}

TEST_F(ConnectionTest, DropsAClientThatStopsReadingForTooLong) {
  options_.write_timeout = 200ms;
  options_.max_buffered_bytes = 64 << 20;
  start();
  TestClient client(port(), 4096);
  auto responder = hold(client);
  ASSERT_TRUE(responder);
  responder->start_stream(200, {});
  responder->write(std::string(32 << 20, 'x'));
  EXPECT_TRUE(routes_->wait_for_gone(1));
}

}  // namespace
}  // namespace inferno::net
