#include "load/dataset.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <iterator>

#include "load/random.h"
#include "load/trace.h"

namespace inferno::load {

namespace json = boost::json;

namespace {

constexpr int kDefaultRequestCount = 1000;

// Streams below this are shared prefixes, the others a prompt's own.
constexpr uint64_t kFirstOwnStream = uint64_t{1} << 32;

struct KindName {
  std::string_view name;
  DatasetKind kind;
};
constexpr std::array<KindName, 7> kKinds = {{{"random", DatasetKind::kRandom},
                                             {"prefix_repetition", DatasetKind::kPrefixRepetition},
                                             {"multi-turn", DatasetKind::kMultiTurn},
                                             {"multi_turn", DatasetKind::kMultiTurn},
                                             {"prompt", DatasetKind::kPrompt},
                                             {"custom", DatasetKind::kCustom},
                                             {"trace", DatasetKind::kTrace}}};

// Draws lengths, each uniform in [floor(mean * (1 - ratio)), ceil(mean * (1 + ratio))], at least 1.
class Lengths {
 public:
  Lengths(double ratio, uint64_t seed)
      : ratio_(ratio), random_(random_for(seed, RandomUse::kLengths)) {}

  int around(int mean) {
    const double least = std::max(1.0, std::floor(mean * (1.0 - ratio_)));
    const double most = std::max(least, std::ceil(mean * (1.0 + ratio_)));
    const auto span = static_cast<uint64_t>(most - least) + 1;
    return static_cast<int>(least) + static_cast<int>(random_.below(span));
  }

 private:
  double ratio_;
  Random random_;
};

Conversation single(Turn turn) {
  Conversation out;
  out.turns.push_back(std::move(turn));
  return out;
}

std::vector<Conversation> random_prompts(const DatasetOptions& options, int count, uint64_t seed) {
  Lengths lengths(options.range_ratio, seed);
  std::vector<Conversation> out;
  for (int i = 0; i < count; ++i) {
    Turn turn;
    turn.segments = {
        {kFirstOwnStream + static_cast<uint64_t>(i), lengths.around(options.input_tokens)}};
    turn.output_tokens = lengths.around(options.output_tokens);
    out.push_back(single(std::move(turn)));
    if (options.prefix_tokens > 0) out.back().shared = {{0, options.prefix_tokens}};
  }
  return out;
}

std::vector<Conversation> repeated_prefixes(const DatasetOptions& options, int count,
                                            uint64_t seed) {
  std::vector<Conversation> out;
  for (int i = 0; i < count; ++i) {
    Turn turn;
    const auto prefix = static_cast<uint64_t>(i % options.repeated_prefix_count);
    if (options.repeated_prefix_tokens > 0) {
      turn.segments.push_back({prefix, options.repeated_prefix_tokens});
    }
    if (options.repeated_suffix_tokens > 0) {
      turn.segments.push_back(
          {kFirstOwnStream + static_cast<uint64_t>(i), options.repeated_suffix_tokens});
    }
    turn.output_tokens = options.repeated_output_tokens;
    out.push_back(single(std::move(turn)));
  }
  random_for(seed, RandomUse::kOrder).shuffle(std::span<Conversation>(out));
  return out;
}

std::vector<Conversation> conversations(const DatasetOptions& options, int count, uint64_t seed) {
  Lengths lengths(options.range_ratio, seed);
  Random thinking = random_for(seed, RandomUse::kThinking);
  std::vector<Conversation> out;
  for (int i = 0; i < count; ++i) {
    if (i % options.turn_count == 0) {
      out.emplace_back();
      if (options.prefix_tokens > 0) out.back().shared = {{0, options.prefix_tokens}};
    }
    Turn turn;
    turn.segments = {
        {kFirstOwnStream + static_cast<uint64_t>(i), lengths.around(options.input_tokens)}};
    turn.output_tokens = lengths.around(options.output_tokens);
    turn.think_s = -options.mean_think_s * std::log(1.0 - thinking.uniform());
    out.back().turns.push_back(std::move(turn));
  }
  return out;
}

Result<std::string> read_file(const std::string& path) {
  if (path.empty()) return fail_field("dataset-path", "dataset-path must name a file");
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file.good() && !file.eof()) {
    return fail(Fault::kNotFound, "dataset-path: cannot read {}", path);
  }
  return text;
}

// Files may hold fewer or more rows than are wanted.
void take_rows(std::vector<Conversation>& rows, std::optional<int> count) {
  if (count && static_cast<size_t>(*count) < rows.size()) rows.resize(static_cast<size_t>(*count));
}

Result<std::vector<Conversation>> from_file(const DatasetOptions& options) {
  const auto text = read_file(options.path);
  if (!text) return std::unexpected(text.error());
  if (options.kind == DatasetKind::kCustom) {
    auto rows = parse_custom(options.path, *text, options.prompt_output_tokens);
    if (rows) take_rows(*rows, options.request_count);
    return rows;
  }
  const auto rows = parse_trace(options.path, *text);
  if (!rows) return std::unexpected(rows.error());
  auto out = trace_conversations(*rows, {.time = options.time_scale,
                                         .max_input_tokens = options.max_input_tokens,
                                         .max_output_tokens = options.max_output_tokens});
  take_rows(out, options.request_count);
  return out;
}

Result<void> check_dataset(const DatasetOptions& options) {
  struct AtLeastOne {
    std::string_view name;
    int value;
  };
  for (const auto& [name, value] : std::initializer_list<AtLeastOne>{
           {"num-prompts", options.request_count.value_or(1)},
           {"random-input-len", options.input_tokens},
           {"random-output-len", options.output_tokens},
           {"output-len", options.prompt_output_tokens},
           {"prefix-repetition-num-prefixes", options.repeated_prefix_count},
           {"prefix-repetition-output-len", options.repeated_output_tokens},
           {"prefix-repetition-prefix-len + suffix-len",
            options.repeated_prefix_tokens + options.repeated_suffix_tokens},
           {"multi-turn-turns", options.turn_count}}) {
    if (value < 1) return fail_field(name, "{} is {}, must be at least 1", name, value);
  }
  if (!(options.range_ratio >= 0.0 && options.range_ratio < 1.0)) {
    return fail_field("random-range-ratio", "random-range-ratio is {}, must be in [0, 1)",
                      options.range_ratio);
  }
  if (options.kind == DatasetKind::kPrompt && options.prompt.empty()) {
    return fail_field("prompt", "prompt is empty");
  }
  return {};
}

}  // namespace

Result<DatasetKind> dataset_named(std::string_view name) {
  const auto found = std::ranges::find(kKinds, name, &KindName::name);
  if (found != kKinds.end()) return found->kind;
  return fail_field("dataset-name",
                    "dataset-name is '{}', must be random, prefix_repetition, multi-turn, prompt, "
                    "custom or trace",
                    name);
}

Result<std::vector<Conversation>> parse_custom(std::string_view name, std::string_view text,
                                               int default_output_tokens) {
  std::vector<Conversation> out;
  size_t line_number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    boost::system::error_code error;
    const json::value value = json::parse(line, error);
    const json::object* row = error ? nullptr : value.if_object();
    const json::value* prompt = row == nullptr ? nullptr : row->if_contains("prompt");
    if (prompt == nullptr || !prompt->is_string() || prompt->get_string().empty()) {
      return fail(Fault::kCorrupt, "{} line {}: is not {{\"prompt\": \"...\"}}", name, line_number);
    }
    Turn turn;
    turn.text = prompt->get_string();
    turn.output_tokens = default_output_tokens;
    const json::value* wanted = row->if_contains("output_tokens");
    if (wanted != nullptr && !wanted->is_null()) {
      turn.output_tokens = wanted->to_number<int>(error);
      if (error || turn.output_tokens < 1) {
        return fail(Fault::kCorrupt, "{} line {}: output_tokens must be a whole number above 0",
                    name, line_number);
      }
    }
    out.push_back(single(std::move(turn)));
  }
  if (out.empty()) return fail(Fault::kCorrupt, "{} holds no prompt", name);
  return out;
}

Result<std::vector<Conversation>> make_conversations(const DatasetOptions& options, uint64_t seed) {
  if (auto checked = check_dataset(options); !checked) return std::unexpected(checked.error());
  const int count = options.request_count.value_or(kDefaultRequestCount);
  switch (options.kind) {
    case DatasetKind::kRandom:
      return random_prompts(options, count, seed);
    case DatasetKind::kPrefixRepetition:
      return repeated_prefixes(options, count, seed);
    case DatasetKind::kMultiTurn:
      return conversations(options, count, seed);
    case DatasetKind::kPrompt: {
      Turn turn;
      turn.text = options.prompt;
      turn.output_tokens = options.prompt_output_tokens;
      return std::vector<Conversation>(static_cast<size_t>(count), single(std::move(turn)));
    }
    case DatasetKind::kCustom:
    case DatasetKind::kTrace:
      return from_file(options);
  }
  return fail(Fault::kInternal, "dataset kind {}", static_cast<int>(options.kind));
}

}  // namespace inferno::load
