#include "load/arrivals.h"

#include <cmath>

namespace inferno::load {

std::vector<double> arrival_times(const ArrivalProcess& process, size_t count, Random random) {
  std::vector<double> times(count, 0.0);
  if (std::isinf(process.rate_per_s)) return times;
  double now = 0.0;
  const double scale = 1.0 / (process.rate_per_s * process.burstiness);
  for (double& time : times) {
    now += random.gamma(process.burstiness, scale);
    time = now;
  }
  if (now <= 0.0) return times;
  const double stretch = static_cast<double>(count) / process.rate_per_s / now;
  for (double& time : times)
    time *= stretch;
  return times;
}

}  // namespace inferno::load
