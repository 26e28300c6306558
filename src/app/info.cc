// inferno info MODEL: what a file holds and what it needs, from its headers alone.
#include <boost/json.hpp>
#include <memory>

#include "app/command.h"
#include "app/local_model.h"
#include "app/model_names.h"
#include "base/memory.h"

namespace inferno::app {
namespace {

using CheckpointPtr = std::shared_ptr<const model::Checkpoint>;

// What serving takes (the sizes of serve's own defaults), to be added up by whoever plans.
// `carry_rows`: as many as serve's default, or 0 for a draft model, which carries none.
boost::json::object memory_of(const CheckpointPtr& checkpoint, int carry_rows) {
  const model::ModelConfig& config = checkpoint->config();
  const auto shape = model::Decoder::kv_shape(config, kv_type_of(EngineOptions().kv_cache_dtype));
  boost::json::object memory;
  if (const auto bytes = model::Weights::estimate_bytes(checkpoint)) {
    memory["weights_bytes"] = Buffer::taken_bytes(*bytes);
  }
  const model::DecoderLimits limits{.batch_tokens = EngineOptions().max_num_batched_tokens,
                                    .carry_rows = carry_rows};
  memory["activation_bytes"] =
      Buffer::taken_bytes(model::Decoder::activation_bytes_for(config, limits, available_cores()));
  memory["kv_bytes_per_token"] = shape.page_bytes() / kernel::kPagePositions;
  for (const auto type : {kernel::KvType::kF32, kernel::KvType::kBF16, kernel::KvType::kInt8}) {
    const size_t bytes = model::Decoder::kv_shape(config, type).page_bytes();
    memory[fmt::format("kv_bytes_per_token_{}", kernel::name_of(type))] =
        bytes / kernel::kPagePositions;
  }
  memory["kv_bytes_full_context"] =
      shape.page_bytes() * static_cast<size_t>(kv::pages_for(config.context_length));
  return memory;
}

// What a draft model adds, as far as it takes memory of its own beside a model.
void add_draft_memory(boost::json::object& memory, const CheckpointPtr& draft) {
  for (const auto& [what, bytes] : memory_of(draft, 0)) {
    if (what == "weights_bytes" || what == "activation_bytes" || what == "kv_bytes_per_token") {
      memory[fmt::format("draft_{}", std::string_view(what))] = bytes;
    }
  }
}

boost::json::object description_of(const CheckpointPtr& file, const CheckpointPtr& draft) {
  const model::Checkpoint& checkpoint = *file;
  const model::TensorFacts facts = checkpoint.facts();
  boost::json::object types;
  for (const auto& [name, type] : facts.types) {
    types[name] = {{"tensors", type.tensor_count},
                   {"parameters", type.parameter_count},
                   {"bytes", type.total_bytes}};
  }
  boost::json::object out{{"name", checkpoint.name()},
                          {"format", checkpoint.format()},
                          {"parameters", facts.parameter_count},
                          {"tensors", facts.tensor_count},
                          {"tensor_bytes", facts.total_bytes},
                          {"types", std::move(types)},
                          {"has_chat_template", !checkpoint.chat_template().empty()}};
  if (!checkpoint.has_config()) return out;
  const model::ModelConfig& config = checkpoint.config();
  out["architecture"] = model::name_of(config.architecture);
  out["layers"] = config.layer_count;
  out["width"] = config.width;
  out["heads"] = config.head_count;
  out["kv_heads"] = config.kv_head_count;
  out["head_width"] = config.head_width;
  out["feed_forward_width"] = config.feed_forward_width;
  if (config.expert_count > 0) {
    out["experts"] = config.expert_count;
    out["experts_used"] = config.expert_used_count;
    out["expert_width"] = config.expert_width;
  }
  out["vocabulary"] = config.vocab_size;
  out["context_length"] = config.context_length;
  out["sliding_window"] = config.sliding_window;
  boost::json::object memory = memory_of(file, EngineOptions().max_num_batched_tokens);
  if (draft) add_draft_memory(memory, draft);
  out["memory"] = std::move(memory);
  return out;
}

void print_plain(const boost::json::object& facts) {
  for (const auto& [key, value] : facts) {
    if (key == "types") {
      fmt::print("types\n");
      for (const auto& [type, numbers] : value.get_object()) {
        fmt::print("  {:<8} {:>5} tensors {:>14} parameters {:>12}\n", std::string_view(type),
                   numbers.at("tensors").as_int64(), numbers.at("parameters").as_int64(),
                   bytes_text(static_cast<size_t>(numbers.at("bytes").as_int64())));
      }
    } else if (key == "memory") {
      fmt::print("memory needed\n");
      for (const auto& [what, bytes] : value.get_object()) {
        fmt::print("  {:<24} {}\n", std::string_view(what), bytes_text(bytes.to_number<size_t>()));
      }
    } else {
      const std::string text =
          value.is_string() ? std::string(value.get_string()) : boost::json::serialize(value);
      fmt::print("{:<20} {}\n", std::string_view(key), text);
    }
  }
}

}  // namespace

int run_info(int argc, char** argv) {
  CLI::App app;
  std::string name;
  EngineOptions options;
  bool prints_json = false;
  prepare(app, "info", "Architecture, types, sizes and memory of a model, without loading it.");
  app.add_option("model", name, "a GGUF file, a model folder, or a name from the cache")
      ->required();
  add_option(app, "--speculative-config", options.speculative_config,
             "as `inferno serve` takes it: adds what a draft model needs");
  app.add_flag("--json", prints_json, "as JSON");
  if (const auto code = parse(app, argc, argv)) return *code;
  auto path = find_model(name);
  if (!path) return report("info", path.error());
  auto checkpoint = model::Checkpoint::open(*path);
  if (!checkpoint) {
    // A vocabulary alone has things to tell as well; if that cannot be opened either, the first
    // error says more.
    auto vocabulary_only = model::Checkpoint::open(*path, model::Checkpoint::Need::kVocabulary);
    const bool has_tensors = vocabulary_only && (*vocabulary_only)->facts().tensor_count > 0;
    if (!vocabulary_only || has_tensors) return report("info", checkpoint.error());
    checkpoint = std::move(vocabulary_only);
  }
  CheckpointPtr draft;
  if ((*checkpoint)->has_config()) {
    auto opened = open_draft(options, **checkpoint);
    if (!opened) return report("info", opened.error());
    draft = std::move(*opened);
  }
  const boost::json::object facts = description_of(std::move(*checkpoint), draft);
  if (prints_json) {
    fmt::print("{}\n", boost::json::serialize(facts));
  } else {
    print_plain(facts);
  }
  return 0;
}

}  // namespace inferno::app
