#include "serve/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "net/recording_responder.h"
#include "serve/fake_generator.h"

namespace inferno::serve {
namespace {

namespace json = boost::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The least that an answer can be: texts by index.
class PlainAnswer : public Answer {
 public:
  using Answer::Answer;

 protected:
  std::optional<json::object> chunk(size_t index, const request::TokenEvent& event) override {
    if (!is_worth_a_chunk(event)) return std::nullopt;
    return json::object{{"index", index}, {"text", event.text}};
  }
  std::vector<json::object> opening_chunks() override { return {{{"opening", true}}}; }
  json::object whole() override {
    json::array texts;
    for (const ChoiceState& choice : choices_)
      texts.emplace_back(choice.text);
    return envelope("plain", std::move(texts));
  }
  std::string_view chunk_object() const override { return "plain"; }
};

class AnswerTest : public ::testing::Test {
 protected:
  AnswerTest() {
    ServedModel model;
    model.names = {"m"};
    model.tokenizer = tokenizer_.get();
    model.generator = &generator_;
    entry_ = std::make_shared<const ModelEntry>(model, registry_);
    context_.responder = responder_;
    context_.entry = entry_;
    context_.id = "id";
    context_.call.choice_count = 2;
    context_.prompts = {{{1, 2, 3}, "", 5}};
  }

  static request::TokenEvent event(const std::string& text,
                                   std::optional<request::FinishReason> finish = {}) {
    request::TokenEvent out;
    out.tokens.resize(1);
    out.text = text;
    out.finish = finish;
    return out;
  }

  std::unique_ptr<token::Tokenizer> tokenizer_ = make_byte_tokenizer();
  FakeGenerator generator_;
  MetricRegistry registry_;
  EntryPtr entry_;
  std::shared_ptr<net::RecordingResponder> responder_ = std::make_shared<net::RecordingResponder>();
  AnswerContext context_;
};

constexpr auto kStop = request::FinishReason::kStop;

TEST_F(AnswerTest, IsSentWhenTheLastChoiceEnds) {
  PlainAnswer answer(context_);
  EXPECT_TRUE(answer.on_event(1, event("x", kStop)));
  EXPECT_FALSE(responder_->is_complete);
  EXPECT_TRUE(answer.on_event(0, event("a")));
  EXPECT_TRUE(answer.on_event(0, event("b", kStop)));
  ASSERT_TRUE(responder_->is_complete);
  const json::value out = json::parse(responder_->body);
  EXPECT_EQ(json::serialize(out.at("choices")), R"(["ab","x"])");
  EXPECT_EQ(out.at("usage").at("prompt_tokens"), 3);
  EXPECT_EQ(out.at("usage").at("completion_tokens"), 3);
}

TEST_F(AnswerTest, StreamsOpeningThenChunksThenDone) {
  context_.call.stream = true;
  PlainAnswer answer(context_);
  answer.on_event(0, event("a", kStop));
  EXPECT_THAT(responder_->body, StartsWith("data: {\"opening\":true}\n\ndata: {\"index\":0,"));
  answer.on_event(1, event(""));
  answer.on_event(1, event("", kStop));
  EXPECT_THAT(responder_->body, EndsWith("data: {\"index\":1,\"text\":\"\"}\n\ndata: [DONE]\n\n"));
  EXPECT_TRUE(responder_->is_complete);
}

TEST_F(AnswerTest, UsageOfAChunkIsItsChoices) {
  context_.call.stream = true;
  context_.call.continuous_usage = true;
  PlainAnswer answer(context_);
  answer.on_event(0, event("a"));
  answer.on_event(0, event("b"));
  answer.on_event(1, event("x"));
  EXPECT_THAT(responder_->body, StartsWith("data: {\"opening\":true,\"usage\":{\"prompt_tokens\":3,"
                                           "\"total_tokens\":3,\"completion_tokens\":0,"));
  EXPECT_THAT(responder_->body,
              HasSubstr("\"text\":\"b\",\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5"));
  EXPECT_THAT(responder_->body,
              HasSubstr("\"text\":\"x\",\"usage\":{\"prompt_tokens\":3,\"total_tokens\":4"));
}

TEST_F(AnswerTest, AnErrorEndsTheAnswerAndTheOtherChoices) {
  request::TokenEvent broken = event("", request::FinishReason::kAbort);
  broken.error = Error{Fault::kDeadline, "too late", ""};
  PlainAnswer whole(context_);
  EXPECT_FALSE(whole.on_event(0, broken));
  EXPECT_EQ(responder_->status, 504);
  context_.call.stream = true;
  responder_->body.clear();
  PlainAnswer streamed(context_);
  streamed.on_event(1, event("x"));
  EXPECT_FALSE(streamed.on_event(0, broken));
  EXPECT_THAT(responder_->body, EndsWith("\"code\":504}}\n\ndata: [DONE]\n\n"));
}

TEST_F(AnswerTest, AnErrorBeforeTheFirstChunkOfAStreamIsAStatus) {
  context_.call.stream = true;
  request::TokenEvent late = event("", request::FinishReason::kError);
  late.tokens.clear();
  late.error = Error{Fault::kDeadline, "too late", ""};
  PlainAnswer answer(context_);
  EXPECT_FALSE(answer.on_event(0, late));
  EXPECT_EQ(responder_->status, 504);
  EXPECT_TRUE(responder_->is_complete);
  EXPECT_THAT(responder_->body, StartsWith("{\"error\":"));
}

TEST_F(AnswerTest, AStreamBeginsWithItsFirstChunk) {
  context_.call.stream = true;
  PlainAnswer answer(context_);
  EXPECT_EQ(responder_->status, 0);
  answer.on_event(0, event("a"));
  EXPECT_EQ(responder_->status, 200);
  EXPECT_EQ(responder_->header("Content-Type"), "text/event-stream; charset=utf-8");
}

TEST_F(AnswerTest, AnAbortWithoutErrorIsAFinishReason) {
  PlainAnswer answer(context_);
  EXPECT_TRUE(answer.on_event(0, event("a", request::FinishReason::kAbort)));
  EXPECT_TRUE(answer.on_event(1, event("b", kStop)));
  EXPECT_EQ(responder_->status, 200);
}

}  // namespace
}  // namespace inferno::serve
