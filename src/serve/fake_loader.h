// A model loader for tests: models are fake generators, loading takes as long as the test wants.
//
// Threads: as ModelLoader's; the rest is the test's thread.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "serve/fake_generator.h"
#include "serve/model_loader.h"

namespace inferno::serve {

class FakeLoader final : public ModelLoader {
 public:
  Result<ServedModel> load(const ModelSpec& spec) override {
    std::unique_lock lock(mutex_);
    loads_.push_back(spec.source);
    changed_.notify_all();
    changed_.wait(lock, [this] { return !is_held_; });
    if (failing_.contains(spec.source)) return fail(Fault::kCorrupt, "{} is broken", spec.source);
    auto parts = std::make_shared<Parts>();
    // Every token of the answer spells where the model came from.
    parts->generator.set_script([source = spec.source](const request::Request& request) {
      auto events = FakeGenerator::alphabet(request);
      for (request::TokenEvent& event : events)
        event.text = source;
      return events;
    });
    ServedModel model;
    model.root = spec.source;
    model.tokenizer = tokenizer_.get();
    model.generator = &parts->generator;
    model.memory_bytes = bytes_of(spec.source);
    parts->alive = alive_;
    ++*alive_;
    generators_[spec.source] = &parts->generator;
    model.owner = std::move(parts);
    return model;
  }

  Result<size_t> estimate_bytes(const ModelSpec& spec) override { return bytes_of(spec.source); }

  Result<std::string> check_source(const std::string& source) override {
    if (source.starts_with("/")) {
      return fail_field("model", "model is {}, which may not be loaded", source);
    }
    return source;
  }

  // While held, loads do not end.
  void hold() {
    const std::lock_guard lock(mutex_);
    is_held_ = true;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    is_held_ = false;
    changed_.notify_all();
  }
  void set_failing(std::set<std::string> sources) {
    const std::lock_guard lock(mutex_);
    failing_ = std::move(sources);
  }
  // Sources whose load has begun, in order.
  std::vector<std::string> loads() {
    const std::lock_guard lock(mutex_);
    return loads_;
  }
  bool wait_for_loads(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return loads_.size() >= count; });
  }
  // The generator of the latest load of that source. Requires: it is alive.
  FakeGenerator& generator(const std::string& source) {
    const std::lock_guard lock(mutex_);
    return *generators_.at(source);
  }
  // Models in memory.
  int alive_count() const { return *alive_; }

 private:
  struct Parts {
    FakeGenerator generator;
    std::shared_ptr<std::atomic<int>> alive;
    ~Parts() { --*alive; }
  };

  // "x100" takes 100 bytes, "x" 10.
  static size_t bytes_of(const std::string& source) {
    const size_t digits = source.find_first_of("0123456789");
    return digits == std::string::npos ? 10 : std::stoul(source.substr(digits));
  }

  std::unique_ptr<token::Tokenizer> tokenizer_ = make_byte_tokenizer();
  std::shared_ptr<std::atomic<int>> alive_ = std::make_shared<std::atomic<int>>(0);
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> loads_;
  std::set<std::string> failing_;
  std::map<std::string, FakeGenerator*> generators_;
  bool is_held_ = false;
};

// Waits until `is_so()`; false when it is not after 20 s.
template <typename Condition>
bool eventually(Condition is_so) {
  for (int i = 0; i < 4000; ++i) {
    if (is_so()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace inferno::serve
