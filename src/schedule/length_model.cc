#include "schedule/length_model.h"

#include <algorithm>
#include <cmath>

namespace inferno::schedule {

void DecayedMean::add(double value) {
  count_ = std::min(count_ + 1, kWindow);
  mean_ += (value - mean_) / count_;
}

int LengthModel::predict(const ClassLengths& of_client, request::ServiceClass service_class,
                         int max_new_tokens) const {
  const auto index = static_cast<size_t>(service_class);
  const DecayedMean* known = nullptr;
  if (of_client[index].count() >= kTrusted) {
    known = &of_client[index];
  } else if (of_all_[index].count() >= kTrusted) {
    known = &of_all_[index];
  }
  if (!known) return std::max(1, max_new_tokens);
  const double limit = std::max(1, max_new_tokens);
  return static_cast<int>(std::clamp(std::round(known->value()), 1.0, limit));
}

void LengthModel::learn(ClassLengths& of_client, request::ServiceClass service_class,
                        Outcome outcome) {
  const auto index = static_cast<size_t>(service_class);
  of_client[index].add(outcome.generated);
  of_all_[index].add(outcome.generated);
  error_.add(std::abs(outcome.predicted - outcome.generated) /
             static_cast<double>(std::max(1, outcome.generated)));
}

}  // namespace inferno::schedule
