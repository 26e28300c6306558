#include "base/memory_tracker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/metrics.h"

namespace inferno {

void MemoryAccount::add_here(size_t bytes) {
  const size_t now = now_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  size_t peak = peak_bytes_.load(std::memory_order_relaxed);
  while (peak < now && !peak_bytes_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
  block_count_.fetch_add(1, std::memory_order_relaxed);
  allocation_count_.fetch_add(1, std::memory_order_relaxed);
}

void MemoryAccount::add(size_t bytes) {
  add_here(bytes);
  if (total_ != nullptr) total_->add_here(bytes);
}

void MemoryAccount::subtract(size_t bytes) {
  const size_t before = now_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  CHECK(before >= bytes, "{} bytes given back to an account that holds {}", bytes, before);
  block_count_.fetch_sub(1, std::memory_order_relaxed);
  if (total_ != nullptr) total_->subtract(bytes);
}

MemoryUse MemoryAccount::use() const {
  return {.owner = {},
          .now_bytes = now_bytes_.load(std::memory_order_relaxed),
          .peak_bytes = peak_bytes_.load(std::memory_order_relaxed),
          .block_count = block_count_.load(std::memory_order_relaxed),
          .allocation_count = allocation_count_.load(std::memory_order_relaxed)};
}

MemoryAccount& MemoryTracker::account(std::string_view owner) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(
      entries_, [&](const std::unique_ptr<Entry>& entry) { return entry->owner == owner; });
  if (found != entries_.end()) return (*found)->account;
  entries_.push_back(std::make_unique<Entry>());
  entries_.back()->owner = owner;
  entries_.back()->account.total_ = &total_;
  return entries_.back()->account;
}

std::vector<MemoryUse> MemoryTracker::by_owner() const {
  const std::lock_guard lock(mutex_);
  std::vector<MemoryUse> uses;
  uses.reserve(entries_.size());
  for (const std::unique_ptr<Entry>& entry : entries_) {
    uses.push_back(entry->account.use());
    uses.back().owner = entry->owner;
  }
  return uses;
}

MemoryUse MemoryTracker::total() const {
  MemoryUse use = total_.use();
  use.owner = "total";
  return use;
}

std::vector<MemoryUse> MemoryTracker::still_held() const {
  std::vector<MemoryUse> uses = by_owner();
  std::erase_if(uses, [](const MemoryUse& use) { return use.block_count == 0; });
  return uses;
}

MemoryTracker& process_memory() {
  static MemoryTracker& tracker = *new MemoryTracker;
  return tracker;
}

size_t report_leaks(const MemoryTracker& tracker, std::FILE* out) {
  const std::vector<MemoryUse> held = tracker.still_held();
  for (const MemoryUse& use : held) {
    const std::string line =
        fmt::format("memory not given back: {}: {} bytes in {} block{}\n", use.owner, use.now_bytes,
                    use.block_count, use.block_count == 1 ? "" : "s");
    std::fputs(line.c_str(), out);
  }
  return held.size();
}

void publish_memory(const MemoryTracker& tracker, MetricRegistry& registry) {
  for (const MemoryUse& use : tracker.by_owner()) {
    const MetricLabels labels = {{"owner", use.owner}};
    registry
        .gauge(
            {"inferno:memory_bytes", "Large memory held now, by what it is for, in bytes.", labels})
        .set(static_cast<double>(use.now_bytes));
    registry
        .gauge({"inferno:memory_peak_bytes",
                "The most large memory held at once since the start, by what it is for, in bytes.",
                labels})
        .set(static_cast<double>(use.peak_bytes));
  }
}

}  // namespace inferno
