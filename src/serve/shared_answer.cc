#include "serve/shared_answer.h"

#include <exception>
#include <utility>

#include "serve/errors.h"

namespace inferno::serve {
namespace {

net::HttpHeaders repeat_headers(net::HttpHeaders headers) {
  headers.push_back({"Idempotency-Replayed", "true"});
  return headers;
}

void begin(const RecordedAnswer& answer, net::HttpHeaders headers, net::Responder& client) {
  client.start_stream(answer.status, std::move(headers));
  if (!answer.body.empty()) client.write(answer.body);
}

}  // namespace

size_t RecordedAnswer::byte_count() const {
  size_t bytes = sizeof *this + body.size();
  for (const net::HttpHeader& header : headers)
    bytes += sizeof header + header.name.size() + header.value.size();
  return bytes;
}

bool RecordBudget::take(size_t bytes) {
  if (used_bytes_.fetch_add(bytes) + bytes <= max_bytes_) return true;
  used_bytes_ -= bytes;
  return false;
}

void replay(const RecordedAnswer& answer, net::Responder& client) {
  if (!answer.is_stream) {
    client.send(answer.status, repeat_headers(answer.headers), answer.body);
    return;
  }
  begin(answer, repeat_headers(answer.headers), client);
  client.finish();
}

SharedAnswer::~SharedAnswer() {
  end(nullptr);
}

// Tells once how it ended, and gives the budget back.
void SharedAnswer::end(std::shared_ptr<const RecordedAnswer> record) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(has_ended_, true)) return;
    terms_.budget->give_back(std::exchange(taken_bytes_, 0));
  }
  if (terms_.on_end) terms_.on_end(std::move(record));
}

net::HttpHeaders SharedAnswer::headers_for(ClientPlace place) const {
  const bool is_marked = place == ClientPlace::kRepeat && terms_.marks_repeats;
  return is_marked ? repeat_headers(record_->headers) : record_->headers;
}

bool SharedAnswer::may_record(size_t bytes) {
  if (!is_recorded_) return false;
  if (taken_bytes_ + bytes <= terms_.max_answer_bytes && terms_.budget->take(bytes)) {
    taken_bytes_ += bytes;
    return true;
  }
  drop_record();
  return false;
}

void SharedAnswer::drop_record() {
  is_recorded_ = false;
  record_->body = std::string();
  terms_.budget->give_back(std::exchange(taken_bytes_, 0));
}

bool SharedAnswer::attach(std::shared_ptr<net::Responder> client, ClientPlace place) {
  uint64_t number = 0;
  {
    std::lock_guard lock(mutex_);
    if (phase_ == Phase::kAbandoned || !is_recorded_) return false;
    if (has_status_ && !record_->is_stream) {
      client->send(record_->status, headers_for(place), record_->body);
    } else if (has_status_) {
      begin(*record_, headers_for(place), *client);
      if (phase_ == Phase::kComplete) client->finish();
    }
    if (phase_ == Phase::kComplete) return true;
    has_first_client_ |= place == ClientPlace::kFirst;
    number = ++last_number_;
    clients_.push_back({number, place, client});
  }
  client->on_disconnect([weak = weak_from_this(), number] {
    if (const auto self = weak.lock()) self->detach(number);
  });
  return true;
}

void SharedAnswer::detach(uint64_t number) {
  std::shared_ptr<net::Responder> gone;  // both let go after the lock
  Tasks dropped;
  bool is_last = false;
  {
    std::lock_guard lock(mutex_);
    for (auto client = clients_.begin(); client != clients_.end(); ++client) {
      if (client->number != number) continue;
      gone = std::move(client->responder);
      clients_.erase(client);
      break;
    }
    is_last = gone != nullptr && clients_.empty() && has_first_client_ && phase_ == Phase::kMaking;
    if (is_last) dropped = abandon();
  }
  if (is_last) end(nullptr);
}

// Nobody follows any more: what is queued is dropped, and the endpoint hears of it as a task.
SharedAnswer::Tasks SharedAnswer::abandon() {
  Tasks dropped;
  phase_ = Phase::kAbandoned;
  if (const auto tasks = tasks_.lock()) dropped.swap(*tasks);
  if (on_disconnect_) run_later(std::exchange(on_disconnect_, nullptr));
  return dropped;
}

void SharedAnswer::send(int status, net::HttpHeaders headers, std::string body) {
  std::vector<Client> clients;
  std::function<void()> dropped;  // both destroyed after the lock is let go
  std::shared_ptr<const RecordedAnswer> record;
  {
    std::lock_guard lock(mutex_);
    if (phase_ != Phase::kMaking || has_status_) return;
    has_status_ = true;
    phase_ = Phase::kComplete;
    record_->status = status;
    record_->headers = std::move(headers);
    clients.swap(clients_);
    dropped.swap(on_disconnect_);
    for (const Client& client : clients)
      client.responder->send(status, headers_for(client.place), body);
    if (may_record(body.size())) {
      record_->body = std::move(body);
      record = record_;
    }
  }
  end(std::move(record));
}

void SharedAnswer::start_stream(int status, net::HttpHeaders headers) {
  std::lock_guard lock(mutex_);
  if (phase_ != Phase::kMaking || has_status_) return;
  has_status_ = true;
  record_->is_stream = true;
  record_->status = status;
  record_->headers = std::move(headers);
  for (const Client& client : clients_)
    client.responder->start_stream(status, headers_for(client.place));
}

void SharedAnswer::write(std::string_view bytes) {
  std::lock_guard lock(mutex_);
  if (phase_ != Phase::kMaking || !record_->is_stream) return;
  record_->has_error_event |= is_error_event(bytes);
  if (may_record(bytes.size())) record_->body += bytes;
  for (const Client& client : clients_)
    client.responder->write(bytes);
}

void SharedAnswer::finish() {
  std::vector<Client> clients;
  std::function<void()> dropped;
  std::shared_ptr<const RecordedAnswer> record;
  {
    std::lock_guard lock(mutex_);
    if (phase_ != Phase::kMaking || !record_->is_stream) return;
    phase_ = Phase::kComplete;
    clients.swap(clients_);
    dropped.swap(on_disconnect_);
    for (const Client& client : clients)
      client.responder->finish();
    if (is_recorded_) record = record_;
  }
  end(std::move(record));
}

void SharedAnswer::on_disconnect(std::function<void()> callback) {
  {
    std::lock_guard lock(mutex_);
    if (phase_ == Phase::kComplete) return;
    if (phase_ == Phase::kMaking) {
      on_disconnect_.swap(callback);
      return;
    }
  }
  if (callback) callback();
}

void SharedAnswer::post(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (phase_ == Phase::kMaking) run_later(std::move(task));
}

void SharedAnswer::run_later(std::function<void()> task) {
  if (is_running_) {
    // Without tasks: the queue has stopped, and drops them as the end of a server does.
    if (const auto tasks = tasks_.lock()) tasks->push_back(std::move(task));
    return;
  }
  auto tasks = std::make_shared<Tasks>();
  tasks->push_back(std::move(task));
  tasks_ = tasks;
  is_running_ = true;
  terms_.queue->try_post([self = shared_from_this(), tasks] { self->run_tasks(*tasks); });
}

void SharedAnswer::run_tasks(Tasks& tasks) {
  while (true) {
    std::function<void()> task;
    {
      std::lock_guard lock(mutex_);
      if (tasks.empty()) {
        tasks_.reset();
        is_running_ = false;
        return;
      }
      task = std::move(tasks.front());
      tasks.pop_front();
    }
    try {
      task();
    } catch (const std::exception&) {
      send_error(*this, Error{Fault::kInternal, "The server failed on this request.", {}});
      // A stream has begun: that there is no more of it, the clients' connections must say.
      std::vector<Client> cut;
      Tasks dropped;
      {
        std::lock_guard lock(mutex_);
        cut.swap(clients_);
        if (phase_ == Phase::kMaking) dropped = abandon();
      }
      end(nullptr);
    }
  }
}

}  // namespace inferno::serve
