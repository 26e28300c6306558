// How fast work gets done: requests and tokens per second of the last tens of busy seconds.
//
// Only time spent in steps counts, so that an idle night does not look like a slow engine.
//
// Threads: belongs to the engine thread. Cost: one exp() a step.
#pragma once

namespace inferno::schedule {

class DrainRate {
 public:
  // A second loses its weight by 1/e after so many busy seconds: the last half minute decides.
  // While nothing gets done nothing is forgotten, so that the rate falls as 1/t and not
  // exponentially when one piece of work takes minutes.
  static constexpr double kMemoryS = 20.0;

  // A step of `seconds` did `amount` of work.
  void add(double seconds, double amount);

  // Work done at the end of the step added last.
  void add_amount(double amount);

  // Work per second; 0 before anything was measured.
  double per_s() const {
    const double seconds = seconds_ + unrewarded_s_;
    return seconds > 0.0 ? amount_ / seconds : 0.0;
  }

 private:
  void forget();

  double amount_ = 0.0;
  double seconds_ = 0.0;
  double unrewarded_s_ = 0.0;  // since something was last done
};

}  // namespace inferno::schedule
