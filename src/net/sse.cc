#include "net/sse.h"

#include <utility>

namespace inferno::net {

void append_sse(std::string& out, std::string_view data) {
  while (true) {
    const size_t end = data.find('\n');
    std::string_view line = data.substr(0, end);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    out += "data: ";
    out += line;
    out += '\n';
    if (end == std::string_view::npos) break;
    data.remove_prefix(end + 1);
  }
  out += '\n';
}

bool SseReader::feed(std::string_view bytes) {
  if (failed_) return false;
  if (consumed_bytes_ > 0) {
    buffer_.erase(0, consumed_bytes_);
    consumed_bytes_ = 0;
  }
  buffer_ += bytes;
  // What is kept without a line end is part of one event.
  const size_t last_line = buffer_.rfind('\n');
  const size_t open_bytes =
      data_.size() + (last_line == std::string::npos ? buffer_.size() : buffer_.size() - last_line);
  failed_ = open_bytes > max_event_bytes_;
  return !failed_;
}

std::optional<std::string> SseReader::next() {
  while (!failed_) {
    const size_t end = buffer_.find('\n', consumed_bytes_);
    if (end == std::string::npos) return std::nullopt;
    std::string_view line(buffer_.data() + consumed_bytes_, end - consumed_bytes_);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    consumed_bytes_ = end + 1;
    if (!line.empty()) {
      take_line(line);
      if (data_.size() > max_event_bytes_) failed_ = true;
      continue;
    }
    if (!has_data_) continue;
    has_data_ = false;
    return std::exchange(data_, {});
  }
  return std::nullopt;
}

void SseReader::take_line(std::string_view line) {
  const size_t colon = line.find(':');
  if (line.substr(0, colon) != "data") return;
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (has_data_) data_ += '\n';
  has_data_ = true;
  data_ += value;
}

}  // namespace inferno::net
