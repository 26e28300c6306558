// Sends a plan to a server and measures the answers.
//
//   arrival due --> slot free? --no--> waiting, first come first served --> slot free
//                       |yes                                                    |
//                       v                                                       v
//                   Talk: ask -> send -> answer -> (think -> ask -> ...) -> slot is free again
//
// Without max_concurrency each conversation begins when the plan says, however late the server is
// (open loop). With it, at most so many are in progress (closed loop); the clock of one that had to
// wait starts when its slot came free, and the wait is kept beside it.
//
// Invariant: every request of the plan becomes one record, or counts as not sent.
// Threads:   everything runs on the thread that calls run(); so does whatever else the io_context
//            serves, such as the signal that calls stop().
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "load/dialogue.h"
#include "load/plan.h"
#include "load/record.h"
#include "net/http_client.h"

namespace inferno::load {

struct Progress {
  double elapsed_s = 0.0;
  size_t planned_count = 0;
  size_t ended_count = 0;
  size_t failed_count = 0;  // of those that ended
  size_t running_count = 0;
  int64_t output_tokens = 0;
};

struct RunOptions {
  net::HttpUrl url;
  std::string endpoint = "/v1/completions";  // after the path of the URL
  net::HttpHeaders headers;                  // beside Content-Type
  Api api = Api::kCompletions;
  BodyOptions body;
  int vocab_size = 256;
  uint64_t seed = 0;
  int max_concurrency = 0;   // conversations in progress; 0: no limit
  double timeout_s = 600.0;  // of each request
  double duration_s = 0.0;   // after this nothing more is sent; 0: no limit
  int max_retries = 0;       // after status 429, when the server's Retry-After has passed
  bool keeps_text = false;   // in the records
  std::function<void(const Progress&)> on_progress;  // twice a second; may be empty
};

class Runner {
 public:
  // Requires: `io` and `plan` outlive the runner.
  Runner(boost::asio::io_context& io, const Plan& plan, RunOptions options);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Returns when all of the plan has ended. Requires: called once.
  void run();

  // Ends the run now: what is under way becomes Outcome::kUnfinished. From a handler of `io`.
  void stop();

  // In the order in which they ended.
  const std::vector<RequestRecord>& records() const;

  // From the start to the end of the last request.
  double duration_s() const;

  // Requests of the plan that were not sent: stopped before, or a turn before them failed.
  size_t unsent_count() const;

 private:
  class Talk;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Seconds of a Retry-After header: a number; 1 when it is absent or a date.
double retry_after_s(const net::HttpHeaders& headers);

}  // namespace inferno::load
