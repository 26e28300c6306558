#include "serve/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>

#include "net/recording_responder.h"
#include "serve/fake_generator.h"

namespace inferno::serve {
namespace {

// Notes what it reads; refuses to go on after `limit` events.
class NotingReader : public EventReader {
 public:
  NotingReader(std::vector<std::string>& notes, size_t limit) : notes_(notes), limit_(limit) {}
  bool on_event(size_t index, request::TokenEvent event) override {
    notes_.push_back(fmt::format("{}{}", index, event.text));
    return notes_.size() < limit_;
  }

 private:
  std::vector<std::string>& notes_;
  size_t limit_;
};

class GenerationTest : public ::testing::Test {
 protected:
  GenerationPlan plan(int choice_count) {
    GenerationPlan out;
    out.prompts = {{'p'}, {'q'}};
    out.max_tokens = {2, 1};
    out.choice_count = choice_count;
    return out;
  }
  EntryPtr entry(request::Generator& generator) {
    ServedModel model;
    model.names = {"m"};
    model.tokenizer = tokenizer_.get();
    model.generator = &generator;
    return std::make_shared<const ModelEntry>(std::move(model), registry_);
  }
  Result<void> start(GenerationPlan what, size_t limit = 1000) {
    return Generation::start(entry(generator_), responder_, std::move(what),
                             std::make_unique<NotingReader>(notes_, limit));
  }
  std::vector<std::string> notes_of(char index) {
    std::vector<std::string> out;
    for (const std::string& note : notes_) {
      if (note[0] == index) out.push_back(note);
    }
    return out;
  }

  MetricRegistry registry_;
  std::unique_ptr<token::Tokenizer> tokenizer_ = make_byte_tokenizer();
  std::shared_ptr<net::RecordingResponder> responder_ = std::make_shared<net::RecordingResponder>();
  std::vector<std::string> notes_;
  FakeGenerator generator_;
};

TEST_F(GenerationTest, BringsEventsInOrderToTheStrand) {
  ASSERT_TRUE(start(plan(2)));
  while (notes_.size() < 6)
    ASSERT_TRUE(responder_->run_tasks());
  EXPECT_THAT(notes_of('0'), ::testing::ElementsAre("0a", "0b"));
  EXPECT_THAT(notes_of('1'), ::testing::ElementsAre("1a", "1b"));
  EXPECT_THAT(notes_of('3'), ::testing::ElementsAre("3a"));
  EXPECT_EQ(generator_.requests().at(2).sampling.max_tokens, 1);
}

TEST_F(GenerationTest, EverySequenceCarriesWhoAsksAndHowUrgently) {
  GenerationPlan what = plan(2);
  what.priority = -3;
  what.service_class = request::ServiceClass::kBatch;
  what.client = "account";
  what.cache_salt = "salt";
  what.deadline = TimePoint(std::chrono::seconds(77));
  generator_.hold();
  ASSERT_TRUE(start(what));
  const std::vector<request::Request> requests = generator_.requests();
  ASSERT_EQ(requests.size(), 4u);
  for (const request::Request& each : requests) {
    EXPECT_EQ(each.priority, -3);
    EXPECT_EQ(each.service_class, request::ServiceClass::kBatch);
    EXPECT_EQ(each.client, "account");
    EXPECT_EQ(each.cache_salt, "salt");
    EXPECT_EQ(each.deadline, what.deadline);
  }
  responder_->disconnect();
}

TEST_F(GenerationTest, LaterChoicesAreForksOfTheFirstOfTheirPrompt) {
  generator_.hold();
  ASSERT_TRUE(start(plan(2)));
  const std::vector<request::Request> requests = generator_.requests();
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_EQ(requests[0].fork_of, std::nullopt);
  EXPECT_EQ(requests[1].fork_of, requests[0].id);
  EXPECT_EQ(requests[2].fork_of, std::nullopt);
  EXPECT_EQ(requests[3].fork_of, requests[2].id);
  responder_->disconnect();
}

TEST_F(GenerationTest, AReaderThatHasEnoughCancelsTheRest) {
  generator_.hold();
  ASSERT_TRUE(start(plan(1), 1));
  generator_.release();
  ASSERT_TRUE(responder_->run_tasks());
  EXPECT_TRUE(generator_.wait_for_cancels(2));
  EXPECT_EQ(notes_.size(), 1u);
}

TEST_F(GenerationTest, ADisconnectCancelsEverySequence) {
  generator_.hold();
  ASSERT_TRUE(start(plan(2)));
  responder_->disconnect();
  EXPECT_TRUE(generator_.wait_for_cancels(4));
}

TEST_F(GenerationTest, AThrowingSubmitCancelsTheSequencesBeforeIt) {
  class Throwing : public FakeGenerator {
   public:
    Result<void> submit(request::Request request,
                        std::shared_ptr<request::EventSink> sink) override {
      if (requests().size() == 2) throw std::bad_alloc();
      return FakeGenerator::submit(std::move(request), std::move(sink));
    }
  };
  Throwing generator;
  generator.hold();
  EXPECT_THROW((void)Generation::start(entry(generator), responder_, plan(2),
                                       std::make_unique<NotingReader>(notes_, 1000)),
               std::bad_alloc);
  EXPECT_TRUE(generator.wait_for_cancels(2));
  ASSERT_TRUE(responder_->run_tasks());
  EXPECT_TRUE(notes_.empty());
}

TEST_F(GenerationTest, AClientThatIsGoneAlreadyCancelsEverySequence) {
  class Gone : public net::RecordingResponder {
   public:
    void on_disconnect(std::function<void()> callback) override { callback(); }
  };
  generator_.hold();
  ASSERT_TRUE(Generation::start(entry(generator_), std::make_shared<Gone>(), plan(1),
                                std::make_unique<NotingReader>(notes_, 1000)));
  EXPECT_TRUE(generator_.wait_for_cancels(2));
}

TEST_F(GenerationTest, ARefusedSequenceCancelsTheOthersAndTellsNothing) {
  generator_.hold();
  generator_.refuse({Fault::kOverloaded, "full", ""}, 1);
  const auto started = start(plan(1));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().fault, Fault::kOverloaded);
  EXPECT_TRUE(generator_.wait_for_cancels(1));
  ASSERT_TRUE(responder_->run_tasks());
  EXPECT_TRUE(notes_.empty());
}

}  // namespace
}  // namespace inferno::serve
