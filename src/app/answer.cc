#include "app/answer.h"

#include <chrono>
#include <iterator>

namespace inferno::app {
namespace {

// Carries events from the generator's thread to the one that waits.
class Mailbox final : public request::EventSink {
 public:
  void on_event(request::TokenEvent event) override {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
    }
    arrived_.notify_one();
  }

  // The events that came since the last call; empty after 50 ms without one.
  std::vector<request::TokenEvent> take() {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::milliseconds(50), [this] { return !events_.empty(); });
    return std::exchange(events_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<request::TokenEvent> events_;
};

}  // namespace

Result<Answer> generate(request::Generator& generator, request::Request request,
                        const std::function<bool(const std::string& piece)>& on_text) {
  auto mailbox = std::make_shared<Mailbox>();
  const RequestId id = generator.next_id();
  request.id = id;
  request.arrival = std::chrono::steady_clock::now();
  if (auto taken = generator.submit(std::move(request), mailbox); !taken) {
    return std::unexpected(taken.error());
  }
  Answer answer;
  bool is_cancelled = false;
  for (;;) {
    std::string piece;
    for (request::TokenEvent& event : mailbox->take()) {
      piece += event.text;
      answer.tokens.insert(answer.tokens.end(), std::make_move_iterator(event.tokens.begin()),
                           std::make_move_iterator(event.tokens.end()));
      if (!event.finish) continue;
      answer.text += piece;
      if (!is_cancelled && !piece.empty()) on_text(piece);
      answer.finish = *event.finish;
      answer.stats = event.stats;
      if (event.error && !is_cancelled) return std::unexpected(*event.error);
      return answer;
    }
    answer.text += piece;
    // Called without news too, so that an interrupt is seen while a long prompt is read.
    if (!is_cancelled && !on_text(piece)) {
      is_cancelled = true;
      generator.cancel(id);
    }
  }
}

}  // namespace inferno::app
