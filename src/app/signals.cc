#include "app/signals.h"

#include <csignal>
#include <cstdlib>
#include <thread>

namespace inferno::app {
namespace {

constexpr int kEndedBySignal = 130;

}  // namespace

ServerSignals::ServerSignals() {
  std::signal(SIGPIPE, SIG_IGN);  // a reader of our output that has gone must not end us
  sigemptyset(&set_);
  sigaddset(&set_, SIGTERM);
  sigaddset(&set_, SIGINT);
  sigaddset(&set_, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  std::thread([this] { watch(); }).detach();
}

ServerSignals::Wish ServerSignals::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return wants_stop_ || wants_reload_; });
  if (wants_stop_) return Wish::kStop;
  wants_reload_ = false;
  return Wish::kReload;
}

void ServerSignals::watch() {
  while (true) {
    int signal = 0;
    if (sigwait(&set_, &signal) != 0) continue;
    if (signal != SIGHUP && !is_ready_.load()) std::_Exit(kEndedBySignal);
    const std::lock_guard lock(mutex_);
    if (signal != SIGHUP && wants_stop_) std::_Exit(kEndedBySignal);
    (signal == SIGHUP ? wants_reload_ : wants_stop_) = true;
    changed_.notify_all();
  }
}

}  // namespace inferno::app
