// The functions that a template finds defined: Jinja's, and the two that Hugging Face adds.
#include <algorithm>
#include <array>
#include <ctime>

#include "token/jinja/library.h"
#include "token/jinja/objects.h"
#include "token/jinja/operators.h"
#include "token/jinja/print.h"
#include "token/jinja/text.h"

namespace inferno::token::jinja {
namespace {

// Entries of dict(...) and namespace(...): of a dictionary or of pairs, then the named ones.
Value make_dict(Render& render, std::string_view function, Arguments& arguments) {
  if (arguments.positional.size() > 1) {
    raise("TypeError: {} expected at most 1 argument, got {}", function,
          arguments.positional.size());
  }
  DictBuilder builder(render.budget());
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kDict)) {
      builder.merge(source.as_dict());
    } else {
      size_t place = 0;
      for (const Value& pair : render.elements(source)) {
        const std::vector<Value> parts = render.elements(pair);
        if (parts.size() != 2) {
          raise("ValueError: dictionary update sequence element #{} has length {}; 2 is required",
                place, parts.size());
        }
        builder.set(parts[0], parts[1]);
        ++place;
      }
    }
  }
  for (auto& [name, value] : arguments.named)
    builder.set(name, std::move(value));
  return builder.finish();
}

Value global_dict(Render& render, Arguments& arguments) {
  return make_dict(render, "dict", arguments);
}

Value global_namespace(Render& render, Arguments& arguments) {
  const Value attributes = make_dict(render, "namespace", arguments);
  auto made = std::make_shared<Namespace>();
  for (const auto& [name, value] : attributes.as_dict().entries) {
    if (name.is_text()) made->set(name.str(), value);
  }
  render.keep(std::static_pointer_cast<Object>(made));
  return Value::object(std::move(made));
}

Value global_range(Render& render, Arguments& arguments) {
  const Bound bound("range", arguments, {"start", "stop", "step"});
  const bool single = arguments.positional.size() == 1;
  const Int start = single ? 0 : bound.integer(0, 0);
  const Int stop = bound.integer(single ? 0 : 1, 0);
  const Int step = bound.integer(2, 1);
  if (step == 0) raise("ValueError: range() arg 3 must not be zero");
  const bool empty = step > 0 ? start >= stop : start <= stop;
  constexpr Int kLimit = Int{1} << 100;
  for (Int bound_value : {start, stop, step}) {
    if (bound_value > kLimit || bound_value < -kLimit)
      raise("OverflowError: range() bound too large");
  }
  const Int distance = step > 0 ? stop - start : start - stop;
  const Int stride = step > 0 ? step : -step;
  const Int count = empty ? 0 : (distance - 1) / stride + 1;
  if (count > kMaxRangeItems) {
    raise("OverflowError: Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).",
          kMaxRangeItems);
  }
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(count));
  for (Int i = 0; i < count; ++i)
    items.push_back(Value::integer(start + i * step));
  render.budget().work(1 + items.size() / 4);
  return Value::sequence(render.budget(), SequenceKind::kRange, std::move(items));
}

class Joiner : public Object {
 public:
  explicit Joiner(Value glue) : Object(glue.depth() + 1), glue_(std::move(glue)) {}
  std::string_view type_name() const override { return "jinja2.utils.Joiner"; }
  bool is_callable() const override { return true; }
  Value call(Render&, Arguments&) override {
    return std::exchange(used_, true) ? glue_ : Value::constant("");
  }

 private:
  Value glue_;
  bool used_ = false;
};

Value global_joiner(Render& render, Arguments& arguments) {
  const Bound bound("joiner", arguments, {"sep"}, 0);
  const Value glue = bound.has(0) ? bound[0] : render.text(", ");
  if (glue.depth() >= kMaxValueDepth)
    raise_limit("a value is nested deeper than {}", kMaxValueDepth);
  return Value::object(std::make_shared<Joiner>(glue));
}

// strftime_now(format): the time of the rendering, in the process's time zone and English names.
Value global_strftime_now(Render& render, Arguments& arguments) {
  const Bound bound("strftime_now", arguments, {"format"});
  const std::string format(bound.text(0, ""));
  constexpr size_t kMaxFormatBytes = 4096;
  if (format.size() > kMaxFormatBytes) {
    raise_limit("strftime_now: the format has {} bytes, limit {}", format.size(), kMaxFormatBytes);
  }
  const auto since_epoch = render.now().time_since_epoch();
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(since_epoch).count();
  std::tm local{};
  localtime_r(&seconds, &local);
  const auto micros =
      std::chrono::floor<std::chrono::microseconds>(since_epoch).count() % 1'000'000;
  const std::string expanded =
      replace(format, "%f", fmt::format("{:06}", micros < 0 ? micros + 1'000'000 : micros));
  if (expanded.empty()) return render.text("");
  // The longest conversions give some 30 bytes for 2. A mark in front tells an empty result from a
  // failure.
  std::string out(16 * expanded.size() + 64, '\0');
  const size_t size = std::strftime(out.data(), out.size(), ("." + expanded).c_str(), &local);
  if (size == 0) raise("ValueError: strftime_now: the result is too long");
  return render.text(out.substr(1, size - 1));
}

Value global_raise_exception(Render& render, Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"});
  throw Failure{Fault::kInvalid, to_text(render, bound[0]), render.line(), true};
}

Value global_cycler(Render&, Arguments& arguments) {
  if (arguments.positional.empty()) raise("RuntimeError: at least one item has to be provided");
  uint32_t depth = 0;
  for (const Value& item : arguments.positional)
    depth = std::max(depth, item.depth());
  if (depth >= kMaxValueDepth) raise_limit("a value is nested deeper than {}", kMaxValueDepth);
  return Value::object(std::make_shared<Cycler>(depth, std::move(arguments.positional)));
}

}  // namespace

void define_globals(Render& render) {
  constexpr std::array<Builtin, 7> kGlobals = {{
      {"cycler", global_cycler},
      {"dict", global_dict},
      {"joiner", global_joiner},
      {"namespace", global_namespace},
      {"raise_exception", global_raise_exception},
      {"range", global_range},
      {"strftime_now", global_strftime_now},
  }};
  for (const Builtin& global : kGlobals) {
    if (!render.symbols().find(global.name)) continue;
    render.define(global.name,
                  Value::object(std::make_shared<Function>(global.name, global.function)));
  }
}

}  // namespace inferno::token::jinja
