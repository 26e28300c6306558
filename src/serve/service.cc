#include "serve/service.h"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <random>
#include <utility>

#include "serve/errors.h"

namespace inferno::serve {

namespace json = boost::json;

namespace {

constexpr size_t kMaxRequestIdBytes = 256;

// 32 hexadecimal digits that no other request of this or another process is likely to have.
std::string unique_suffix() {
  static const uint64_t process = [] {
    std::random_device device;
    return (static_cast<uint64_t>(device()) << 32) | device();
  }();
  static std::atomic<uint64_t> count{0};
  // A step of the SplitMix64 generator (Steele, Lea, Flood 2014), so that neighbours look unlike.
  uint64_t mixed = process + (count.fetch_add(1) + 1) * 0x9E3779B97F4A7C15u;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  mixed ^= mixed >> 31;
  return fmt::format("{:016x}{:016x}", process, mixed);
}

// Printable ASCII only: the name goes into JSON and logs.
bool is_usable_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestIdBytes &&
         std::ranges::all_of(id, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

const ModelEntry* Service::find(std::string_view name) const {
  for (const auto& entry : models) {
    if (std::ranges::find(entry->model.names, name) != entry->model.names.end()) return entry.get();
  }
  return nullptr;
}

Result<const ModelEntry*> Service::model_of(const json::object& body) const {
  FieldReader fields(body);
  const auto name = fields.text("model");
  if (fields.error()) return std::unexpected(*fields.error());
  if (!name || name->empty()) return models.front().get();
  if (const ModelEntry* entry = find(*name)) return entry;
  return std::unexpected(
      Error{Fault::kNotFound,
            fmt::format("The model {} does not exist.", shown(json::value(*name))), "model"});
}

bool Service::healthy() const {
  return std::ranges::all_of(models,
                             [](const auto& entry) { return entry->model.generator->healthy(); });
}

Result<AnswerContext> make_context(const ModelEntry& entry, const net::HttpRequest& request,
                                   std::shared_ptr<net::Responder> responder, Call call,
                                   std::string_view id_prefix) {
  AnswerContext context;
  if (const auto priority = request.header("X-Vllm-Priority")) {
    const auto parsed =
        std::from_chars(priority->data(), priority->data() + priority->size(), call.priority);
    if (parsed.ec != std::errc() || parsed.ptr != priority->data() + priority->size()) {
      return fail_field("priority", "X-Vllm-Priority is {}, must be a 32-bit integer",
                        shown(json::value("of another form")));
    }
  }
  const auto header_id = request.header("X-Request-Id");
  std::string suffix = call.request_id;
  if (header_id && is_usable_id(*header_id)) suffix = *header_id;
  if (!is_usable_id(suffix)) suffix = unique_suffix();
  context.id = std::string(id_prefix) + suffix;
  context.created = std::chrono::duration_cast<std::chrono::seconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  context.entry = &entry;
  context.responder = std::move(responder);
  context.call = std::move(call);
  return context;
}

void start_answer(const AnswerContext& context, const net::HttpRequest& request,
                  std::unique_ptr<Answer> answer) {
  GenerationPlan plan;
  for (const Prompt& prompt : context.prompts) {
    plan.prompts.push_back(prompt.tokens);
    plan.max_tokens.push_back(prompt.max_tokens);
  }
  plan.sampling = context.call.sampling;
  plan.choice_count = context.call.choice_count;
  plan.priority = context.call.priority;
  plan.cache_salt = context.call.cache_salt;
  plan.external_id = context.id;
  plan.arrival = request.arrival;
  auto started = Generation::start(*context.entry->model.generator, context.entry->metrics,
                                   context.responder, std::move(plan), std::move(answer));
  if (!started) {
    send_error(*context.responder, started.error());
  } else if (context.call.stream) {
    Answer::begin_stream(*context.responder);
  }
}

}  // namespace inferno::serve
