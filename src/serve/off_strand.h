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

// A body of as many bytes is prepared where it came in. Nearly all of that is tokenizing, at about
// 20 MB/s (prompt_bench.cc): 64 KiB hold up the streams of their thread for 3 ms, less than a step
// takes; 1 MB would hold them up for 50 ms.
inline constexpr size_t kInlineBodyBytes = 64 << 10;

// Up to here a body is parsed where it came in, so that one that is no JSON is answered at once: at
// some 400 MB/s that takes 3 ms. A longer one is parsed with the rest of the work.
inline constexpr size_t kInlineParseBytes = 1 << 20;

// Does `work` for a body of `body_bytes` bytes, then what it returns on the responder's strand.
// Answers 429 when too much waits in `queue`, 503 when `work` finds no
// memory there, 500 when it throws something else. Nothing runs any more
// once the client has gone. Replaces the responder's disconnect callback until the strand is back.
void run_off_strand(WorkQueue& queue, size_t body_bytes, std::shared_ptr<net::Responder> responder,
                    std::function<std::function<void()>()> work);

}  // namespace inferno::serve
