#include "serve/off_strand.h"

#include <atomic>
#include <exception>
#include <new>
#include <utility>

#include "serve/errors.h"

namespace inferno::serve {

void run_off_strand(WorkQueue& queue, size_t body_bytes, std::shared_ptr<net::Responder> responder,
                    std::function<std::function<void()>()> work) {
  if (body_bytes <= kInlineBodyBytes) {
    work()();
    return;
  }
  auto is_gone = std::make_shared<std::atomic<bool>>(false);
  responder->on_disconnect([is_gone] { *is_gone = true; });
  const bool taken = queue.try_post([responder, is_gone, work = std::move(work)] {
    if (*is_gone) return;
    try {
      responder->post(work());
    } catch (const std::bad_alloc&) {
      send_error(*responder, 503,
                 Error{Fault::kOverloaded, "The server has no memory for this request now.", {}});
    } catch (const std::exception&) {
      send_error(*responder, Error{Fault::kInternal, "The server failed on this request.", {}});
    }
  });
  if (taken) return;
  send_error(*responder,
             Error{Fault::kOverloaded, "Too many long texts wait to be made into tokens.", {}});
}

}  // namespace inferno::serve
