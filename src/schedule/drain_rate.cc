#include "schedule/drain_rate.h"

#include <cmath>

namespace inferno::schedule {

void DrainRate::add(double seconds, double amount) {
  if (seconds <= 0.0) return;
  const double keep = std::exp(-seconds / kMemoryS);
  amount_ = amount_ * keep + amount;
  seconds_ = seconds_ * keep + seconds;
}

}  // namespace inferno::schedule
