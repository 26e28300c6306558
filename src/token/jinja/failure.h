// Failure: how a template's trouble travels inside this folder, and the limits that can cause one.
//
// The interpreter throws a Failure wherever Python would raise; ChatTemplate catches it at the
// border and returns an Error, so that no exception leaves the folder. A Failure's text begins with
// the name of Python's exception ("TypeError: ..."), for that is what whoever debugs a template
// will search for.
//
// Every limit is a bound on what one hostile template or conversation can cost. A rendering's work
// is counted in units of about one node evaluated, one element touched or 64 bytes of text copied.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"

namespace inferno::token::jinja {

// Longest template: the largest in use are below 20 KiB.
inline constexpr size_t kMaxSourceBytes = size_t{4} << 20;
// Deepest nesting of parentheses, of statements, and of the tree they make (a long chain of `+` is
// a deep tree).
inline constexpr int kMaxNestedSyntax = 100;
inline constexpr int kMaxTreeDepth = 400;
// Deepest recursion while rendering: nodes and macro calls in progress. Python stops at 1000
// frames.
inline constexpr int kMaxRenderDepth = 1000;
// Deepest nesting of lists and dictionaries in one value.
inline constexpr uint32_t kMaxValueDepth = 200;
// Units of work in one rendering: some seconds at worst. A conversation of 1000 messages needs
// about 0.2 million.
inline constexpr uint64_t kMaxWork = 20'000'000;
// Longest text, of the whole output and of any value.
inline constexpr size_t kMaxTextBytes = size_t{16} << 20;
// Memory held by the values of one rendering.
inline constexpr size_t kMaxLiveBytes = size_t{256} << 20;
// Longest range(), as Jinja's sandbox has it.
inline constexpr int64_t kMaxRangeItems = 100'000;

struct Failure {
  Fault fault = Fault::kInvalid;
  std::string message;
  int line = 0;                // the template's line, from 1; 0: not known where it was thrown
  bool from_template = false;  // the template itself refused, by raise_exception
};

// Throws a Failure with this text, which starts with the name of an exception: raise("TypeError:
// ...").
template <typename... Args>
[[noreturn]] void raise(fmt::format_string<Args...> format, Args&&... args) {
  throw Failure{Fault::kInvalid, fmt::format(format, std::forward<Args>(args)...), 0, false};
}

// Throws a Failure for a limit of this file.
template <typename... Args>
[[noreturn]] void raise_limit(fmt::format_string<Args...> format, Args&&... args) {
  throw Failure{Fault::kTooLong, fmt::format(format, std::forward<Args>(args)...), 0, false};
}

// What one rendering has used of its limits. One thread.
class Budget {
 public:
  // Counts work; throws at kMaxWork.
  void work(uint64_t units) {
    work_ += units;
    if (work_ > kMaxWork) raise_limit("the template needs more than {} steps", kMaxWork);
  }
  // Counts work for touching `bytes` of text.
  void work_bytes(size_t bytes) { work(1 + bytes / 64); }

  // Counts memory as held; throws at kMaxLiveBytes. The work of filling it is counted too.
  void acquire(size_t bytes) {
    work_bytes(bytes);
    if (bytes > kMaxLiveBytes - live_bytes_) {
      raise_limit("the template's values need more than {} bytes", kMaxLiveBytes);
    }
    live_bytes_ += bytes;
  }
  void release(size_t bytes) { live_bytes_ -= bytes; }

  uint64_t work_done() const { return work_; }
  size_t live_bytes() const { return live_bytes_; }

 private:
  uint64_t work_ = 0;
  size_t live_bytes_ = 0;
};

// Memory held for as long as this lives. A null budget (constants of the template) counts nothing.
class Charge {
 public:
  Charge(Budget* budget, size_t bytes) : budget_(budget), bytes_(bytes) {
    if (budget_ != nullptr) budget_->acquire(bytes_);
  }
  ~Charge() {
    if (budget_ != nullptr) budget_->release(bytes_);
  }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  Budget* budget_;
  size_t bytes_;
};

}  // namespace inferno::token::jinja
