#include "model/router.h"

#include <cmath>
#include <limits>

namespace inferno::model {
namespace {

// e^x for x <= 0, to within 1e-15: reduction by ln 2 in two parts, then the Taylor polynomial on
// [-ln 2 / 2, ln 2 / 2], whose next term is below 1e-17.
double exponential(double x) {
  constexpr double kLog2E = 1.44269504088896338700e+00;
  constexpr double kLn2High = 6.93147180369123816490e-01;  // fdlibm, e_exp
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kLeast = -700.0;  // below it the result is nothing beside a float
  constexpr int kTerms = 13;
  if (std::isnan(x)) return x;
  if (x < kLeast) return 0.0;
  const double power = std::nearbyint(x * kLog2E);
  const double r = (x - power * kLn2High) - power * kLn2Low;
  double sum = 1.0;
  for (int n = kTerms; n > 0; --n)
    sum = 1.0 + sum * r / n;
  return std::ldexp(sum, static_cast<int>(power));
}

// The order of choices: a logit that is no number is below all others.
float rank_of(float logit) {
  return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit;
}

float part_of(float logit, float largest) {
  return static_cast<float>(exponential(static_cast<double>(logit) - static_cast<double>(largest)));
}

}  // namespace

void route(const RoutingRule& rule, const float* logits, ExpertChoice* choices) {
  // Insertion into the choices so far; while they are sorted, `weight` holds the logit.
  int count = 0;
  for (int expert = 0; expert < rule.expert_count; ++expert) {
    const float logit = rank_of(logits[expert]);
    if (count == rule.used_count && !(logit > choices[count - 1].weight)) continue;
    if (count < rule.used_count) ++count;
    int place = count - 1;
    while (place > 0 && logit > choices[place - 1].weight) {
      choices[place] = choices[place - 1];
      --place;
    }
    choices[place] = {.expert = expert, .weight = logit};
  }
  const float largest = choices[0].weight;
  float whole = 0.0f;
  if (rule.weighting == ExpertWeighting::kOfAll) {
    for (int expert = 0; expert < rule.expert_count; ++expert)
      whole += part_of(rank_of(logits[expert]), largest);
  }
  for (int i = 0; i < rule.used_count; ++i) {
    choices[i].weight = part_of(choices[i].weight, largest);
    if (rule.weighting == ExpertWeighting::kOfChosen) whole += choices[i].weight;
  }
  for (int i = 0; i < rule.used_count; ++i)
    choices[i].weight /= whole;
}

}  // namespace inferno::model
