// What each kind of statement does.
#include "token/jinja/ast.h"
#include "token/jinja/objects.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"

namespace inferno::token::jinja {
namespace {

// The text of a body, through a chain of filters that starts at BlockText.
Value filtered(Render& render, const Expression& filter, std::string text) {
  const Value outer = std::exchange(render.block_text, render.text(std::move(text)));
  Value result = render.evaluate(filter);
  render.block_text = outer;
  return result;
}

Value make_macro(Render& render, const MacroBody& body) {
  render.keep(render.scope());
  return Value::object(std::make_shared<Macro>(body, render.scope()));
}

void assign_parts(Render& render, const Target& target, const Value& value) {
  const std::vector<Value> values = [&] {
    if (!Render::is_iterable(value)) {
      raise("TypeError: cannot unpack non-iterable {} object", value.type_name());
    }
    return render.elements(value);
  }();
  if (values.size() < target.parts.size()) {
    raise("ValueError: not enough values to unpack (expected {}, got {})", target.parts.size(),
          values.size());
  }
  if (values.size() > target.parts.size()) {
    raise("ValueError: too many values to unpack (expected {})", target.parts.size());
  }
  for (size_t i = 0; i < values.size(); ++i)
    render.assign(target.parts[i], values[i]);
}

// The elements of `inner` for which the loop's condition holds, with the loop's variable set for
// it.
Value filtered_elements(Render& render, const For& statement, const Value& iterable,
                        const std::shared_ptr<Scope>& outer) {
  auto inner = render.iterate(iterable);
  return make_generator(render, "generator", iterable.depth(),
                        [&statement, inner, outer](Render& r, Value& out) {
                          const Render::DepthGuard depth(r);
                          while (inner->next(r, out)) {
                            const Render::ScopeGuard scope(r, outer);
                            r.assign(statement.target, out);
                            if (r.evaluate(*statement.condition).truthy()) return true;
                          }
                          return false;
                        });
}

}  // namespace

void Render::assign(const Target& target, Value value) {
  switch (target.kind) {
    case Target::Kind::kName:
      scope_->set(target.symbol, std::move(value));
      return;
    case Target::Kind::kNamespaceAttribute: {
      const Value holder = variable(target.symbol);
      Namespace* space = holder.as<Namespace>();
      if (space == nullptr) {
        raise("TemplateRuntimeError: cannot assign attribute on non-namespace object");
      }
      space->set(target.attribute, std::move(value));
      return;
    }
    case Target::Kind::kTuple:
      assign_parts(*this, target, value);
      return;
  }
}

Flow DataOutput::execute(Render& render) const {
  render.print(text);
  return Flow::kNormal;
}

Flow Print::execute(Render& render) const {
  const Value result = render.evaluate(*value);
  if (result.is_text()) {
    render.print(result.str());
  } else {
    render.print(to_text(render, result));
  }
  return Flow::kNormal;
}

Flow If::execute(Render& render) const {
  for (const auto& [condition, body] : branches) {
    if (render.evaluate(*condition).truthy()) return render.execute(body);
  }
  return render.execute(otherwise);
}

Flow For::execute(Render& render) const {
  return run_loop(render, *this, render.evaluate(*iterable), render.scope(), 0);
}

Flow run_loop(Render& render, const For& statement, const Value& iterable,
              std::shared_ptr<Scope> outer, int loop_depth) {
  if (iterable.depth() >= kMaxValueDepth) {
    raise_limit("a loop's iterable is nested deeper than {}", kMaxValueDepth);
  }
  static const std::string kLoopName = "loop";
  const auto loop_symbol = render.symbols().find(kLoopName);
  auto iterator = render.iterate(
      statement.condition ? filtered_elements(render, statement, iterable, outer) : iterable);
  const auto loop =
      std::make_shared<Loop>(statement, iterable, std::move(iterator), outer, loop_depth);
  bool completed_one = false;
  {
    Render::ScopeGuard scope(render, outer);
    for (Value item; loop->next(render, item);) {
      render.budget().work(1);
      scope.restart();
      if (loop_symbol) render.set_variable(*loop_symbol, Value::object(loop));
      render.assign(statement.target, std::move(item));
      const Flow flow = render.execute(statement.body);
      if (flow == Flow::kBreak) break;
      // As in Jinja, a loop whose every turn was cut short by `continue` runs its else part.
      if (flow == Flow::kNormal) completed_one = true;
    }
  }
  if (completed_one) return Flow::kNormal;
  const Render::ScopeGuard scope(render, outer);
  return render.execute(statement.otherwise);
}

Flow Set::execute(Render& render) const {
  render.assign(target, render.evaluate(*value));
  return Flow::kNormal;
}

Flow SetBlock::execute(Render& render) const {
  Flow flow = Flow::kNormal;
  std::string text = render.capture(body, flow);
  if (flow != Flow::kNormal) return flow;
  if (filter == nullptr) {
    render.assign(target, render.text(std::move(text)));
  } else {
    render.assign(target, filtered(render, *filter, std::move(text)));
  }
  return Flow::kNormal;
}

Flow FilterBlock::execute(Render& render) const {
  Flow flow = Flow::kNormal;
  std::string text = render.capture(body, flow);
  if (flow != Flow::kNormal) return flow;
  render.print(to_text(render, filtered(render, *filter, std::move(text))));
  return Flow::kNormal;
}

Flow With::execute(Render& render) const {
  std::vector<Value> values;
  for (const auto& [target, value] : variables)
    values.push_back(render.evaluate(*value));
  const Render::ScopeGuard scope(render);
  for (size_t i = 0; i < values.size(); ++i)
    render.assign(variables[i].first, values[i]);
  return render.execute(body);
}

Flow MacroDefinition::execute(Render& render) const {
  render.set_variable(symbol, make_macro(render, macro));
  return Flow::kNormal;
}

Flow CallBlock::execute(Render& render) const {
  render.print(to_text(render, call->evaluate_with(render, make_macro(render, macro))));
  return Flow::kNormal;
}

Flow ScopedBlock::execute(Render& render) const {
  const Render::ScopeGuard scope(render);
  return render.execute(body);
}

Flow Jump::execute(Render&) const {
  return flow;
}

Flow LoadTemplate::execute(Render&) const {
  raise("TypeError: no loader for this environment specified");
}

}  // namespace inferno::token::jinja
