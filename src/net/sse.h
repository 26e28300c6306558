// Server-sent events (WHATWG HTML section 9.2): the framing of a stream of text messages over HTTP.
//
//   "data: {...}\n\n"
//
// Threads: pure functions, and a reader that belongs to whoever feeds it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace inferno::net {

inline constexpr const char* kSseContentType = "text/event-stream; charset=utf-8";

// Appends one event whose data is `data`; each line of it becomes a line of the event.
void append_sse(std::string& out, std::string_view data);

// Takes the bytes of a stream in any pieces and gives back the data of each complete event.
class SseReader {
 public:
  // `max_event_bytes`: an event longer than this is an error of the peer.
  explicit SseReader(size_t max_event_bytes = 16 << 20) : max_event_bytes_(max_event_bytes) {}

  // Adds bytes. False when an event exceeds the limit; the reader then gives no more events.
  bool feed(std::string_view bytes);

  // The data of the next complete event, or none. Comments and other fields are skipped, and an
  // event without data is no event.
  std::optional<std::string> next();

 private:
  void take_line(std::string_view line);

  size_t max_event_bytes_;
  std::string buffer_;
  size_t consumed_bytes_ = 0;
  std::string data_;
  bool has_data_ = false;
  bool failed_ = false;
};

}  // namespace inferno::net
