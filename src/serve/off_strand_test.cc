#include "serve/off_strand.h"

#include <gtest/gtest.h>

#include <future>
#include <new>
#include <thread>

#include "net/recording_responder.h"

namespace inferno::serve {
namespace {

constexpr size_t kLong = kInlineBodyBytes + 1;

class OffStrand : public ::testing::Test {
 protected:
  // Keeps the queue's thread busy until open() is called.
  void block() {
    std::promise<void> begun;
    ASSERT_TRUE(queue_.try_post([&, gate = gate_.get_future().share()] {
      begun.set_value();
      gate.wait();
    }));
    begun.get_future().wait();
  }
  void open() { gate_.set_value(); }

  std::shared_ptr<net::RecordingResponder> responder_ = std::make_shared<net::RecordingResponder>();
  std::promise<void> gate_;
  WorkQueue queue_{1, 1};
};

TEST_F(OffStrand, ShortWorkIsDoneAtOnceHere) {
  const auto here = std::this_thread::get_id();
  int step = 0;
  run_off_strand(queue_, kInlineBodyBytes, responder_, [&] {
    EXPECT_EQ(std::this_thread::get_id(), here);
    EXPECT_EQ(++step, 1);
    return [&] { EXPECT_EQ(++step, 2); };
  });
  EXPECT_EQ(step, 2);
}

TEST_F(OffStrand, LongWorkIsDoneElsewhereAndGoesOnOnTheStrand) {
  const auto here = std::this_thread::get_id();
  bool went_on = false;
  run_off_strand(queue_, kLong, responder_, [&] {
    EXPECT_NE(std::this_thread::get_id(), here);
    return [&] {
      EXPECT_EQ(std::this_thread::get_id(), here);
      went_on = true;
    };
  });
  ASSERT_TRUE(responder_->run_tasks());
  EXPECT_TRUE(went_on);
}

TEST_F(OffStrand, TooMuchLongWorkIs429) {
  block();
  run_off_strand(queue_, kLong, responder_, [] { return [] {}; });
  EXPECT_FALSE(responder_->is_complete);
  const auto second = std::make_shared<net::RecordingResponder>();
  run_off_strand(queue_, kLong, second, [] { return [] {}; });
  EXPECT_EQ(second->status, 429);
  EXPECT_EQ(second->header("Retry-After"), "1");
  open();
}

TEST_F(OffStrand, WorkForAClientThatWentIsNotDone) {
  block();
  bool done = false;
  run_off_strand(queue_, kLong, responder_, [&] {
    done = true;
    return [] {};
  });
  responder_->disconnect();
  open();
  std::promise<void> after;
  while (!queue_.try_post([&] { after.set_value(); }))
    std::this_thread::yield();
  after.get_future().wait();
  EXPECT_FALSE(done);
}

TEST_F(OffStrand, WorkThatThrowsIsAnsweredByItsTrouble) {
  const auto status_after = [this](auto trouble) {
    const auto responder = std::make_shared<net::RecordingResponder>();
    run_off_strand(queue_, kLong, responder, [=]() -> std::function<void()> { throw trouble; });
    std::promise<void> after;
    while (!queue_.try_post([&] { after.set_value(); }))
      std::this_thread::yield();
    after.get_future().wait();
    return responder->status;
  };
  EXPECT_EQ(status_after(std::bad_alloc()), 503);
  EXPECT_EQ(status_after(std::runtime_error("a test's exception")), 500);
}

}  // namespace
}  // namespace inferno::serve
