#include "schedule/drain_rate.h"

#include <cmath>

namespace inferno::schedule {

void DrainRate::add(double seconds, double amount) {
  if (seconds <= 0.0) return;
  unrewarded_s_ += seconds;
  if (amount > 0.0) add_amount(amount);
}

void DrainRate::add_amount(double amount) {
  forget();
  amount_ += amount;
}

// Lets the time since the last work count.
void DrainRate::forget() {
  const double keep = std::exp(-unrewarded_s_ / kMemoryS);
  amount_ *= keep;
  seconds_ = seconds_ * keep + unrewarded_s_;
  unrewarded_s_ = 0.0;
}

}  // namespace inferno::schedule
