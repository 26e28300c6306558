#include "net/exchange.h"

#include <fmt/format.h>

#include <utility>

namespace inferno::net {

using Phase = AnswerState::Phase;

Exchange::Exchange(std::shared_ptr<AnswerState> state, std::shared_ptr<AnswerCarrier> carrier)
    : state_(std::move(state)), carrier_(std::move(carrier)) {}

Exchange::~Exchange() {
  bool unanswered = false;
  {
    std::lock_guard lock(state_->mutex);
    unanswered = state_->phase == Phase::kWaiting;
    if (state_->phase == Phase::kStreaming) {
      // The client must not take what it has for the whole: no last chunk, and the connection
      // closes.
      state_->overflowed = true;
      flush_soon();
    }
  }
  if (unanswered) send(500, {{"Content-Type", "text/plain"}}, "The request was not answered.\n");
}

void Exchange::append_head(int status, HttpHeaders headers) {
  AnswerTerms& terms = state_->terms;
  if (terms.allow_any_origin) headers.push_back({"Access-Control-Allow-Origin", "*"});
  if (carrier_->is_draining()) terms.keep_alive = false;
  if (!terms.keep_alive) {
    headers.push_back({"Connection", "close"});
  } else if (terms.is_http_1_0) {
    headers.push_back({"Connection", "keep-alive"});
  }
  state_->out += response_head(status, headers);
}

void Exchange::flush_soon() {
  if (std::exchange(state_->flush_posted, true)) return;
  carrier_->post_flush();
}

void Exchange::send(int status, HttpHeaders headers, std::string body) {
  std::function<void()> dropped;  // destroyed after the lock is let go
  std::lock_guard lock(state_->mutex);
  if (state_->phase != Phase::kWaiting) return;
  if (status != 204 && status != 304) {
    headers.push_back({"Content-Length", fmt::format("{}", body.size())});
  }
  append_head(status, std::move(headers));
  if (!state_->terms.is_head) state_->out += body;
  state_->phase = Phase::kComplete;
  dropped.swap(state_->on_disconnect);
  flush_soon();
}

void Exchange::start_stream(int status, HttpHeaders headers) {
  std::lock_guard lock(state_->mutex);
  if (state_->phase != Phase::kWaiting) return;
  if (state_->terms.is_http_1_0) {
    state_->terms.keep_alive = false;
  } else {
    headers.push_back({"Transfer-Encoding", "chunked"});
  }
  append_head(status, std::move(headers));
  state_->phase = Phase::kStreaming;
  flush_soon();
}

void Exchange::write(std::string_view bytes) {
  std::lock_guard lock(state_->mutex);
  if (state_->phase != Phase::kStreaming || state_->overflowed || state_->terms.is_head) return;
  // Only what earlier writes left behind tells of a client that does not read.
  if (state_->in_flight_bytes > 0 &&
      state_->in_flight_bytes + state_->out.size() > state_->terms.max_buffered_bytes) {
    state_->overflowed = true;
  } else if (state_->terms.is_http_1_0) {
    state_->out += bytes;
  } else {
    append_chunk(state_->out, bytes);
  }
  flush_soon();
}

void Exchange::finish() {
  std::function<void()> dropped;
  std::lock_guard lock(state_->mutex);
  if (state_->phase != Phase::kStreaming || state_->overflowed) return;
  if (!state_->terms.is_http_1_0 && !state_->terms.is_head) state_->out += kLastChunk;
  state_->phase = Phase::kComplete;
  dropped.swap(state_->on_disconnect);
  flush_soon();
}

void Exchange::on_disconnect(std::function<void()> callback) {
  {
    std::lock_guard lock(state_->mutex);
    if (state_->phase == Phase::kComplete) return;
    if (state_->phase != Phase::kGone) {
      state_->on_disconnect.swap(callback);
      return;
    }
  }
  if (callback) callback();
}

void Exchange::post(std::function<void()> task) {
  std::lock_guard lock(state_->mutex);
  if (state_->phase == Phase::kGone || state_->phase == Phase::kComplete) return;
  carrier_->post_task([state = state_, task = std::move(task)] {
    {
      std::lock_guard inner(state->mutex);
      if (state->phase == Phase::kGone) return;
    }
    task();
  });
}

}  // namespace inferno::net
