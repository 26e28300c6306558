#include "serve/model_reaper.h"

#include <utility>

namespace inferno::serve {

ModelReaper::ModelReaper(Housekeeping housekeeping)
    : housekeeping_(std::move(housekeeping)), thread_([this] { work(); }) {}

ModelReaper::~ModelReaper() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return live_count_ == 0; });
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

EntryPtr ModelReaper::adopt(std::unique_ptr<ModelEntry> entry) {
  {
    const std::lock_guard lock(mutex_);
    live_bytes_ += entry->model.memory_bytes;
    ++live_count_;
    dead_.reserve(live_count_);  // so that letting go never allocates
  }
  return EntryPtr(entry.release(), [this](const ModelEntry* gone) {
    const std::lock_guard lock(mutex_);
    dead_.emplace_back(const_cast<ModelEntry*>(gone));
    changed_.notify_all();
  });
}

size_t ModelReaper::live_bytes() const {
  const std::lock_guard lock(mutex_);
  return live_bytes_;
}

size_t ModelReaper::live_count() const {
  const std::lock_guard lock(mutex_);
  return live_count_;
}

void ModelReaper::wait_for_burial(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const size_t before = live_count_;
  changed_.wait_for(lock, patience, [&] { return live_count_ < before; });
}

void ModelReaper::work() {
  std::unique_lock lock(mutex_);
  auto next_housekeeping = std::chrono::steady_clock::now() + housekeeping_.period;
  const auto is_due = [this] { return is_stopping_ || !dead_.empty(); };
  while (!is_stopping_) {
    if (housekeeping_.work) {
      changed_.wait_until(lock, next_housekeeping, is_due);
    } else {
      changed_.wait(lock, is_due);
    }
    while (!dead_.empty()) {
      std::unique_ptr<ModelEntry> entry = std::move(dead_.back());
      dead_.pop_back();
      const size_t bytes = entry->model.memory_bytes;
      lock.unlock();
      entry.reset();
      lock.lock();
      live_bytes_ -= bytes;
      --live_count_;
      changed_.notify_all();
    }
    if (!housekeeping_.work || is_stopping_) continue;
    if (std::chrono::steady_clock::now() < next_housekeeping) continue;
    lock.unlock();
    housekeeping_.work();
    lock.lock();
    next_housekeeping = std::chrono::steady_clock::now() + housekeeping_.period;
  }
}

}  // namespace inferno::serve
