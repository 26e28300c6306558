// In which part of its life a model, or the whole server, is.
//
//   STOPPED --asked for--> LOADING --> READY --taken out--> DRAINING --last request--> STOPPED
//                             |          |
//                             +----------+--> FAILED     could not be loaded; its engine broke
//
// A model that is served on demand is STOPPED while it is not in memory.
//
// Threads: plain values.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace inferno::serve {

enum class ServingState : uint8_t { kLoading, kReady, kDraining, kFailed, kStopped };

inline constexpr std::array kServingStates = {ServingState::kLoading, ServingState::kReady,
                                              ServingState::kDraining, ServingState::kFailed,
                                              ServingState::kStopped};

// "loading", "ready", ... as health answers and metrics spell it.
constexpr std::string_view name_of(ServingState state) {
  constexpr std::array<std::string_view, 5> kNames = {"loading", "ready", "draining", "failed",
                                                      "stopped"};
  return kNames[static_cast<size_t>(state)];
}

}  // namespace inferno::serve
