#include "net/sse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace inferno::net {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> all_of(SseReader& reader) {
  std::vector<std::string> events;
  while (auto event = reader.next())
    events.push_back(*event);
  return events;
}

TEST(Sse, FramesOneLineAndManyLines) {
  std::string out;
  append_sse(out, "{\"a\":1}");
  append_sse(out, "x\r\ny");
  EXPECT_EQ(out, "data: {\"a\":1}\n\ndata: x\ndata: y\n\n");
}

TEST(Sse, ReaderSkipsCommentsAndOtherFields) {
  SseReader reader;
  reader.feed(": hello\n\nevent: e\nid: 1\ndata:one\ndata: two\r\n\r\n\ndata\n\n");
  EXPECT_THAT(all_of(reader), ElementsAre("one\ntwo", ""));
}

TEST(Sse, ReaderGivesBackWhatWasWrittenHoweverItIsCut) {
  std::mt19937 random(3);
  std::vector<std::string> sent;
  std::string stream;
  for (int i = 0; i < 200; ++i) {
    std::string data(random() % 40, 'a');
    for (char& c : data)
      c = random() % 9 == 0 ? '\n' : static_cast<char>('a' + random() % 26);
    sent.push_back(data);
    append_sse(stream, data);
  }
  SseReader reader;
  std::vector<std::string> received;
  for (size_t at = 0; at < stream.size();) {
    const size_t n = std::min<size_t>(1 + random() % 30, stream.size() - at);
    ASSERT_TRUE(reader.feed(std::string_view(stream).substr(at, n)));
    for (std::string& event : all_of(reader))
      received.push_back(std::move(event));
    at += n;
  }
  EXPECT_EQ(received, sent);
}

TEST(Sse, ReaderRefusesEndlessEvents) {
  SseReader one_line(1000);
  EXPECT_TRUE(one_line.feed("data: " + std::string(900, 'x')));
  EXPECT_FALSE(one_line.feed(std::string(200, 'x')));
  EXPECT_EQ(one_line.next(), std::nullopt);
  SseReader many_lines(1000);
  bool ok = true;
  for (int i = 0; i < 200 && ok; ++i) {
    ok = many_lines.feed("data: 0123456789\n");
    many_lines.next();
  }
  EXPECT_FALSE(ok);
}

}  // namespace
}  // namespace inferno::net
