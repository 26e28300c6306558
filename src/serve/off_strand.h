// Keeps long texts off the I/O threads: what takes long is done on a WorkQueue, and what touches
// the connection's state on its strand again.
//
//   strand: handle() --long--> queue: work() --what it returned--> strand
//                    `-short-> work() and what it returned, at once
//
// Threads: run_off_strand() is called on the responder's strand.
// Cost:    two changes of thread for a long text.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "net/http_server.h"
#include "serve/work_queue.h"

namespace inferno::serve {

// A body of as many bytes is prepared where it came in: that takes about 0.1 ms, as the changes of
// thread may on a busy machine. Nearly all of it is tokenizing, at about 20 MB/s: a body of 1 MB
// would hold up the streams of its thread for 50 ms (prompt_bench.cc).
inline constexpr size_t kInlineBodyBytes = 2 << 10;

// Does `work` for a body of `body_bytes` bytes, then what it returns on the responder's strand.
// Answers 429 when too much waits in `queue`, 500 when `work` throws there. Nothing runs any more
// once the client has gone. Replaces the responder's disconnect callback until the strand is back.
void run_off_strand(WorkQueue& queue, size_t body_bytes, std::shared_ptr<net::Responder> responder,
                    std::function<std::function<void()>()> work);

}  // namespace inferno::serve
