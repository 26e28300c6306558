#include "serve/model_reaper.h"

#include <gtest/gtest.h>

#include <atomic>

#include "serve/fake_loader.h"

namespace inferno::serve {
namespace {

class ModelReaperTest : public ::testing::Test {
 protected:
  std::unique_ptr<ModelEntry> entry(const std::string& source) {
    auto model = loader_.load({.names = {source}, .source = source});
    model->names = {source};
    return std::make_unique<ModelEntry>(std::move(*model), metrics_);
  }

  FakeLoader loader_;
  MetricRegistry metrics_;
};

TEST_F(ModelReaperTest, DestroysWhatNobodyHoldsOnAThreadOfItsOwn) {
  ModelReaper reaper({});
  EntryPtr first = reaper.adopt(entry("a30"));
  EntryPtr second = reaper.adopt(entry("b5"));
  EXPECT_EQ(reaper.live_bytes(), 35u);
  EntryPtr copy = first;
  first.reset();
  EXPECT_EQ(reaper.live_count(), 2u);
  // The last hold goes on the generator's own thread, which its destructor joins.
  request::Generator& generator = *copy->model.generator;
  struct Sink final : request::EventSink {
    explicit Sink(EntryPtr entry) : held(std::move(entry)) {}
    void on_event(request::TokenEvent) override {}
    EntryPtr held;
  };
  request::Request request;
  request.id = generator.next_id();
  request.prompt = {'x'};
  request.sampling.max_tokens = 1;
  ASSERT_TRUE(generator.submit(std::move(request), std::make_shared<Sink>(std::move(copy))));
  EXPECT_TRUE(eventually([&] { return loader_.alive_count() == 1; }));
  EXPECT_TRUE(eventually([&] { return reaper.live_bytes() == 5; }));
}

TEST_F(ModelReaperTest, ItsEndWaitsForTheLastHolder) {
  auto reaper = std::make_unique<ModelReaper>(ModelReaper::Housekeeping{});
  EntryPtr held = reaper->adopt(entry("a"));
  std::atomic<bool> has_let_go{false};
  std::thread holder([&, mine = std::move(held)]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    has_let_go = true;
    mine.reset();
  });
  reaper.reset();
  EXPECT_TRUE(has_let_go);
  EXPECT_EQ(loader_.alive_count(), 0);
  holder.join();
}

TEST_F(ModelReaperTest, KeepsHouseOncePeriod) {
  std::atomic<int> count{0};
  ModelReaper reaper({.work = [&] { ++count; }, .period = std::chrono::milliseconds(1)});
  EXPECT_TRUE(eventually([&] { return count >= 3; }));
}

}  // namespace
}  // namespace inferno::serve
