#include "token/chat_template.h"

#include <new>
#include <string_view>
#include <utility>

#include "token/jinja/json.h"
#include "token/jinja/library.h"
#include "token/jinja/parser.h"
#include "token/jinja/render.h"

namespace inferno::token {
namespace {

std::unexpected<Error> to_error(const jinja::Failure& failure) {
  if (failure.from_template) return fail(failure.fault, "{}", failure.message);
  return fail(failure.fault, "chat template, line {}: {}", failure.line, failure.message);
}

// Runs what may throw a Failure; nothing else leaves the interpreter.
template <typename Work>
auto guarded(Work work) -> Result<decltype(work())> {
  try {
    return work();
  } catch (const jinja::Failure& failure) {
    return to_error(failure);
  } catch (const std::bad_alloc&) {
    return fail(Fault::kOverloaded, "chat template: out of memory");
  }
}

}  // namespace

ChatTemplate::ChatTemplate(std::shared_ptr<const jinja::Template> parsed, std::string bos_token,
                           std::string eos_token)
    : parsed_(std::move(parsed)),
      bos_token_(std::move(bos_token)),
      eos_token_(std::move(eos_token)) {}

Result<ChatTemplate> ChatTemplate::parse(std::string source, std::string bos_token,
                                         std::string eos_token) {
  return guarded([&] {
    return ChatTemplate(jinja::parse_template(source), std::move(bos_token), std::move(eos_token));
  });
}

Result<std::string> ChatTemplate::render(const Input& input) const {
  return guarded([&] {
    jinja::Render render(*parsed_, input.now);
    jinja::Budget& budget = render.budget();
    jinja::define_globals(render);
    render.define("messages", jinja::from_json(budget, boost::json::value(input.messages)));
    render.define("tools", jinja::from_json(budget, input.tools));
    render.define("documents", jinja::Value::none());
    render.define("add_generation_prompt", jinja::Value::boolean(input.add_generation_prompt));
    render.define("bos_token", render.text(bos_token_));
    render.define("eos_token", render.text(eos_token_));
    for (const auto& [name, value] : input.extra) {
      render.define(std::string_view(name.data(), name.size()), jinja::from_json(budget, value));
    }
    return render.run();
  });
}

}  // namespace inferno::token
