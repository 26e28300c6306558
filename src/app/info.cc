// inferno info MODEL: what a file holds and what it needs, from its headers alone.
#include <boost/json.hpp>
#include <climits>

#include "app/command.h"
#include "app/local_model.h"
#include "app/model_names.h"
#include "base/memory.h"

namespace inferno::app {
namespace {

// Bytes of the weights once packed, as load would make them.
size_t packed_weight_bytes(const model::Checkpoint& checkpoint) {
  size_t bytes = 0;
  for (const model::Tensor& tensor : checkpoint.file_tensors()) {
    kernel::PackedMatrix matrix{};
    const bool is_matrix =
        tensor.shape.size() == 2 && tensor.shape[0] <= INT_MAX && tensor.shape[1] <= INT_MAX;
    if (is_matrix && kernel::packed_shape(tensor.type, static_cast<int>(tensor.shape[0]),
                                          static_cast<int>(tensor.shape[1]), &matrix)) {
      bytes += kernel::packed_bytes(matrix);
    } else {
      bytes += static_cast<size_t>(model::element_count(tensor)) * sizeof(float);
    }
  }
  return bytes;
}

boost::json::object describe(const model::Checkpoint& checkpoint) {
  const model::TensorFacts facts = model::facts_of(checkpoint.file_tensors());
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
  const auto shape = model::Decoder::kv_shape(config, kernel::KvType::kF16);
  out["architecture"] = model::name_of(config.architecture);
  out["layers"] = config.layer_count;
  out["width"] = config.width;
  out["heads"] = config.head_count;
  out["kv_heads"] = config.kv_head_count;
  out["head_width"] = config.head_width;
  out["feed_forward_width"] = config.feed_forward_width;
  out["vocabulary"] = config.vocab_size;
  out["context_length"] = config.context_length;
  out["sliding_window"] = config.sliding_window;
  out["memory"] = {
      {"weights_bytes", packed_weight_bytes(checkpoint)},
      {"kv_bytes_per_token", shape.page_bytes() / kernel::kPagePositions},
      {"kv_bytes_full_context",
       shape.page_bytes() * static_cast<size_t>(kv::pages_for(config.context_length))}};
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
  bool prints_json = false;
  prepare(app, "info", "Architecture, types, sizes and memory of a model, without loading it.");
  app.add_option("model", name, "a GGUF file, a model folder, or a name from the cache")
      ->required();
  app.add_flag("--json", prints_json, "as JSON");
  if (const auto code = parse(app, argc, argv)) return *code;
  auto path = find_model(name);
  if (!path) return report("info", path.error());
  auto checkpoint = model::Checkpoint::open(*path);
  if (!checkpoint) {
    // A vocabulary alone has things to tell as well; if that cannot be opened either, the first
    // error says more.
    auto vocabulary_only = model::Checkpoint::open(*path, model::Checkpoint::Need::kVocabulary);
    const bool has_tensors = vocabulary_only && !(*vocabulary_only)->file_tensors().empty();
    if (!vocabulary_only || has_tensors) return report("info", checkpoint.error());
    checkpoint = std::move(vocabulary_only);
  }
  const boost::json::object facts = describe(**checkpoint);
  if (prints_json) {
    fmt::print("{}\n", boost::json::serialize(facts));
  } else {
    print_plain(facts);
  }
  return 0;
}

}  // namespace inferno::app
