#include "net/http_client.h"

#include <gmock/gmock.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <optional>
#include <thread>

#include "net/server_fixture.h"

namespace inferno::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Keeps what it hears.
class RecordingSink : public HttpSink {
 public:
  void on_head(int answer_status, const HttpHeaders& answer_headers) override {
    EXPECT_EQ(status, 0) << "a second head";
    status = answer_status;
    headers = answer_headers;
  }
  void on_body(std::string_view bytes) override {
    EXPECT_FALSE(end) << "a body after the end";
    body += bytes;
    ++body_call_count;
    if (on_bytes) on_bytes();
  }
  void on_end(Result<void> result) override {
    EXPECT_FALSE(end) << "a second end";
    end = std::move(result);
    if (on_done) on_done();
  }

  Fault fault() const { return end && !*end ? end->error().fault : Fault::kInternal; }
  std::string message() const { return end && !*end ? end->error().message : ""; }
  bool is_well() const { return end && end->has_value(); }

  int status = 0;
  HttpHeaders headers;
  std::string body;
  int body_call_count = 0;
  std::optional<Result<void>> end;
  std::function<void()> on_bytes;
  std::function<void()> on_done;
};

class HttpClientTest : public HttpServerTest {
 protected:
  HttpClientRequest request(std::string method, std::string target, std::string body = "") const {
    HttpClientRequest out;
    out.url = {.host = "127.0.0.1", .port = std::to_string(port()), .path = ""};
    out.method = std::move(method);
    out.target = std::move(target);
    out.body = std::move(body);
    return out;
  }

  std::shared_ptr<RecordingSink> run(HttpClientRequest wanted) {
    auto sink = std::make_shared<RecordingSink>();
    client_.send(std::move(wanted), sink);
    run_to_end();
    EXPECT_TRUE(sink->end);
    return sink;
  }

  void run_to_end() {
    io_.restart();
    io_.run();
  }

  asio::io_context io_;
  HttpClient client_{io_};
};

// Answers each connection in turn with bytes by script, whatever is asked.
class ScriptedServer {
 public:
  struct Answer {
    std::vector<std::string> pieces = {};
    milliseconds pause{0};    // between pieces
    bool reads = true;        // waits for a request first
    bool reads_next = false;  // waits for a second request, and closes without an answer to it
  };

  explicit ScriptedServer(std::vector<Answer> answers)
      : acceptor_(io_, {asio::ip::address_v4::loopback(), 0}),
        thread_([this, answers = std::move(answers)] { serve(answers); }) {}
  ~ScriptedServer() { thread_.join(); }

  HttpClientRequest request() const {
    HttpClientRequest out;
    out.url = {
        .host = "127.0.0.1", .port = std::to_string(acceptor_.local_endpoint().port()), .path = ""};
    out.method = "GET";
    out.target = "/";
    return out;
  }

 private:
  void serve(const std::vector<Answer>& answers) {
    for (const Answer& answer : answers) {
      tcp::socket socket = acceptor_.accept();
      boost::system::error_code error;
      std::array<char, 4096> block{};
      if (answer.reads) socket.read_some(asio::buffer(block), error);
      for (const std::string& piece : answer.pieces) {
        asio::write(socket, asio::buffer(piece), error);
        if (answer.pause.count() > 0) std::this_thread::sleep_for(answer.pause);
      }
      if (answer.reads_next) socket.read_some(asio::buffer(block), error);
    }
  }

  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::thread thread_;
};

TEST(HttpUrl, HasHostPortAndBasePath) {
  const auto url = parse_http_url("http://localhost:8000/base/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "localhost");
  EXPECT_EQ(url->port, "8000");
  EXPECT_EQ(url->path, "/base");
  EXPECT_EQ(url->authority(), "localhost:8000");
  EXPECT_EQ(parse_http_url("http://example.com")->port, "80");
  EXPECT_EQ(parse_http_url("http://[::1]:81")->host, "::1");
  EXPECT_EQ(parse_http_url("http://[::1]:81")->authority(), "[::1]:81");
  EXPECT_EQ(parse_http_url("http://[::1]/x")->path, "/x");
}

TEST(HttpUrl, RefusesWhatIsNoHttpUrl) {
  for (const char* text :
       {"", "localhost:8000", "http://", "http://:80", "http://a:0", "http://a:65536", "http://a:b",
        "http://u@host", "http://a b", "http://a\r\nX: y", "http://[::1]x", "ftp://a",
        "http://a:-1", "http://[::1]:"}) {
    EXPECT_FALSE(parse_http_url(text)) << text;
  }
  const auto tls = parse_http_url("https://a");
  ASSERT_FALSE(tls);
  EXPECT_THAT(tls.error().message, HasSubstr("TLS"));
}

TEST_F(HttpClientTest, BringsARequestsAnswer) {
  start();
  const auto sink = run(request("POST", "/echo?x=1", "hello"));
  EXPECT_TRUE(sink->is_well()) << sink->message();
  EXPECT_EQ(sink->status, 200);
  EXPECT_EQ(sink->body, "POST /echo?x=1\nhello");
}

TEST_F(HttpClientTest, SendsLargeBodiesWhole) {
  start();
  const std::string body(3 << 20, 'x');
  const auto sink = run(request("POST", "/echo", body));
  EXPECT_EQ(sink->body, "POST /echo?\n" + body);
}

TEST_F(HttpClientTest, UsesAConnectionAgain) {
  start();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(run(request("GET", "/echo"))->status, 200);
    EXPECT_EQ(client_.idle_count(), 1U);
    EXPECT_EQ(server_->connection_count(), 1U);
  }
}

TEST_F(HttpClientTest, CarriesHundredsOfRequestsAtOnce) {
  start();
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 300; ++i) {
    sinks.push_back(std::make_shared<RecordingSink>());
    client_.send(request("POST", "/echo", std::to_string(i)), sinks.back());
  }
  run_to_end();
  for (size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_EQ(sinks[i]->body, fmt::format("POST /echo?\n{}", i));
  }
}

TEST_F(HttpClientTest, PassesAStreamOnAsItArrives) {
  start();
  auto sink = std::make_shared<RecordingSink>();
  std::shared_ptr<Responder> responder;
  std::vector<std::string> seen;
  sink->on_bytes = [&] {
    seen.push_back(sink->body);
    if (seen.size() == 1) {
      responder->write("two");
    } else {
      responder->finish();
    }
  };
  client_.send(request("GET", "/hold"), sink);
  std::thread answering([&] {
    responder = routes_->take_held();
    responder->start_stream(200, {{"Content-Type", "text/plain"}});
    responder->write("one");
  });
  io_.run();
  answering.join();
  EXPECT_THAT(seen, ElementsAre("one", "onetwo"));
  EXPECT_TRUE(sink->is_well());
  EXPECT_EQ(client_.idle_count(), 1U);
}

TEST_F(HttpClientTest, SendsAgainWhenTheServerClosedAKeptConnection) {
  options_.idle_timeout = milliseconds(50);
  start();
  EXPECT_EQ(run(request("GET", "/echo"))->status, 200);
  while (server_->connection_count() > 0)
    std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(run(request("GET", "/echo"))->status, 200);
}

TEST_F(HttpClientTest, SendsAgainWhenAKeptConnectionEndsInsteadOfAnAnswer) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
  ScriptedServer server(
      {{.pieces = {answer + "a"}, .reads_next = true}, {.pieces = {answer + "b"}}});
  EXPECT_EQ(run(server.request())->body, "a");
  EXPECT_EQ(client_.idle_count(), 1U);
  const auto second = run(server.request());
  EXPECT_TRUE(second->is_well()) << second->message();
  EXPECT_EQ(second->body, "b");
}

TEST_F(HttpClientTest, AFreshConnectionThatEndsIsNotTriedAgain) {
  const ScriptedServer::Answer silence;
  ScriptedServer server({silence});
  const auto sink = run(server.request());
  EXPECT_EQ(sink->fault(), Fault::kPeerGone);
  EXPECT_THAT(sink->message(), HasSubstr("without an answer"));
}

TEST_F(HttpClientTest, EndsWithDeadlineWhenTheTimeIsOver) {
  start();
  auto wanted = request("GET", "/hold");
  wanted.timeout = milliseconds(30);
  const auto sink = run(wanted);
  EXPECT_EQ(sink->fault(), Fault::kDeadline);
  EXPECT_TRUE(routes_->wait_for_gone(1));
}

TEST_F(HttpClientTest, CancelClosesTheConnection) {
  start();
  auto sink = std::make_shared<RecordingSink>();
  const auto call = client_.send(request("GET", "/hold"), sink);
  std::thread waiting([&] {
    const auto responder = routes_->take_held();
    asio::post(io_, [&] { call->cancel(); });
    EXPECT_TRUE(routes_->wait_for_gone(1));
  });
  io_.run();
  waiting.join();
  EXPECT_EQ(sink->fault(), Fault::kCancelled);
  call->cancel();
  EXPECT_EQ(client_.idle_count(), 0U);
}

TEST_F(HttpClientTest, HearsNothingMoreAfterCancelWithinTheBody) {
  ScriptedServer server({{.pieces = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                     "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"}}});
  auto sink = std::make_shared<RecordingSink>();
  std::shared_ptr<HttpCall> call;
  sink->on_bytes = [&] { call->cancel(); };
  call = client_.send(server.request(), sink);
  run_to_end();
  EXPECT_EQ(sink->body, "a");
  EXPECT_EQ(sink->fault(), Fault::kCancelled);
}

TEST_F(HttpClientTest, ASinkMayStartTheNextRequestAtItsEnd) {
  start();
  auto first = std::make_shared<RecordingSink>();
  auto second = std::make_shared<RecordingSink>();
  first->on_done = [&] { client_.send(request("GET", "/echo"), second); };
  client_.send(request("GET", "/echo"), first);
  run_to_end();
  EXPECT_TRUE(second->is_well());
  EXPECT_EQ(server_->connection_count(), 1U);
}

TEST_F(HttpClientTest, SaysThatNobodyListens) {
  start();
  const auto wanted = request("GET", "/");
  server_->stop(milliseconds(0));
  const auto sink = run(wanted);
  EXPECT_EQ(sink->fault(), Fault::kPeerGone);
  EXPECT_THAT(sink->message(), HasSubstr("cannot connect to 127.0.0.1"));
}

TEST_F(HttpClientTest, SaysThatAStreamBroke) {
  ScriptedServer server({{.pieces = {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"}}});
  const auto sink = run(server.request());
  EXPECT_EQ(sink->fault(), Fault::kPeerGone);
  EXPECT_THAT(sink->message(), HasSubstr("in the middle"));
  EXPECT_EQ(sink->body, "abc");
}

TEST_F(HttpClientTest, TakesABodyThatEndsWithTheConnection) {
  ScriptedServer server({{.pieces = {"HTTP/1.0 200 OK\r\n\r\nabc", "def"}}});
  const auto sink = run(server.request());
  EXPECT_TRUE(sink->is_well()) << sink->message();
  EXPECT_EQ(sink->body, "abcdef");
}

TEST_F(HttpClientTest, SkipsInterimAnswers) {
  ScriptedServer server({{.pieces = {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"
                                     "Content-Length: 1\r\nRetry-After: 3\r\n\r\nx"}}});
  const auto sink = run(server.request());
  EXPECT_EQ(sink->status, 201);
  EXPECT_EQ(sink->body, "x");
  ASSERT_EQ(sink->headers.size(), 2U);
  EXPECT_EQ(sink->headers[1].name, "Retry-After");
}

TEST_F(HttpClientTest, ReadsAnAnswerSplitAtEveryByte) {
  const std::string answer =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
  ScriptedServer::Answer split{.pieces = {}, .pause = milliseconds(1)};
  for (const char c : answer)
    split.pieces.emplace_back(1, c);
  ScriptedServer server({split});
  const auto sink = run(server.request());
  EXPECT_TRUE(sink->is_well()) << sink->message();
  EXPECT_EQ(sink->body, "abcde");
}

TEST_F(HttpClientTest, RefusesWhatIsNotHttp) {
  ScriptedServer server({{.pieces = {"SSH-2.0-OpenSSH\r\n\r\n"}}});
  EXPECT_EQ(run(server.request())->fault(), Fault::kCorrupt);
}

TEST_F(HttpClientTest, BoundsHeadersAndBody) {
  HttpClientOptions limits;
  limits.max_header_bytes = 256;
  limits.max_body_bytes = 4;
  HttpClient bounded(io_, limits);
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  for (const std::string& answer :
       {ok + "X: " + std::string(300, 'x') + "\r\n\r\n", ok + "Content-Length: 5\r\n\r\nabcde",
        ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"}) {
    ScriptedServer server({{.pieces = {answer}}});
    auto sink = std::make_shared<RecordingSink>();
    bounded.send(server.request(), sink);
    run_to_end();
    EXPECT_EQ(sink->fault(), Fault::kTooLong) << answer;
  }
}

TEST_F(HttpClientTest, HeaderValuesCannotStartAHeaderOfTheirOwn) {
  start();
  auto wanted = request("GET", "/echo");
  wanted.headers = {{"X-A", "b\r\nContent-Length: 100"}};
  EXPECT_EQ(run(wanted)->status, 200);
}

}  // namespace
}  // namespace inferno::net
