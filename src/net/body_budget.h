// How many bytes of request bodies a server holds at a time, over all its connections.
//
//   header read --> has_room(Content-Length)? --> each piece: claim.grow() --> handled, claim gone
//
// What counts are bytes that have arrived, not bytes that a client announces: an announcement costs
// it nothing, so it must not keep others out.
//
// Invariant: held_bytes() is the sum of all claims and never above the limit.
// Threads:   every method may be called from any thread; one claim is grown by one thread.
// Cost:      an atomic addition for each piece that is read.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace inferno::net {

class BodyBudget {
 public:
  explicit BodyBudget(size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  BodyBudget(const BodyBudget&) = delete;
  BodyBudget& operator=(const BodyBudget&) = delete;

  size_t limit_bytes() const { return limit_bytes_; }
  size_t held_bytes() const { return held_bytes_.load(std::memory_order_relaxed); }

  // Whether so many bytes would fit now. Nothing is reserved.
  bool has_room(size_t bytes) const {
    const size_t held = held_bytes();
    return held <= limit_bytes_ && bytes <= limit_bytes_ - held;
  }

 private:
  friend class BodyClaim;
  // False, and nothing is taken, when they do not fit.
  bool take(size_t bytes);
  void give_back(size_t bytes) { held_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

  const size_t limit_bytes_;
  std::atomic<size_t> held_bytes_{0};
};

// What one body has taken of the budget; given back when it is destroyed. May outlive the server.
class BodyClaim {
 public:
  explicit BodyClaim(std::shared_ptr<BodyBudget> budget) : budget_(std::move(budget)) {}
  ~BodyClaim() { budget_->give_back(bytes_); }
  BodyClaim(const BodyClaim&) = delete;
  BodyClaim& operator=(const BodyClaim&) = delete;

  // Takes so many more. False, and nothing is taken, when they do not fit.
  bool grow(size_t bytes) {
    if (!budget_->take(bytes)) return false;
    bytes_ += bytes;
    return true;
  }
  size_t bytes() const { return bytes_; }

 private:
  const std::shared_ptr<BodyBudget> budget_;
  size_t bytes_ = 0;
};

}  // namespace inferno::net
