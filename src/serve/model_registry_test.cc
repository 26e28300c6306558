#include "serve/model_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <random>

#include "serve/fake_loader.h"

namespace inferno::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelRegistryTest : public ::testing::Test {
 protected:
  using Answer = std::future<Result<EntryPtr>>;

  void make(RegistryOptions options, const std::vector<std::string>& sources = {}) {
    registry_ = std::make_unique<ModelRegistry>(options, &loader_, metrics_, clock_);
    for (const std::string& source : sources) {
      ASSERT_TRUE(registry_->list({.names = {"name-" + source}, .source = source}));
    }
  }

  // What acquire() gives, now or later.
  Answer acquire(const std::string& name) {
    auto promise = std::make_shared<std::promise<Result<EntryPtr>>>();
    Answer answer = promise->get_future();
    auto now = registry_->acquire(
        name, [promise](Result<EntryPtr> entry) { promise->set_value(std::move(entry)); });
    if (now) promise->set_value(std::move(*now));
    return answer;
  }
  Answer load(const std::string& name, const std::string& source) {
    return change({.spec = {.names = {name}, .source = source}, .replaces = false});
  }
  Answer replace(const std::string& name, const std::string& source) {
    return change({.spec = {.names = {name}, .source = source}, .replaces = true});
  }
  Answer change(ModelRegistry::Change wanted) {
    auto promise = std::make_shared<std::promise<Result<EntryPtr>>>();
    Answer answer = promise->get_future();
    registry_->load(std::move(wanted),
                    [promise](Result<EntryPtr> entry) { promise->set_value(std::move(entry)); });
    return answer;
  }
  ServingState state(const std::string& name) {
    for (const ModelStatus& status : registry_->statuses())
      if (status.spec.names.front() == name) return status.state;
    return ServingState::kStopped;
  }
  bool is_alive(int count) {
    return eventually([&] { return loader_.alive_count() == count; });
  }

  FakeLoader loader_;
  MetricRegistry metrics_;
  ManualClock clock_;
  std::unique_ptr<ModelRegistry> registry_;
};

TEST_F(ModelRegistryTest, LoadsWhatIsListedInOrder) {
  make({}, {"a", "b"});
  EXPECT_FALSE(registry_->loads_on_demand());
  EXPECT_EQ(registry_->find("name-a").error().fault, Fault::kOverloaded);
  ASSERT_TRUE(registry_->load_listed());
  EXPECT_THAT(loader_.loads(), ElementsAre("a", "b"));
  EXPECT_EQ((*registry_->find("name-b"))->name(), "name-b");
  EXPECT_EQ((*registry_->find(""))->name(), "name-a");
  EXPECT_EQ(registry_->find("c").error().fault, Fault::kNotFound);
}

TEST_F(ModelRegistryTest, AListedModelThatFailsIsTold) {
  loader_.set_failing({"b"});
  make({}, {"a", "b"});
  const auto loaded = registry_->load_listed();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message, "b is broken");
  EXPECT_EQ(state("name-b"), ServingState::kFailed);
}

TEST_F(ModelRegistryTest, RefusesNamesThatAreTakenOrEmpty) {
  make({}, {"a"});
  EXPECT_FALSE(registry_->list({.names = {"name-a"}, .source = "x"}));
  EXPECT_FALSE(registry_->list({.names = {"x", "x"}, .source = "x"}));
  EXPECT_FALSE(registry_->list({.names = {""}, .source = "x"}));
  EXPECT_FALSE(registry_->list({.names = {}, .source = "x"}));
  ServedModel model;
  model.names = {"other"};
  EXPECT_FALSE(registry_->add(model));
}

TEST_F(ModelRegistryTest, RequestsForALazyModelWaitForOneLoad) {
  make({.is_lazy = true}, {"a"});
  ASSERT_TRUE(registry_->load_listed());
  EXPECT_THAT(loader_.loads(), ElementsAre());
  loader_.hold();
  Answer first = acquire("name-a");
  Answer second = acquire("");
  ASSERT_TRUE(loader_.wait_for_loads(1));
  EXPECT_EQ(state("name-a"), ServingState::kLoading);
  EXPECT_TRUE(registry_->is_loading());
  loader_.release();
  const EntryPtr entry = *first.get();
  EXPECT_EQ(entry, *second.get());
  EXPECT_EQ(entry, *acquire("name-a").get());
  EXPECT_THAT(loader_.loads(), ElementsAre("a"));
  EXPECT_EQ(state("name-a"), ServingState::kReady);
}

TEST_F(ModelRegistryTest, AFailedLoadIsToldAndTriedAgainAfterAWhile) {
  make({.is_lazy = true}, {"a"});
  loader_.set_failing({"a"});
  EXPECT_EQ(acquire("name-a").get().error().message, "a is broken");
  const auto again = acquire("name-a").get();
  EXPECT_THAT(again.error().message, HasSubstr("a is broken"));
  EXPECT_GT(again.error().retry_after_s.value_or(0.0), 5.0);
  EXPECT_EQ(loader_.loads().size(), 1u);
  loader_.set_failing({});
  clock_.advance(11.0);
  EXPECT_TRUE(acquire("name-a").get());
}

TEST_F(ModelRegistryTest, AWaitEndsAfterItsTime) {
  make({.is_lazy = true, .load_wait_s = 30.0}, {"a"});
  loader_.hold();
  Answer waiting = acquire("name-a");
  ASSERT_TRUE(loader_.wait_for_loads(1));
  clock_.advance(31.0);
  registry_->tick();
  EXPECT_THAT(waiting.get().error().message, HasSubstr("still loading after 30"));
  loader_.release();
  EXPECT_TRUE(acquire("name-a").get());
}

TEST_F(ModelRegistryTest, UnusedModelsLeaveMemoryAndComeBack) {
  make({.idle_unload_s = 60.0}, {"a", "b"});
  ASSERT_TRUE(registry_->load_listed());
  const EntryPtr held = *registry_->find("name-b");
  clock_.advance(59.0);
  registry_->tick();
  EXPECT_EQ(state("name-a"), ServingState::kReady);
  clock_.advance(2.0);
  registry_->tick();
  EXPECT_EQ(state("name-a"), ServingState::kStopped);
  EXPECT_EQ(state("name-b"), ServingState::kReady) << "a request runs on it";
  EXPECT_TRUE(is_alive(1));
  EXPECT_TRUE(acquire("name-a").get());
  EXPECT_EQ(loader_.alive_count(), 2);
}

TEST_F(ModelRegistryTest, ARunningRequestCountsAsUseUntilItEnds) {
  make({.idle_unload_s = 10.0}, {"a"});
  ASSERT_TRUE(registry_->load_listed());
  EntryPtr held = *registry_->find("name-a");
  for (int i = 0; i < 5; ++i) {
    clock_.advance(8.0);
    registry_->tick();
  }
  held.reset();
  clock_.advance(8.0);
  registry_->tick();
  EXPECT_EQ(state("name-a"), ServingState::kReady);
  clock_.advance(3.0);
  registry_->tick();
  EXPECT_EQ(state("name-a"), ServingState::kStopped);
}

TEST_F(ModelRegistryTest, ListedModelsBeyondTheBudgetWaitForTheirFirstRequest) {
  make({.memory_budget_bytes = 100}, {"a60", "b60", "c30"});
  ASSERT_TRUE(registry_->load_listed());
  EXPECT_THAT(loader_.loads(), ElementsAre("a60", "c30"));
  EXPECT_EQ(state("name-b60"), ServingState::kStopped);
  EXPECT_TRUE(acquire("name-b60").get());
  EXPECT_EQ(state("name-a60"), ServingState::kStopped);
  EXPECT_EQ(state("name-c30"), ServingState::kReady) << "there was room for it";
}

TEST_F(ModelRegistryTest, RoomIsMadeByTheLongestUnusedModel) {
  make({.is_lazy = true, .memory_budget_bytes = 100}, {"a40", "b40", "c40"});
  for (const char* name : {"name-a40", "name-b40", "name-a40"}) {
    clock_.advance(1.0);
    EXPECT_TRUE(acquire(name).get());
  }
  clock_.advance(1.0);
  EXPECT_TRUE(acquire("name-c40").get());
  EXPECT_EQ(state("name-a40"), ServingState::kReady);
  EXPECT_EQ(state("name-b40"), ServingState::kStopped);
  EXPECT_TRUE(is_alive(2));
}

TEST_F(ModelRegistryTest, RoomIsWaitedForWhileModelsAreInUse) {
  make({.is_lazy = true, .memory_budget_bytes = 50}, {"a40", "b40"});
  EntryPtr held = *acquire("name-a40").get();
  Answer waiting = acquire("name-b40");
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_EQ(loader_.loads().size(), 1u);
  held.reset();
  EXPECT_TRUE(waiting.get());
  EXPECT_TRUE(is_alive(1));
}

TEST_F(ModelRegistryTest, AModelBeyondTheBudgetIsRefused) {
  make({.is_lazy = true, .memory_budget_bytes = 50}, {"a60"});
  const auto refused = acquire("name-a60").get();
  EXPECT_EQ(refused.error().fault, Fault::kOverloaded);
  EXPECT_THAT(refused.error().message, HasSubstr("budget"));
}

TEST_F(ModelRegistryTest, AnUnloadedModelLivesUntilItsLastRequestEnds) {
  make({}, {"a", "b"});
  ASSERT_TRUE(registry_->load_listed());
  EntryPtr held = *registry_->find("name-a");
  EXPECT_TRUE(*registry_->unload("name-a"));
  EXPECT_EQ(registry_->find("name-a").error().fault, Fault::kNotFound);
  EXPECT_EQ(state("name-a"), ServingState::kDraining);
  EXPECT_TRUE(held->model.generator->healthy());
  EXPECT_EQ(loader_.alive_count(), 2);
  held.reset();
  EXPECT_TRUE(is_alive(1));
  EXPECT_EQ(state("name-a"), ServingState::kStopped);
  EXPECT_FALSE(*registry_->unload("name-b"));
  EXPECT_TRUE(is_alive(0));
  EXPECT_EQ(registry_->unload("name-b").error().fault, Fault::kNotFound);
  EXPECT_EQ(registry_->find("").error().fault, Fault::kNotFound);
}

TEST_F(ModelRegistryTest, LoadsUnderANameOfItsOwn) {
  make({});
  loader_.hold();
  Answer loading = load("x", "a");
  ASSERT_TRUE(loader_.wait_for_loads(1));
  EXPECT_EQ(replace("x", "b").get().error().fault, Fault::kOverloaded);
  EXPECT_EQ(registry_->unload("x").error().fault, Fault::kOverloaded);
  loader_.release();
  EXPECT_TRUE(loading.get());
  const auto taken = load("x", "b").get();
  EXPECT_EQ(taken.error().fault, Fault::kInvalid);
  EXPECT_EQ(taken.error().param, "name");
}

TEST_F(ModelRegistryTest, ALoadThatFailsLeavesNoName) {
  make({});
  loader_.set_failing({"a"});
  EXPECT_EQ(load("x", "a").get().error().fault, Fault::kCorrupt);
  EXPECT_TRUE(registry_->statuses().empty());
  EXPECT_EQ(registry_->find("x").error().fault, Fault::kNotFound);
}

TEST_F(ModelRegistryTest, AReplacementIsLoadedBesideTheModelInService) {
  make({}, {"a"});
  ASSERT_TRUE(registry_->load_listed());
  EntryPtr old = *registry_->find("name-a");
  loader_.hold();
  Answer loading = replace("name-a", "b");
  ASSERT_TRUE(loader_.wait_for_loads(2));
  EXPECT_EQ(*registry_->find("name-a"), old);
  EXPECT_EQ(state("name-a"), ServingState::kReady);
  loader_.release();
  const EntryPtr next = *loading.get();
  EXPECT_EQ(*registry_->find("name-a"), next);
  EXPECT_EQ(next->model.root, "b");
  EXPECT_EQ(old->model.root, "a");
  EXPECT_EQ(registry_->statuses().size(), 2u) << "the old one drains";
  old.reset();
  EXPECT_TRUE(is_alive(1));
  EXPECT_EQ(registry_->statuses().size(), 1u);
}

TEST_F(ModelRegistryTest, AReplacementThatFailsChangesNothing) {
  make({}, {"a"});
  ASSERT_TRUE(registry_->load_listed());
  loader_.set_failing({"b"});
  EXPECT_FALSE(replace("name-a", "b").get());
  EXPECT_EQ((*registry_->find("name-a"))->model.root, "a");
  loader_.set_failing({});
  EXPECT_TRUE(replace("name-a", "b").get());
  EXPECT_EQ((*registry_->find("name-a"))->model.root, "b");
}

TEST_F(ModelRegistryTest, ABrokenEngineIsAFailedModel) {
  make({}, {"a"});
  ASSERT_TRUE(registry_->load_listed());
  loader_.generator("a").is_healthy = false;
  EXPECT_EQ(state("name-a"), ServingState::kFailed);
}

TEST_F(ModelRegistryTest, PublishesOneStateAName) {
  make({}, {"a"});
  ASSERT_TRUE(registry_->load_listed());
  registry_->publish_states();
  const auto shows = [&](const char* state, const char* value) {
    const std::string line = std::string("inferno:model_state{model_name=\"name-a\",state=\"") +
                             state + "\"} " + value + "\n";
    return metrics_.exposition().find(line) != std::string::npos;
  };
  EXPECT_TRUE(shows("ready", "1.0"));
  EXPECT_TRUE(shows("stopped", "0.0"));
  ASSERT_TRUE(registry_->unload("name-a"));
  registry_->publish_states();
  EXPECT_TRUE(shows("ready", "0.0"));
  EXPECT_TRUE(shows("stopped", "1.0"));
}

// Clients acquire and let go of random models while an operator loads, replaces and unloads: every
// entry is the one of its name, memory stays within the budget, and nothing is left at the end.
TEST_F(ModelRegistryTest, SurvivesRandomUseByManyThreads) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  make({.is_lazy = true, .memory_budget_bytes = 60}, {"a20", "b20", "c20", "d20", "e20"});
  std::atomic<int> served{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(seed + t);
      for (int i = 0; i < 150; ++i) {
        const std::string name = std::string("name-") + "abcde"[random() % 5] + "20";
        const Result<EntryPtr> entry = acquire(name).get();
        if (!entry) continue;
        ++served;
        if ((*entry)->name() != name || !(*entry)->model.generator->healthy()) ++wrong;
        if (random() % 4 == 0) std::this_thread::yield();
      }
    });
  }
  std::mt19937 random(seed + 100);
  for (int i = 0; i < 60; ++i) {
    clock_.advance(1.0);
    const std::string source = std::string(1, "abcde"[random() % 5]) + "20";
    if (random() % 3 == 0) {
      (void)registry_->unload("name-" + source);
      (void)registry_->list({.names = {"name-" + source}, .source = source});
    } else {
      replace("name-" + source, source).wait();
    }
    EXPECT_LE(loader_.alive_count(), 3);
    registry_->publish_states();
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_GT(served, 0);
  EXPECT_EQ(wrong, 0);
  registry_.reset();
  EXPECT_EQ(loader_.alive_count(), 0);
}

}  // namespace
}  // namespace inferno::serve
