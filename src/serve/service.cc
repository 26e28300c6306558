#include "serve/service.h"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <random>
#include <utility>

#include "serve/account.h"
#include "serve/api_key.h"
#include "serve/call_headers.h"
#include "serve/errors.h"
#include "serve/off_strand.h"

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

Result<std::string> Service::model_name(const json::object& body) {
  FieldReader fields(body);
  auto name = fields.text("model");
  if (fields.error()) return std::unexpected(*fields.error());
  return std::move(name).value_or("");
}

Result<EntryPtr> Service::model_of(const json::object& body) const {
  const auto name = model_name(body);
  if (!name) return std::unexpected(name.error());
  auto entry = models->find(*name);
  if (!entry && entry.error().fault == Fault::kNotFound) {
    entry.error().message =
        name->empty() ? "No model is loaded."
                      : fmt::format("The model {} does not exist.", shown(json::value(*name)));
  }
  return entry;
}

Result<AnswerContext> make_context(EntryPtr entry, const net::HttpRequest& request,
                                   std::shared_ptr<net::Responder> responder, Call call,
                                   std::string_view id_prefix) {
  AnswerContext context;
  if (auto taken = read_call_headers(request, call); !taken) {
    return std::unexpected(taken.error());
  }
  if (call.priority != 0 && !entry->limits.takes_priority) {
    return fail_field("priority",
                      "priority is {}, must be 0: the server does not schedule by priority "
                      "(--scheduling-policy priority)",
                      call.priority);
  }
  const auto header_id = request.header("X-Request-Id");
  std::string suffix = call.request_id;
  if (header_id && is_usable_id(*header_id)) suffix = *header_id;
  if (!is_usable_id(suffix)) suffix = unique_suffix();
  context.id = std::string(id_prefix) + suffix;
  context.created = std::chrono::duration_cast<std::chrono::seconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  context.arrival = request.arrival;
  // Between keys shares are fair; whoever holds one cannot get more by naming many users.
  context.client = account_of(request, bearer_token(request).empty() ? call.user : "");
  context.entry = std::move(entry);
  context.responder = std::move(responder);
  context.call = std::move(call);
  return context;
}

void run_prepared(const Service& service, net::HttpRequest request,
                  std::shared_ptr<net::Responder> responder, Prepare prepare) {
  const size_t body_bytes = request.body.size();
  std::shared_ptr<const json::object> parsed;
  if (body_bytes <= kInlineParseBytes) {
    auto body = parse_json_object(request.body);
    if (!body) {
      send_error(*responder, body.error());
      return;
    }
    parsed = std::make_shared<const json::object>(std::move(*body));
  }
  auto shared = std::make_shared<const net::HttpRequest>(std::move(request));
  run_off_strand(*service.text_work, body_bytes, responder,
                 [&service, parsed, shared, responder, prepare]() -> std::function<void()> {
                   Result<json::object> late;
                   if (!parsed) late = parse_json_object(shared->body);
                   auto answer =
                       late ? prepare(service, parsed ? *parsed : *late, *shared, responder)
                            : Result<std::unique_ptr<Answer>>(std::unexpected(late.error()));
                   if (!answer) {
                     return [responder, error = answer.error()] { send_error(*responder, error); };
                   }
                   // Shared, as a std::function must be copyable.
                   auto held = std::make_shared<std::unique_ptr<Answer>>(std::move(*answer));
                   return [held] { start_answer(std::move(*held)); };
                 });
}

void start_answer(std::unique_ptr<Answer> answer) {
  const AnswerContext& context = answer->context();
  const std::shared_ptr<net::Responder> responder = context.responder;
  EntryPtr entry = context.entry;
  GenerationPlan plan;
  for (const Prompt& prompt : context.prompts) {
    plan.prompts.push_back(prompt.tokens);
    plan.max_tokens.push_back(prompt.max_tokens);
  }
  plan.sampling = context.call.sampling;
  plan.choice_count = context.call.choice_count;
  plan.priority = context.call.priority;
  plan.service_class = context.call.service_class;
  plan.client = context.client;
  if (context.call.timeout_s) {
    plan.deadline = after_seconds(context.arrival, *context.call.timeout_s);
  }
  plan.cache_salt = context.call.cache_salt;
  plan.external_id = context.id;
  plan.arrival = context.arrival;
  const std::optional<TimePoint> deadline = plan.deadline;
  auto started = Generation::start(std::move(entry), responder, std::move(plan), std::move(answer));
  if (started) return;
  Error error = started.error();
  // Refused before it was queued, with time left: it is the load that is in the way.
  if (error.fault == Fault::kDeadline && deadline && std::chrono::steady_clock::now() < *deadline) {
    error.fault = Fault::kOverloaded;
  }
  send_error(*responder, error);
}

}  // namespace inferno::serve
