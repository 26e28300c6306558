#include "load/trace.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>
#include <unordered_set>
#include <utility>

namespace inferno::load {

namespace json = boost::json;

namespace {

// Prompts and answers longer than any model takes mean that the file is something else.
constexpr int64_t kMaxTokens = 1 << 24;

struct Place {
  std::string_view name;
  size_t line = 0;
};

std::unexpected<Error> bad_line(const Place& place, std::string_view what) {
  return fail(Fault::kCorrupt, "{} line {}: {}", place.name, place.line, what);
}

std::optional<double> number_of(const json::object& row, std::string_view field) {
  const json::value* value = row.if_contains(field);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

bool is_token_count(double value) {
  return value >= 0.0 && value <= kMaxTokens && value == std::floor(value);
}

Result<TraceRow> mooncake_row(const Place& place, std::string_view line) {
  boost::system::error_code error;
  const json::value value = json::parse(line, error);
  if (error || !value.is_object()) return bad_line(place, "is not a JSON object");
  const json::object& object = value.get_object();
  const auto at_ms = number_of(object, "timestamp");
  if (!at_ms || !(*at_ms >= 0.0)) return bad_line(place, "timestamp is not milliseconds");
  const auto input = number_of(object, "input_length");
  const auto output = number_of(object, "output_length");
  if (!input || !output || !is_token_count(*input) || !is_token_count(*output)) {
    return bad_line(place, "input_length and output_length must be 0 to 16777216");
  }
  TraceRow row;
  row.at_s = *at_ms / 1000.0;
  row.input_tokens = std::max(1, static_cast<int>(*input));
  row.output_tokens = std::max(1, static_cast<int>(*output));
  const json::value* ids = object.if_contains("hash_ids");
  if (ids == nullptr || ids->is_null()) return row;
  if (!ids->is_array()) return bad_line(place, "hash_ids is not a list");
  for (const json::value& id : ids->get_array()) {
    const auto number = id.to_number<uint64_t>(error);
    if (error) return bad_line(place, "hash_ids holds what is not a whole number");
    row.hash_ids.push_back(number);
  }
  const size_t blocks = (static_cast<size_t>(row.input_tokens) + kTraceBlockTokens - 1) /
                        static_cast<size_t>(kTraceBlockTokens);
  if (!row.hash_ids.empty() && row.hash_ids.size() != blocks) {
    return bad_line(place, fmt::format("has {} hash_ids for {} tokens, must be {}",
                                       row.hash_ids.size(), row.input_tokens, blocks));
  }
  return row;
}

template <typename T>
std::optional<T> parsed(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "YYYY-MM-DD HH:MM:SS.FRACTION" as seconds since the epoch.
std::optional<double> time_of(std::string_view text) {
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  const auto year = parsed<int>(text.substr(0, 4));
  const auto month = parsed<unsigned>(text.substr(5, 2));
  const auto day = parsed<unsigned>(text.substr(8, 2));
  const auto hour = parsed<int>(text.substr(11, 2));
  const auto minute = parsed<int>(text.substr(14, 2));
  const auto second = parsed<double>(text.substr(17));
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(*month),
                                         std::chrono::day(*day)};
  if (!date.ok()) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return days * 86400.0 + *hour * 3600.0 + *minute * 60.0 + *second;
}

Result<TraceRow> azure_row(const Place& place, std::string_view line) {
  std::array<std::string_view, 3> fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    const size_t end = line.find(',');
    if ((end == std::string_view::npos) != (i + 1 == fields.size())) {
      return bad_line(place, "does not have three fields");
    }
    fields[i] = line.substr(0, end);
    if (end != std::string_view::npos) line.remove_prefix(end + 1);
  }
  const auto at_s = time_of(fields[0]);
  if (!at_s) return bad_line(place, "TIMESTAMP is not YYYY-MM-DD HH:MM:SS.FRACTION");
  const auto input = parsed<int>(fields[1]);
  const auto output = parsed<int>(fields[2]);
  if (!input || !output || !is_token_count(*input) || !is_token_count(*output)) {
    return bad_line(place, "ContextTokens and GeneratedTokens must be 0 to 16777216");
  }
  return TraceRow{.at_s = *at_s,
                  .input_tokens = std::max(1, *input),
                  .output_tokens = std::max(1, *output),
                  .hash_ids = {}};
}

// From the first one on; rows of one time stay in the order of the file.
std::vector<TraceRow> in_order_of_time(std::vector<TraceRow>& rows) {
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return std::pair(rows[i].at_s, i); });
  const double first_s = rows[order.front()].at_s;
  std::vector<TraceRow> out;
  out.reserve(rows.size());
  for (const size_t i : order) {
    out.push_back(std::move(rows[i]));
    out.back().at_s -= first_s;
  }
  return out;
}

int scaled(int64_t tokens, double scale) {
  return static_cast<int>(std::llround(static_cast<double>(tokens) * scale));
}

double scale_to(int longest, int limit) {
  return limit > 0 && longest > limit ? static_cast<double>(limit) / longest : 1.0;
}

std::vector<Segment> segments_of(const TraceRow& row, double scale, uint64_t own_stream) {
  if (row.hash_ids.empty()) return {{own_stream, std::max(1, scaled(row.input_tokens, scale))}};
  std::vector<Segment> segments;
  int64_t begin = 0;
  for (const uint64_t id : row.hash_ids) {
    const int64_t end = std::min<int64_t>(begin + kTraceBlockTokens, row.input_tokens);
    const int tokens = scaled(end, scale) - scaled(begin, scale);
    if (tokens > 0) segments.push_back({id, tokens});
    begin = end;
  }
  if (segments.empty()) segments.push_back({row.hash_ids.front(), 1});
  return segments;
}

}  // namespace

Result<std::vector<TraceRow>> parse_trace(std::string_view name, std::string_view text) {
  const bool is_mooncake = text.starts_with('{');
  constexpr std::string_view kAzureHead = "TIMESTAMP,ContextTokens,GeneratedTokens";
  std::vector<TraceRow> rows;
  Place place{.name = name, .line = 0};
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++place.line;
    if (line.empty()) continue;
    if (!is_mooncake && place.line == 1) {
      if (line != kAzureHead) return bad_line(place, "is neither JSON nor Azure's column names");
      continue;
    }
    auto row = is_mooncake ? mooncake_row(place, line) : azure_row(place, line);
    if (!row) return std::unexpected(row.error());
    rows.push_back(std::move(*row));
  }
  if (rows.empty()) return fail(Fault::kCorrupt, "{} holds no request", name);
  return in_order_of_time(rows);
}

std::vector<Conversation> trace_conversations(const std::vector<TraceRow>& rows,
                                              const TraceScale& scale) {
  int longest_input = 0;
  int longest_output = 0;
  uint64_t own_stream = 0;  // above all hash ids
  for (const TraceRow& row : rows) {
    longest_input = std::max(longest_input, row.input_tokens);
    longest_output = std::max(longest_output, row.output_tokens);
    for (const uint64_t id : row.hash_ids)
      own_stream = std::max(own_stream, id + 1);
  }
  const double input_scale = scale_to(longest_input, scale.max_input_tokens);
  const double output_scale = scale_to(longest_output, scale.max_output_tokens);
  std::vector<Conversation> out;
  out.reserve(rows.size());
  for (const TraceRow& row : rows) {
    Conversation conversation;
    conversation.at_s = row.at_s * scale.time;
    Turn turn;
    turn.segments = segments_of(row, input_scale, own_stream++);
    turn.output_tokens = std::max(1, scaled(row.output_tokens, output_scale));
    conversation.turns.push_back(std::move(turn));
    out.push_back(std::move(conversation));
  }
  return out;
}

PrefixShare shared_prefix_share(const std::vector<Conversation>& conversations) {
  std::unordered_set<uint64_t> seen;
  PrefixShare all;
  PrefixShare shared;
  for (const Conversation& conversation : conversations) {
    bool is_prefix = true;
    std::vector<Segment> prompt = conversation.shared;
    const auto& first = conversation.turns.front().segments;
    prompt.insert(prompt.end(), first.begin(), first.end());
    for (const Segment& segment : prompt) {
      is_prefix = is_prefix && seen.contains(segment.stream);
      all.tokens += segment.token_count;
      all.segments += 1.0;
      if (!is_prefix) continue;
      shared.tokens += segment.token_count;
      shared.segments += 1.0;
    }
    for (const Segment& segment : prompt)
      seen.insert(segment.stream);
  }
  if (all.segments == 0.0) return {};
  return {.tokens = shared.tokens / std::max(1.0, all.tokens),
          .segments = shared.segments / all.segments};
}

}  // namespace inferno::load
