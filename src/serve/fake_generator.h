// Parts for tests of the API: a generator that says what a script says, and a vocabulary in which
// every byte is a token, so that token ids can be read off a text.
//
// Threads: the generator delivers events on a thread of its own, as an engine does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "request/generator.h"
#include "token/bpe_bytes.h"
#include "token/tokenizer.h"

namespace inferno::serve {

// Token i is byte i; then <|start|> and <|end|>, both control tokens.
inline std::unique_ptr<token::Tokenizer> make_byte_tokenizer() {
  token::Vocabulary vocabulary;
  vocabulary.kind = token::VocabularyKind::kByteLevelBpe;
  vocabulary.pre_tokenizer = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    vocabulary.tokens.push_back(token::piece_of_bytes({&c, 1}));
    vocabulary.types.push_back(token::TokenType::kNormal);
  }
  for (const char* special : {"<|start|>", "<|end|>"}) {
    vocabulary.tokens.push_back(special);
    vocabulary.types.push_back(token::TokenType::kControl);
  }
  vocabulary.eos = 257;
  return std::move(*token::Tokenizer::create(std::move(vocabulary)));
}

class FakeGenerator : public request::Generator {
 public:
  using Script = std::function<std::vector<request::TokenEvent>(const request::Request&)>;

  FakeGenerator() : worker_([this](std::stop_token stop) { work(stop); }) {}
  ~FakeGenerator() override {
    worker_.request_stop();
    changed_.notify_all();
  }

  RequestId next_id() override { return {++last_id_}; }

  Result<void> submit(request::Request request, std::shared_ptr<request::EventSink> sink) override {
    std::lock_guard lock(mutex_);
    if (refusal_ && requests_.size() >= refused_from_) return std::unexpected(*refusal_);
    for (request::TokenEvent& event : script_(request)) {
      event.id = request.id;
      waiting_.push_back(std::move(event));
    }
    sinks_[request.id] = std::move(sink);
    requests_.push_back(std::move(request));
    changed_.notify_all();
    return {};
  }

  void cancel(RequestId id) override {
    std::lock_guard lock(mutex_);
    cancelled_.push_back(id);
    std::erase_if(waiting_, [&](const request::TokenEvent& event) { return event.id == id; });
    request::TokenEvent end;
    end.id = id;
    end.finish = request::FinishReason::kAbort;
    waiting_.push_front(std::move(end));
    changed_.notify_all();
  }

  int max_model_len() const override { return 200; }
  bool healthy() const override { return is_healthy; }

  void set_script(Script script) {
    std::lock_guard lock(mutex_);
    script_ = std::move(script);
  }
  // Refuses every request from the `from`th on.
  void refuse(Error error, size_t from = 0) {
    std::lock_guard lock(mutex_);
    refused_from_ = from;
    refusal_ = std::move(error);
  }
  // While held, only cancelled requests get events.
  void hold() { is_held_ = true; }
  void release() {
    std::lock_guard lock(mutex_);  // until all is told: whoever is woken may destroy this
    is_held_ = false;
    changed_.notify_all();
  }

  std::vector<request::Request> requests() {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  // True once `count` cancels have come.
  bool wait_for_cancels(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return cancelled_.size() >= count; });
  }
  size_t cancel_count() {
    std::lock_guard lock(mutex_);
    return cancelled_.size();
  }
  bool wait_for_requests(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return requests_.size() >= count; });
  }

  // max_tokens tokens "a", "b", "c", ...; a stop string of one letter ends it. Logprobs are -1, -2,
  // ...
  static std::vector<request::TokenEvent> alphabet(const request::Request& request) {
    std::vector<request::TokenEvent> events;
    for (int i = 0; i < request.sampling.max_tokens; ++i) {
      request::TokenEvent event;
      request::TokenOutput output;
      output.token = 'a' + i % 26;
      output.logprob = -1.0f - static_cast<float>(i);
      output.rank = 2;
      output.text = std::string(1, static_cast<char>(output.token));
      for (int t = 0; t < request.sampling.logprobs.value_or(0); ++t) {
        output.top.push_back({'A' + t, -0.25f * static_cast<float>(t + 1), t + 1});
      }
      event.text = output.text;
      event.tokens.push_back(std::move(output));
      if (i == 0 && request.sampling.prompt_logprobs) {
        for (TokenId token : request.prompt) {
          event.prompt_tokens.push_back({token, -0.5f, 1, {{token, -0.5f, 1}}, ""});
        }
      }
      for (const std::string& stop : request.sampling.stop) {
        if (stop != event.text) continue;
        event.text.clear();
        event.stop_string = stop;
        event.finish = request::FinishReason::kStop;
      }
      if (!event.finish && i + 1 == request.sampling.max_tokens) {
        event.finish = request::FinishReason::kLength;
      }
      event.stats.prompt_tokens = static_cast<int>(request.prompt.size());
      event.stats.generated_tokens = i + 1;
      events.push_back(std::move(event));
      if (events.back().finish) break;
    }
    return events;
  }

  std::atomic<bool> is_healthy{true};

 private:
  void work(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      const bool is_due = !waiting_.empty() &&
                          (!is_held_ || waiting_.front().finish == request::FinishReason::kAbort);
      if (!is_due) {
        changed_.wait_for(lock, std::chrono::milliseconds(20));
        continue;
      }
      request::TokenEvent event = std::move(waiting_.front());
      waiting_.pop_front();
      const auto found = sinks_.find(event.id);
      if (found == sinks_.end()) continue;
      std::shared_ptr<request::EventSink> sink = found->second;
      if (event.finish) sinks_.erase(found);
      lock.unlock();
      sink->on_event(std::move(event));
      sink.reset();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Script script_ = alphabet;
  std::deque<request::TokenEvent> waiting_;
  std::map<RequestId, std::shared_ptr<request::EventSink>> sinks_;
  std::vector<request::Request> requests_;
  std::vector<RequestId> cancelled_;
  std::optional<Error> refusal_;
  size_t refused_from_ = 0;
  std::atomic<bool> is_held_{false};
  std::atomic<uint64_t> last_id_{0};
  std::jthread worker_;
};

}  // namespace inferno::serve
