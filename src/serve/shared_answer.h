// One answer in the making that several clients follow. The endpoint that makes it takes it for its
// client's Responder; what it is told is recorded and passed on to every client.
//
//   endpoint --send, write--> SharedAnswer --> client, client, ...
//                               record <-- attach(): a late client gets the record first
//
//   MAKING --send, finish------> COMPLETE     the record is the whole answer
//   MAKING --last client gone--> ABANDONED    the endpoint is told, as of any client that goes;
//                                             not before the first client has come
//
// Its tasks run on a WorkQueue, one at a time and in order: it has no connection, hence no strand.
// A client that does not read is cut off by its own connection (Responder::write()) and delays
// nobody. A record that grows beyond its limit is dropped: the clients that are there go on, but
// nobody can join any more.
//
// Invariant: every client gets the same status and bytes, whenever it came.
// Threads:   every method may be called from any thread. `on_end` is called without a lock held.
// Cost:      the record, and for each client what its connection has not sent.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_server.h"
#include "serve/work_queue.h"

namespace inferno::serve {

// An answer as it was given.
struct RecordedAnswer {
  int status = 0;
  net::HttpHeaders headers;
  std::string body;
  bool is_stream = false;
  bool has_error_event = false;  // the stream tells of an error (errors.h)

  size_t byte_count() const;
};

// Whether a client is the first of its answer, or gets what another asked for.
enum class ClientPlace { kFirst, kRepeat };

// Gives a recorded answer to a client.
void replay(const RecordedAnswer& answer, net::Responder& client);

// Bytes that all records in the making may hold together.
class RecordBudget {
 public:
  explicit RecordBudget(size_t max_bytes) : max_bytes_(max_bytes) {}

  // False, and nothing is taken, when fewer are left.
  bool take(size_t bytes);
  void give_back(size_t bytes) { used_bytes_ -= bytes; }
  size_t used_bytes() const { return used_bytes_; }

 private:
  const size_t max_bytes_;
  std::atomic<size_t> used_bytes_{0};
};

class SharedAnswer final : public net::Responder,
                           public std::enable_shared_from_this<SharedAnswer> {
 public:
  struct Terms {
    std::shared_ptr<WorkQueue> queue;
    std::shared_ptr<RecordBudget> budget;
    size_t max_answer_bytes = 0;
    // Repeats get the header Idempotency-Replayed: true.
    bool marks_repeats = false;
    // Called once, with the record, or with null when there is none: the answer was abandoned,
    // dropped without an end, or too long.
    std::function<void(std::shared_ptr<const RecordedAnswer>)> on_end;
  };

  explicit SharedAnswer(Terms terms) : terms_(std::move(terms)) {}
  ~SharedAnswer() override;

  // Adds a client, which gets what there is and then what comes. False, and nothing is told to it,
  // when the answer cannot be had any more.
  bool attach(std::shared_ptr<net::Responder> client, ClientPlace place);

  void send(int status, net::HttpHeaders headers, std::string body) override;
  void start_stream(int status, net::HttpHeaders headers) override;
  void write(std::string_view bytes) override;
  void finish() override;
  void on_disconnect(std::function<void()> callback) override;
  void post(std::function<void()> task) override;

 private:
  enum class Phase { kMaking, kComplete, kAbandoned };
  struct Client {
    uint64_t number = 0;
    ClientPlace place = ClientPlace::kFirst;
    std::shared_ptr<net::Responder> responder;
  };
  using Tasks = std::deque<std::function<void()>>;

  void detach(uint64_t number);
  void run_tasks(Tasks& tasks);
  void end(std::shared_ptr<const RecordedAnswer> record);

  // These require mutex_.
  net::HttpHeaders headers_for(ClientPlace place) const;
  // Counts bytes into the record's budget; drops the record when there is no room.
  bool may_record(size_t bytes);
  void drop_record();
  // Returns the tasks that will not run, to be let go without the lock.
  Tasks abandon();
  void run_later(std::function<void()> task);

  const Terms terms_;
  std::mutex mutex_;  // guards what follows
  Phase phase_ = Phase::kMaking;
  bool has_status_ = false;
  bool is_recorded_ = true;
  bool has_ended_ = false;
  size_t taken_bytes_ = 0;  // of the budget
  std::shared_ptr<RecordedAnswer> record_ = std::make_shared<RecordedAnswer>();
  std::vector<Client> clients_;
  uint64_t last_number_ = 0;
  bool has_first_client_ = false;  // or had
  std::function<void()> on_disconnect_;
  // What run_tasks() has before it, from when it is queued until it has nothing left. The queue
  // alone owns the tasks, which hold this object: one that stops lets go of both.
  std::weak_ptr<Tasks> tasks_;
  bool is_running_ = false;
};

}  // namespace inferno::serve
