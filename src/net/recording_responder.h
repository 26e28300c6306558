// A Responder that keeps what it is told, for tests of handlers.
//
// Threads: as Responder; posted tasks wait until the test runs them.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "net/http_server.h"

namespace inferno::net {

class RecordingResponder : public Responder {
 public:
  void send(int new_status, HttpHeaders new_headers, std::string new_body) override {
    status = new_status;
    headers = std::move(new_headers);
    body = std::move(new_body);
    is_complete = true;
  }
  void start_stream(int new_status, HttpHeaders new_headers) override {
    status = new_status;
    headers = std::move(new_headers);
  }
  void write(std::string_view bytes) override { body += bytes; }
  void finish() override { is_complete = true; }
  void on_disconnect(std::function<void()> callback) override { disconnect = std::move(callback); }
  void post(std::function<void()> task) override {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }

  // Runs the tasks posted so far and waits some seconds for the first. False when none came.
  bool run_tasks() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(20), [&] { return !tasks_.empty(); })) {
      return false;
    }
    while (!tasks_.empty()) {
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
    return true;
  }

  std::string header(std::string_view name) const {
    for (const HttpHeader& field : headers) {
      if (field.name == name) return field.value;
    }
    return "";
  }

  int status = 0;
  HttpHeaders headers;
  std::string body;
  bool is_complete = false;
  std::function<void()> disconnect;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
};

}  // namespace inferno::net
