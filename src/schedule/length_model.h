// How long answers will be: decayed means of how long they were.
//
//   client and class seen often enough?  its mean
//   class seen often enough?             the mean of the class over all clients
//   otherwise                            what the request allows
//
// Never more than the request allows. Lengths of one client's requests of one kind repeat (a form
// filled in, a label chosen), so the mean of the last dozens beats the limit by far. It is used to
// tell when what waits will have been served, and to refuse at once what cannot end before its
// deadline (load_forecast.h); no page is set aside for an answer that may never need it: who finds
// none left is computed again, mostly from the cache.
//
// Threads: belongs to the engine thread. Cost: O(1).
#pragma once

#include <array>

#include "request/request.h"

namespace inferno::schedule {

// A mean in which the last value weighs 1/32, all values alike until there are so many.
class DecayedMean {
 public:
  void add(double value);
  double value() const { return mean_; }
  int count() const { return count_; }  // of values, saturating

 private:
  static constexpr int kWindow = 32;
  double mean_ = 0.0;
  int count_ = 0;
};

using ClassLengths = std::array<DecayedMean, request::kServiceClassCount>;

class LengthModel {
 public:
  // Values after which a mean is trusted: below, one odd answer decides too much.
  static constexpr int kTrusted = 4;

  // Tokens the answer of a request is expected to have: at least 1, at most `max_new_tokens`.
  // `of_client`: what its client's earlier answers taught.
  int predict(const ClassLengths& of_client, request::ServiceClass service_class,
              int max_new_tokens) const;

  // The mean length of a class's answers over all clients, in tokens; 0 before it is trusted.
  double mean_of(request::ServiceClass service_class) const {
    const DecayedMean& mean = of_all_[static_cast<size_t>(service_class)];
    return mean.count() >= kTrusted ? mean.value() : 0.0;
  }

  // Learns that an answer that was expected to have `predicted` tokens had `generated`.
  struct Outcome {
    int predicted = 0;
    int generated = 0;
  };
  void learn(ClassLengths& of_client, request::ServiceClass service_class, Outcome outcome);

  // Relative absolute error of predictions, decayed mean.
  double error() const { return error_.value(); }

 private:
  ClassLengths of_all_;
  DecayedMean error_;
};

}  // namespace inferno::schedule
