// What time it is, as an argument: the real clock in a server, one that tests and simulations move.
//
// Everything above kernel/ that waits, times out or measures is given a Clock or a TimePoint, so
// that an hour of traffic can be replayed in a second, from a seed, with the same decisions every
// time.
//
// Threads: now() may be called from any thread; ManualClock is moved by one.
#pragma once

#include <atomic>
#include <chrono>

namespace inferno {

using TimePoint = std::chrono::steady_clock::time_point;

inline double seconds_between(TimePoint from, TimePoint to) {
  return std::chrono::duration<double>(to - from).count();
}

// At most a hundred years before or after `from`: a clock counts nanoseconds in 64 bits.
inline TimePoint after_seconds(TimePoint from, double seconds) {
  constexpr double kMost = 3.2e9;
  seconds = seconds > kMost ? kMost : seconds < -kMost ? -kMost : seconds;
  return from +
         std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(seconds));
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
};

// Stands still but for advance(). Begins at one second past the epoch, so that no arrival is zero.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override {
    return TimePoint(TimePoint::duration(ticks_.load(std::memory_order_relaxed)));
  }
  void advance(double seconds) {
    ticks_.fetch_add(after_seconds(TimePoint(), seconds).time_since_epoch().count(),
                     std::memory_order_relaxed);
  }

  // Moves on to `time`, or stays when that has passed.
  void advance_to(TimePoint time) {
    if (time > now()) ticks_.store(time.time_since_epoch().count(), std::memory_order_relaxed);
  }

 private:
  std::atomic<TimePoint::rep> ticks_{after_seconds(TimePoint(), 1.0).time_since_epoch().count()};
};

}  // namespace inferno
