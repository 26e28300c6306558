#include "load/runner.h"

#include <strings.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <cmath>
#include <deque>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/clock.h"

namespace inferno::load {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr double kProgressInterval_s = 0.5;

// Enough of an error's body to find its message.
constexpr size_t kMaxErrorBytes = 64 << 10;

// A server that asks for more patience than this is not waited for longer.
constexpr double kMaxRetryWait_s = 600.0;

Outcome outcome_of(const Error& error, int status) {
  switch (error.fault) {
    case Fault::kCancelled:
      return Outcome::kUnfinished;
    case Fault::kDeadline:
      return Outcome::kTimeout;
    default:
      return status == 0 && error.fault == Fault::kPeerGone ? Outcome::kUnreached
                                                            : Outcome::kBroken;
  }
}

}  // namespace

double retry_after_s(const net::HttpHeaders& headers) {
  for (const net::HttpHeader& header : headers) {
    if (::strcasecmp(header.name.c_str(), "Retry-After") != 0) continue;
    double seconds = 0.0;
    const char* end = header.value.data() + header.value.size();
    const auto parsed = std::from_chars(header.value.data(), end, seconds);
    if (parsed.ec == std::errc() && parsed.ptr == end && seconds >= 0.0) {
      return std::min(seconds, kMaxRetryWait_s);
    }
  }
  return 1.0;
}

class Runner::Impl {
 public:
  Impl(asio::io_context& io, const Plan& plan, RunOptions options)
      : io_(io),
        plan_(plan),
        options_(std::move(options)),
        source_(options_.seed, options_.vocab_size),
        client_(io, {.max_idle_connections = 1 << 16}),
        arrival_timer_(io),
        duration_timer_(io),
        progress_timer_(io) {
    records_.reserve(plan.request_count());
    options_.headers.push_back({"Content-Type", "application/json"});
    options_.headers.push_back({"Accept", "text/event-stream"});
  }

  void run();
  void stop();
  double now_s() const { return seconds_between(start_, std::chrono::steady_clock::now()); }
  TimePoint time_at(double at_s) const { return after_seconds(start_, at_s); }

  void add(RequestRecord record) {
    last_end_s_ = std::max(last_end_s_, record.end_s);
    if (!record.is_completed()) ++failed_count_;
    output_tokens_ += record.answer.output_tokens();
    if (!options_.keeps_text) {
      record.answer.text = {};
      record.answer.token_ids = {};
    }
    records_.push_back(std::move(record));
  }
  void end(const std::shared_ptr<Talk>& talk);

  asio::io_context& io_;
  const Plan& plan_;
  RunOptions options_;
  PromptSource source_;
  net::HttpClient client_;
  asio::steady_timer arrival_timer_;
  asio::steady_timer duration_timer_;
  asio::steady_timer progress_timer_;

  TimePoint start_{};
  size_t next_index_ = 0;       // of the conversations that have not arrived
  std::deque<size_t> waiting_;  // arrived, without a slot
  std::unordered_set<std::shared_ptr<Talk>> active_;
  bool sends_no_more_ = false;
  std::vector<RequestRecord> records_;
  size_t failed_count_ = 0;
  int64_t output_tokens_ = 0;
  double last_end_s_ = 0.0;

 private:
  bool is_over() const {
    const bool all_arrived = sends_no_more_ || next_index_ == plan_.conversations.size();
    return all_arrived && waiting_.empty() && active_.empty();
  }
  void admit_due();
  void begin(size_t index, double due_s);
  void show_progress();
  void send_no_more();
};

// One conversation in progress.
class Runner::Talk final : public net::HttpSink, public std::enable_shared_from_this<Talk> {
 public:
  Talk(Runner::Impl& runner, const Conversation& conversation)
      : runner_(runner),
        conversation_(conversation),
        dialogue_(runner.options_.body, runner.source_, conversation.shared),
        planned_tokens_(token_count(conversation.shared)),
        timer_(runner.io_) {}

  void start(double due_s) {
    record_.slot_wait_s = std::max(0.0, due_s - conversation_.at_s);
    begin_turn(due_s);
  }

  // Ends at once.
  void cancel() {
    if (call_) {
      const auto call = call_;
      call->cancel();
    } else {
      end_waiting();
    }
  }

  // Ends unless a request is under way.
  void end_waiting() {
    if (call_) return;
    timer_.cancel();
    if (is_retrying_) {
      is_retrying_ = false;
      conclude(Outcome::kRejected, "the run ended before the server took it");
    } else {
      runner_.end(shared_from_this());
    }
  }

  void on_head(int status, const net::HttpHeaders& headers) override {
    record_.status = status;
    retry_after_s_ = load::retry_after_s(headers);
  }

  void on_body(std::string_view bytes) override {
    if (record_.status == 200) {
      // A failure is kept by the reader, which says it at the end.
      (void)reader_->feed(runner_.now_s(), bytes);
    } else if (error_body_.size() < kMaxErrorBytes) {
      error_body_ += bytes;
    }
  }

  void on_end(Result<void> result) override {
    call_.reset();
    if (!result) {
      conclude(outcome_of(result.error(), record_.status), std::move(result.error().message));
    } else if (record_.status == 429 && record_.retry_count < runner_.options_.max_retries &&
               !runner_.sends_no_more_) {
      retry();
    } else if (record_.status != 200) {
      conclude(record_.status == 429 ? Outcome::kRejected : Outcome::kStatus,
               error_message_of(error_body_));
    } else if (auto whole = reader_->finish(); !whole) {
      const bool is_event = whole.error().fault == Fault::kInternal;
      conclude(is_event ? Outcome::kErrorEvent : Outcome::kBroken,
               std::move(whole.error().message));
    } else {
      conclude(Outcome::kCompleted, "");
    }
  }

 private:
  const Turn& turn() const { return conversation_.turns[turn_index_]; }

  void begin_turn(double due_s) {
    dialogue_.ask(turn());
    planned_tokens_ += token_count(turn().segments);
    record_.class_index = conversation_.class_index;
    record_.client_index = conversation_.client_index;
    record_.turn_index = static_cast<int>(turn_index_);
    record_.planned_input_tokens = planned_tokens_;
    record_.due_s = due_s;
    record_.sent_s = runner_.now_s();
    send();
  }

  void send() {
    record_.status = 0;
    record_.answer = {};
    error_body_.clear();
    reader_.emplace(runner_.options_.api, record_.answer);
    const Plan& plan = runner_.plan_;
    RequestLabels labels;
    if (!plan.classes.empty()) {
      labels.service_class = plan.classes[static_cast<size_t>(conversation_.class_index)];
    }
    if (!plan.clients.empty()) {
      labels.client = plan.clients[static_cast<size_t>(conversation_.client_index)];
    }
    net::HttpClientRequest request;
    request.url = runner_.options_.url;
    request.method = "POST";
    request.target = request.url.path + runner_.options_.endpoint;
    request.headers = runner_.options_.headers;
    request.body = dialogue_.body(turn().output_tokens, labels);
    const double left_s = runner_.options_.timeout_s - (runner_.now_s() - record_.due_s);
    request.timeout =
        std::chrono::milliseconds(std::max<int64_t>(1, std::llround(left_s * 1000.0)));
    call_ = runner_.client_.send(std::move(request), shared_from_this());
  }

  void retry() {
    ++record_.retry_count;
    is_retrying_ = true;
    wait_until(runner_.now_s() + retry_after_s_, [](Talk& self) {
      self.is_retrying_ = false;
      self.send();
    });
  }

  void wait_until(double at_s, void (*then)(Talk&)) {
    timer_.expires_at(runner_.time_at(at_s));
    timer_.async_wait([self = shared_from_this(), then](error_code error) {
      if (!error) then(*self);
    });
  }

  void conclude(Outcome outcome, std::string error) {
    record_.outcome = outcome;
    record_.error = std::move(error);
    record_.end_s = runner_.now_s();
    const bool goes_on = outcome == Outcome::kCompleted && !runner_.sends_no_more_ &&
                         turn_index_ + 1 < conversation_.turns.size();
    if (goes_on) {
      if (auto heard = dialogue_.hear(record_.answer); !heard) {
        record_.outcome = Outcome::kBroken;
        record_.error = heard.error().message;
      }
    }
    const bool is_over = !goes_on || !record_.is_completed();
    planned_tokens_ += record_.answer.output_tokens();
    runner_.add(std::exchange(record_, {}));
    if (is_over) {
      runner_.end(shared_from_this());
      return;
    }
    ++turn_index_;
    next_due_s_ = runner_.records_.back().end_s + turn().think_s;
    wait_until(next_due_s_, [](Talk& self) { self.begin_turn(self.next_due_s_); });
  }

  Runner::Impl& runner_;
  const Conversation& conversation_;
  Dialogue dialogue_;
  size_t turn_index_ = 0;
  int planned_tokens_;
  asio::steady_timer timer_;  // thinking, or waiting to try again
  double next_due_s_ = 0.0;

  RequestRecord record_;
  std::optional<AnswerReader> reader_;
  std::string error_body_;
  double retry_after_s_ = 1.0;
  bool is_retrying_ = false;
  std::shared_ptr<net::HttpCall> call_;  // while a request is under way
};

void Runner::Impl::run() {
  start_ = std::chrono::steady_clock::now();
  if (options_.duration_s > 0.0) {
    duration_timer_.expires_at(time_at(options_.duration_s));
    duration_timer_.async_wait([this](error_code error) {
      if (!error) send_no_more();
    });
  }
  if (options_.on_progress) show_progress();
  admit_due();
  io_.restart();
  while (!is_over() && io_.run_one() > 0) {
  }
  for (asio::steady_timer* timer : {&arrival_timer_, &duration_timer_, &progress_timer_})
    timer->cancel();
  io_.poll();  // the handlers of what was cancelled refer to this object
}

void Runner::Impl::stop() {
  send_no_more();
  const auto talks = active_;
  for (const auto& talk : talks)
    talk->cancel();
}

void Runner::Impl::send_no_more() {
  sends_no_more_ = true;
  arrival_timer_.cancel();
  waiting_.clear();
  const auto talks = active_;
  for (const auto& talk : talks)
    talk->end_waiting();
}

void Runner::Impl::admit_due() {
  const auto& all = plan_.conversations;
  while (!sends_no_more_ && next_index_ < all.size() && all[next_index_].at_s <= now_s()) {
    const size_t index = next_index_++;
    const auto limit = static_cast<size_t>(options_.max_concurrency);
    if (limit > 0 && active_.size() >= limit) {
      waiting_.push_back(index);
    } else {
      begin(index, all[index].at_s);
    }
  }
  if (sends_no_more_ || next_index_ == all.size()) return;
  arrival_timer_.expires_at(time_at(all[next_index_].at_s));
  arrival_timer_.async_wait([this](error_code error) {
    if (!error) admit_due();
  });
}

void Runner::Impl::begin(size_t index, double due_s) {
  auto talk = std::make_shared<Talk>(*this, plan_.conversations[index]);
  active_.insert(talk);
  talk->start(due_s);
}

void Runner::Impl::end(const std::shared_ptr<Talk>& talk) {
  active_.erase(talk);
  if (waiting_.empty()) return;
  const size_t index = waiting_.front();
  waiting_.pop_front();
  begin(index, now_s());
}

void Runner::Impl::show_progress() {
  options_.on_progress({.elapsed_s = now_s(),
                        .planned_count = plan_.request_count(),
                        .ended_count = records_.size(),
                        .failed_count = failed_count_,
                        .running_count = active_.size(),
                        .output_tokens = output_tokens_});
  progress_timer_.expires_after(
      std::chrono::milliseconds(static_cast<int>(kProgressInterval_s * 1000.0)));
  progress_timer_.async_wait([this](error_code error) {
    if (!error) show_progress();
  });
}

Runner::Runner(asio::io_context& io, const Plan& plan, RunOptions options)
    : impl_(std::make_unique<Impl>(io, plan, std::move(options))) {}

Runner::~Runner() = default;

void Runner::run() {
  impl_->run();
}
void Runner::stop() {
  impl_->stop();
}
const std::vector<RequestRecord>& Runner::records() const {
  return impl_->records_;
}
double Runner::duration_s() const {
  return impl_->last_end_s_;
}
size_t Runner::unsent_count() const {
  return impl_->plan_.request_count() - impl_->records_.size();
}

}  // namespace inferno::load
