#include "serve/answer_sharing.h"

#include <array>
#include <limits>
#include <list>
#include <map>
#include <mutex>
#include <utility>

#include "serve/errors.h"
#include "serve/share_key.h"
#include "serve/shared_answer.h"
#include "serve/work_queue.h"

namespace inferno::serve {
namespace {

// They make the chunks of shared streams, as the I/O threads do for the others.
constexpr int kThreadCount = 2;

// What a kept answer costs besides its bytes: entries of a map and a list.
constexpr size_t kSlotBytes = 256;

constexpr std::array kReasons = {ShareReason::kIdempotencyKey, ShareReason::kIdentical};

// Errors that a repetition may not meet are not kept: those of the server, and those that tell of
// its state (no such model, too slow, too much).
bool is_worth_keeping(const RecordedAnswer& answer) {
  const int status = answer.status;
  if (status == 404 || status == 408 || status == 429 || status == 499) return false;
  return status < 500 && !answer.has_error_event;
}

}  // namespace

class AnswerSharing::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(SharingOptions options, const Clock& clock, MetricRegistry& metrics)
      : options_(options),
        clock_(clock),
        queue_(std::make_shared<WorkQueue>(kThreadCount, std::numeric_limits<size_t>::max())),
        budget_(std::make_shared<RecordBudget>(options.max_bytes)),
        kept_gauge_(metrics.gauge(
            {"inferno:idempotency_kept_bytes", "Answers kept for their Idempotency-Keys.", {}})) {
    for (const ShareReason reason : kReasons) {
      repeats_[static_cast<size_t>(reason)] =
          &metrics.counter({"inferno:deduplicated_requests_total",
                            "Requests answered by the computation of another.",
                            {{"reason", std::string(name_of(reason))}}});
    }
  }

  void stop() { queue_->stop(); }

  void handle(net::HttpRequest request, std::shared_ptr<net::Responder> responder,
              Compute compute) {
    auto key = share_key_of(request,
                            options_.share_identical ? ShareScope::kIdentical : ShareScope::kNamed);
    if (!key) {
      send_error(*responder, key.error());
      return;
    }
    if (!*key) {
      compute(std::move(request), std::move(responder));
      return;
    }
    while (true) {
      Found found = look_up(**key);
      if (found.is_other_request) {
        send_error(*responder, 422,
                   Error{Fault::kInvalid,
                         fmt::format("The Idempotency-Key \"{}\" was used for another request: its "
                                     "path or body differs.",
                                     (*key)->name),
                         "Idempotency-Key"});
        return;
      }
      if (found.kept != nullptr) {
        count_repeat((*key)->reason);
        replay(*found.kept, *responder);
        return;
      }
      if (found.is_begun_here) {
        lead(std::move(found.running), std::move(request), std::move(responder),
             std::move(compute));
        return;
      }
      if (found.running->attach(responder, ClientPlace::kRepeat)) {
        count_repeat((*key)->reason);
        return;
      }
      forget((*key)->slot, found.number);
    }
  }

 private:
  struct Slot {
    Digest content;
    uint64_t number = 0;  // of the computation
    std::weak_ptr<SharedAnswer> running;
    std::shared_ptr<const RecordedAnswer> kept;
    TimePoint kept_at{};
    std::list<Digest>::iterator place;  // in kept_order_, while kept
  };
  using Slots = std::map<Digest, Slot>;

  struct Found {
    bool is_other_request = false;
    bool is_begun_here = false;
    uint64_t number = 0;
    std::shared_ptr<SharedAnswer> running;  // let go without the lock: its end takes the lock
    std::shared_ptr<const RecordedAnswer> kept;
  };

  // What there is under a key, which may be begun by this call.
  Found look_up(const ShareKey& key) {
    Found found;
    std::lock_guard lock(mutex_);
    drop_expired();
    Slot& slot = slots_[key.slot];
    found.running = slot.running.lock();
    found.kept = slot.kept;
    if (found.running != nullptr || found.kept != nullptr) {
      found.is_other_request = slot.content != key.content;
      found.number = slot.number;
      return found;
    }
    slot.content = key.content;
    slot.number = found.number = ++last_number_;
    found.is_begun_here = true;
    found.running = std::make_shared<SharedAnswer>(SharedAnswer::Terms{
        .queue = queue_,
        .budget = budget_,
        .max_answer_bytes = options_.max_answer_bytes,
        .marks_repeats = key.reason == ShareReason::kIdempotencyKey,
        .on_end = [weak = weak_from_this(), reason = key.reason, name = key.slot,
                   number = slot.number](std::shared_ptr<const RecordedAnswer> record) {
          const auto self = weak.lock();
          if (self == nullptr) return;
          const bool is_kept = reason == ShareReason::kIdempotencyKey && record != nullptr &&
                               is_worth_keeping(*record);
          if (!is_kept || !self->keep(name, number, std::move(record))) self->forget(name, number);
        }});
    slot.running = found.running;
    return found;
  }

  static void lead(std::shared_ptr<SharedAnswer> answer, net::HttpRequest request,
                   std::shared_ptr<net::Responder> responder, Compute compute) {
    answer->attach(std::move(responder), ClientPlace::kFirst);
    // Shared, as a std::function must be copyable. The task keeps the answer until the endpoint
    // does.
    auto whole = std::make_shared<net::HttpRequest>(std::move(request));
    answer->post(
        [answer, whole, compute = std::move(compute)] { compute(std::move(*whole), answer); });
  }

  // Keeps the answer of a computation that has its slot still. False when it is larger than all
  // that may be kept.
  bool keep(Digest name, uint64_t number, std::shared_ptr<const RecordedAnswer> record) {
    std::lock_guard lock(mutex_);
    const auto found = slots_.find(name);
    if (found == slots_.end() || found->second.number != number) return true;
    const size_t bytes = record->byte_count() + kSlotBytes;
    if (bytes > options_.max_bytes) return false;
    while (kept_bytes_ + bytes > options_.max_bytes)
      drop(slots_.find(kept_order_.front()));
    Slot& slot = found->second;
    slot.kept = std::move(record);
    slot.kept_at = clock_.now();
    slot.place = kept_order_.insert(kept_order_.end(), name);
    add_kept(bytes);
    return true;
  }

  void forget(Digest name, uint64_t number) {
    std::lock_guard lock(mutex_);
    const auto found = slots_.find(name);
    if (found != slots_.end() && found->second.number == number) drop(found);
  }

  // The rest requires mutex_.
  void drop_expired() {
    const TimePoint now = clock_.now();
    while (!kept_order_.empty()) {
      const auto oldest = slots_.find(kept_order_.front());
      if (now - oldest->second.kept_at < options_.ttl) return;
      drop(oldest);
    }
  }

  void drop(Slots::iterator slot) {
    if (slot->second.kept != nullptr) {
      kept_bytes_ -= slot->second.kept->byte_count() + kSlotBytes;
      add_kept(0);
      kept_order_.erase(slot->second.place);
    }
    slots_.erase(slot);
  }

  void add_kept(size_t bytes) {
    kept_bytes_ += bytes;
    kept_gauge_.set(static_cast<double>(kept_bytes_));
  }

  void count_repeat(ShareReason reason) { repeats_[static_cast<size_t>(reason)]->add(); }

  const SharingOptions options_;
  const Clock& clock_;
  const std::shared_ptr<WorkQueue> queue_;
  const std::shared_ptr<RecordBudget> budget_;
  Gauge& kept_gauge_;
  std::array<Counter*, kReasons.size()> repeats_{};

  std::mutex mutex_;  // guards what follows
  Slots slots_;
  std::list<Digest> kept_order_;  // oldest first
  size_t kept_bytes_ = 0;
  uint64_t last_number_ = 0;
};

AnswerSharing::AnswerSharing(SharingOptions options, const Clock& clock, MetricRegistry& metrics)
    : impl_(std::make_shared<Impl>(options, clock, metrics)) {}

AnswerSharing::~AnswerSharing() {
  impl_->stop();
}

void AnswerSharing::handle(net::HttpRequest request, std::shared_ptr<net::Responder> responder,
                           Compute compute) {
  impl_->handle(std::move(request), std::move(responder), std::move(compute));
}

}  // namespace inferno::serve
