#include "load/answer_reader.h"

#include <gmock/gmock.h>

namespace inferno::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string event(std::string_view data) {
  return "data: " + std::string(data) + "\n\n";
}

std::string completion(std::string_view text) {
  return event(R"({"choices":[{"index":0,"text":")" + std::string(text) + "\"}]}");
}

std::string delta(std::string_view fields) {
  return event(R"({"choices":[{"index":0,"delta":{)" + std::string(fields) + "}}]}");
}

const std::string kUsage =
    event(R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}})");
const std::string kDone = event("[DONE]");

class AnswerReaderTest : public ::testing::Test {
 protected:
  AnswerRecord record_;
};

TEST_F(AnswerReaderTest, TimesChunksOfACompletion) {
  AnswerReader reader(Api::kCompletions, record_);
  EXPECT_TRUE(reader.feed(1.0, completion("a")));
  EXPECT_TRUE(reader.feed(1.5, completion("b")));
  EXPECT_TRUE(reader.feed(1.75, completion("")));
  EXPECT_TRUE(reader.feed(9.0, kUsage + kDone));
  EXPECT_TRUE(reader.finish());
  EXPECT_EQ(record_.first_s, 1.0);
  EXPECT_EQ(record_.last_s, 1.75);
  EXPECT_THAT(record_.gaps_s, ElementsAre(0.5f, 0.25f));
  EXPECT_EQ(record_.chunk_count, 3);
  EXPECT_EQ(record_.text, "ab");
  EXPECT_EQ(record_.prompt_tokens, 7);
  EXPECT_EQ(record_.output_tokens(), 3);
}

TEST_F(AnswerReaderTest, ChatCountsTheRoleChunkAndEndsWithUsage) {
  AnswerReader reader(Api::kChat, record_);
  EXPECT_TRUE(reader.feed(1.0, delta(R"("role":"assistant","content":"")")));
  EXPECT_TRUE(reader.feed(2.0, delta(R"("content":"hi")")));
  EXPECT_TRUE(reader.feed(3.0, kUsage));
  EXPECT_TRUE(reader.feed(4.0, kDone));
  EXPECT_TRUE(reader.finish());
  EXPECT_EQ(record_.first_s, 1.0);
  EXPECT_EQ(record_.last_s, 3.0);
  EXPECT_THAT(record_.gaps_s, ElementsAre(1.0f));
  EXPECT_EQ(record_.text, "hi");
  EXPECT_EQ(record_.text_chunk_count, 1);
}

TEST_F(AnswerReaderTest, CountsChunksWithTextWhenTheServerDoesNotCount) {
  AnswerReader reader(Api::kChat, record_);
  EXPECT_TRUE(reader.feed(1.0, delta(R"("role":"assistant","content":null)")));
  EXPECT_TRUE(reader.feed(2.0, delta(R"("reasoning_content":"hm")") + delta(R"("content":"x")")));
  EXPECT_TRUE(reader.feed(2.0, kDone));
  EXPECT_EQ(record_.prompt_tokens, -1);
  EXPECT_EQ(record_.output_tokens(), 2);
}

TEST_F(AnswerReaderTest, IsTheSameHoweverTheStreamIsSplit) {
  const std::string stream = ": hello\r\n\r\n" + completion("a") + "event: x\nid: 3\n" +
                             completion("b") +
                             "data: {\"choices\":[{\"text\":\"c\",\r\ndata: "
                             "\"finish_reason\":\"length\"}]}\r\n\r\n" +
                             kUsage + kDone;
  for (size_t split = 0; split <= stream.size(); ++split) {
    AnswerRecord record;
    AnswerReader reader(Api::kCompletions, record);
    EXPECT_TRUE(reader.feed(1.0, stream.substr(0, split))) << split;
    EXPECT_TRUE(reader.feed(2.0, stream.substr(split))) << split;
    EXPECT_TRUE(reader.finish()) << split;
    EXPECT_EQ(record.text, "abc") << split;
    EXPECT_EQ(record.chunk_count, 3) << split;
    EXPECT_EQ(record.completion_tokens, 3) << split;
  }
}

TEST_F(AnswerReaderTest, KeepsTokenIds) {
  AnswerReader reader(Api::kCompletions, record_);
  EXPECT_TRUE(reader.feed(
      1.0, event(R"({"choices":[{"text":"a","token_ids":[5,6],"finish_reason":"stop"}]})")));
  EXPECT_TRUE(reader.feed(1.0, event(R"({"choices":[{"text":"","token_ids":null}]})")));
  EXPECT_THAT(record_.token_ids, ElementsAre(5, 6));
  EXPECT_TRUE(reader.finish());
}

TEST_F(AnswerReaderTest, AnErrorEventFailsTheAnswer) {
  for (const char* data :
       {R"({"error":{"message":"out of pages","code":500}})",
        R"({"object":"error","message":"out of pages"})", R"({"error":"out of pages"})"}) {
    AnswerRecord record;
    AnswerReader reader(Api::kCompletions, record);
    EXPECT_TRUE(reader.feed(1.0, completion("a")));
    EXPECT_FALSE(reader.feed(2.0, event(data) + completion("b")));
    EXPECT_FALSE(reader.feed(3.0, kDone));
    const auto end = reader.finish();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().fault, Fault::kInternal);
    EXPECT_EQ(end.error().message, "out of pages");
    EXPECT_EQ(record.text, "a");
  }
}

TEST_F(AnswerReaderTest, RefusesEventsThatAreNoJson) {
  AnswerReader reader(Api::kCompletions, record_);
  EXPECT_EQ(reader.feed(1.0, event("{\"choices\":")).error().fault, Fault::kCorrupt);
}

TEST_F(AnswerReaderTest, AnAnswerThatStopsEarlyIsNotWhole) {
  AnswerReader reader(Api::kCompletions, record_);
  EXPECT_EQ(reader.finish().error().fault, Fault::kPeerGone);
  EXPECT_TRUE(reader.feed(1.0, completion("a")));
  EXPECT_THAT(reader.finish().error().message, HasSubstr("after 1 chunks"));
  EXPECT_TRUE(reader.feed(1.0, kDone));
  EXPECT_TRUE(reader.finish());
}

TEST_F(AnswerReaderTest, SkipsValuesOfUnexpectedTypes) {
  AnswerReader reader(Api::kChat, record_);
  EXPECT_TRUE(reader.feed(
      1.0, event(R"({"choices":[1],"usage":7})") + event(R"({"choices":"x"})") +
               event(R"({"choices":[{"delta":3,"text":4,"token_ids":["x"]}]})") +
               event(R"({"usage":{"prompt_tokens":"7","completion_tokens":1e99}})") + kDone));
  EXPECT_EQ(record_.prompt_tokens, -1);
  EXPECT_EQ(record_.text, "");
}

TEST(ErrorMessage, IsFoundInTheUsualForms) {
  EXPECT_EQ(error_message_of(R"({"error":{"message":"m"}})"), "m");
  EXPECT_EQ(error_message_of(R"({"message":"m"})"), "m");
  EXPECT_EQ(error_message_of(R"({"detail":"m"})"), "m");
  EXPECT_EQ(error_message_of("busy"), "busy");
  EXPECT_EQ(error_message_of(std::string(1000, 'x')).size(), 303U);
}

}  // namespace
}  // namespace inferno::load
