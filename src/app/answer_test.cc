#include "app/answer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace inferno::app {
namespace {

// Says "a" again and again until it has said it max_tokens times or is cancelled.
class Parrot final : public request::Generator {
 public:
  ~Parrot() override {
    if (thread_.joinable()) thread_.join();
  }
  RequestId next_id() override { return {++ids_}; }
  Result<void> submit(request::Request request, std::shared_ptr<request::EventSink> sink) override {
    if (request.prompt.empty()) return fail(Fault::kInvalid, "nothing to say");
    thread_ = std::thread([this, request, sink] {
      for (int said = 1;; ++said) {
        request::TokenEvent event;
        event.id = request.id;
        const bool is_last = said == request.sampling.max_tokens;
        if (cancelled_) {
          event.finish = request::FinishReason::kAbort;
          event.error = Error{Fault::kCancelled, "cancelled", {}};
        } else {
          event.text = "a";
          event.tokens.resize(1);
          if (is_last) event.finish = request::FinishReason::kLength;
        }
        event.stats.generated_tokens = said;
        const bool ends = event.finish.has_value();
        sink->on_event(std::move(event));
        if (ends) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    return {};
  }
  void cancel(RequestId) override { cancelled_ = true; }
  int max_model_len() const override { return 100; }
  bool healthy() const override { return true; }

 private:
  std::thread thread_;
  std::atomic<bool> cancelled_{false};
  uint64_t ids_ = 0;
};

TEST(Generate, CollectsTextAndTokensToTheEnd) {
  Parrot parrot;
  request::Request request;
  request.prompt = {1};
  request.sampling.max_tokens = 5;
  std::string heard;
  const auto answer = generate(parrot, request, [&](const std::string& piece) {
    heard += piece;
    return true;
  });
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "aaaaa");
  EXPECT_EQ(heard, "aaaaa");
  EXPECT_EQ(answer->tokens.size(), 5u);
  EXPECT_EQ(answer->finish, request::FinishReason::kLength);
}

TEST(Generate, CancelsWhenTheListenerHasHeardEnough) {
  Parrot parrot;
  request::Request request;
  request.prompt = {1};
  request.sampling.max_tokens = 1'000'000;
  const auto answer =
      generate(parrot, request, [](const std::string& piece) { return piece.empty(); });
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->finish, request::FinishReason::kAbort);
  EXPECT_FALSE(answer->text.empty());
}

TEST(Generate, PassesOnARefusal) {
  Parrot parrot;
  const auto answer = generate(parrot, {}, [](const std::string&) { return true; });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, Fault::kInvalid);
}

}  // namespace
}  // namespace inferno::app
