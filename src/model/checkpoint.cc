#include "model/checkpoint.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/check.h"
#include "model/checkpoint_names.h"
#include "model/expert_stack.h"
#include "model/gguf.h"
#include "model/json_file.h"
#include "model/packed_matrix.h"
#include "model/safetensors.h"
#include "model/vocabulary_loader.h"

namespace inferno::model {

namespace fs = std::filesystem;

namespace {

// What the names of a folder's decoder begin with: plain models, models whose decoder is part of a
// larger one (before and after the parts changed places in the names), and bare decoders.
constexpr std::array<std::string_view, 5> kFolderPrefixes = {
    "model.", "language_model.model.", "model.language_model.", "language_model.", ""};
constexpr std::array<std::string_view, 2> kHeadPrefixes = {"", "language_model."};

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// The GGUF models in a folder: of a split model the first part; projectors of images are not
// models.
std::vector<fs::path> gguf_models_in(const fs::path& folder) {
  std::vector<fs::path> models;
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end;
       file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (!name.ends_with(".gguf") || name.starts_with("mmproj")) continue;
    const size_t of = name.rfind("-of-");
    const bool is_later_part = of != std::string::npos && of >= 6 && name[of - 6] == '-' &&
                               name.substr(of - 5, 5) != "00001" &&
                               std::ranges::all_of(name.substr(of - 5, 5), [](char letter) {
                                 return letter >= '0' && letter <= '9';
                               });
    if (!is_later_part) models.push_back(file->path());
  }
  return models;
}

bool has_safetensors(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end;
       file.increment(error)) {
    if (file->path().extension() == ".safetensors") return true;
  }
  return is_there(folder / "model.safetensors.index.json");
}

// "models/llama/" is called "llama".
std::string own_name(const fs::path& path) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(path, error);
  const fs::path& named = error ? path : whole;
  return named.has_filename() ? named.filename().string() : named.parent_path().filename().string();
}

}  // namespace

struct Checkpoint::Files {
  std::string label;  // the path, for errors
  std::optional<Gguf> gguf;
  std::optional<Safetensors> weights;
  std::optional<fs::path> folder;  // where tokenizer.json is
  std::optional<ModelConfig> config;
  std::string_view prefix;  // of kFolderPrefixes

  Result<void> open_gguf(const fs::path& path, Need need);
  Result<void> open_folder(const fs::path& path, Need need);
  Result<void> open_weights(const fs::path& path);
  Result<void> check_tensors() const;
  Result<void> check(const std::string& name) const;
  // As find(), and its shape is what the configuration asks for.
  Result<Tensor> find_fitting(std::string_view name) const;
  // The tensor of a canonical name as the file has it; kNotFound when there is none.
  Result<Tensor> find(std::string_view name) const;
  // One expert's tensor within that of all.
  Result<Tensor> find_in_stack(const Tensor& all, const StackedName& stacked,
                               std::string_view name) const;
  // The parts of a packed matrix of a canonical name; none when it is not packed, or not there.
  Result<std::optional<PackedParts>> find_parts(std::string_view name) const;
  // Where a folder has it in a tensor of all experts; none for other names, and in GGUF files.
  std::optional<ExpertSlice> slice_of(std::string_view name) const;
  // An error that says which file it is about.
  std::unexpected<Error> in_file(const Error& error) const {
    return fail(error.fault, "{}: {}", label, error.message);
  }
};

Result<void> Checkpoint::Files::open_gguf(const fs::path& path, Need need) {
  Result<Gguf> file = Gguf::open(path);
  if (!file) return std::unexpected(file.error());
  gguf = std::move(*file);
  Result<ModelConfig> read = config_from_gguf(*gguf);
  if (!read && need == Need::kModel) return std::unexpected(read.error());
  if (read) config = std::move(*read);
  return {};
}

Result<void> Checkpoint::Files::open_weights(const fs::path& path) {
  Result<Safetensors> opened = Safetensors::open(path);
  if (!opened) return std::unexpected(opened.error());
  weights = std::move(*opened);
  for (const std::string_view candidate : kFolderPrefixes) {
    prefix = candidate;
    if (weights->find(std::string(prefix) + "embed_tokens.weight") != nullptr) return {};
  }
  return fail(Fault::kInvalid,
              "{}: no tensor is called embed_tokens.weight, after model. or another prefix", label);
}

Result<void> Checkpoint::Files::open_folder(const fs::path& path, Need need) {
  const bool is_hub_folder = has_safetensors(path);
  if (!is_hub_folder) {
    const std::vector<fs::path> models = gguf_models_in(path);
    if (models.size() == 1) return open_gguf(models.front(), need);
    if (models.size() > 1) {
      return fail(Fault::kInvalid, "{}: holds {} GGUF models ({}, {}, ...): name one of them",
                  label, models.size(), models[0].filename().string(),
                  models[1].filename().string());
    }
  }
  folder = path;
  if (need == Need::kVocabulary) {
    if (!is_there(path / "tokenizer.json")) {
      return fail(Fault::kNotFound, "{}: has neither tokenizer.json nor a GGUF file", label);
    }
    return {};
  }
  if (!is_hub_folder) {
    return fail(Fault::kNotFound, "{}: has neither *.safetensors nor a GGUF file", label);
  }
  const Result<boost::json::object> json = read_json_object(path / "config.json");
  if (!json) return std::unexpected(json.error());
  Result<ModelConfig> read = config_from_json(*json, (path / "config.json").string());
  if (!read) return std::unexpected(read.error());
  config = std::move(*read);
  return open_weights(path);
}

Result<Tensor> Checkpoint::Files::find(std::string_view name) const {
  if (gguf) {
    const std::string own = config ? gguf_name(*config, name) : std::string(name);
    if (const Tensor* tensor = gguf->find_tensor(own)) return *tensor;
    if (own != name) return fail(Fault::kNotFound, "{}: tensor '{}' is missing", label, own);
    if (config) {
      if (const std::optional<StackedName> stacked = stacked_name(*config, name)) {
        const Tensor* all = gguf->find_tensor(stacked->name);
        return all == nullptr
                   ? fail(Fault::kNotFound, "{}: tensor '{}' is missing", label, stacked->name)
                   : find_in_stack(*all, *stacked, name);
      }
    }
  } else if (weights) {
    const bool is_head = name == "output.weight";
    const std::optional<std::string> own = folder_name(*config, name, prefix);
    if (own && !(is_head && config->has_tied_embeddings)) {
      for (const std::string_view before : kHeadPrefixes) {
        const SafetensorsEntry* entry = weights->find(is_head ? std::string(before) + *own : *own);
        if (entry == nullptr) continue;
        Result<Tensor> tensor = weights->tensor(*entry);
        if (tensor) tensor->name = name;
        return tensor;
      }
    }
  }
  return fail(Fault::kNotFound, "{}: tensor '{}' is missing", label, name);
}

Result<Tensor> Checkpoint::Files::find_in_stack(const Tensor& all, const StackedName& stacked,
                                                std::string_view name) const {
  std::vector<int64_t> expected = *expected_shape(*config, name);
  expected.insert(expected.begin(), config->expert_count);
  if (all.shape != expected) {
    return fail(Fault::kCorrupt, "{}: tensor '{}' has shape {}, expected {}", label, stacked.name,
                shape_text(all.shape), shape_text(expected));
  }
  const size_t bytes = all.bytes / static_cast<size_t>(config->expert_count);
  return Tensor{.name = std::string(name),
                .type = all.type,
                .shape = {expected.begin() + 1, expected.end()},
                .data = all.data + static_cast<size_t>(stacked.expert) * bytes,
                .bytes = bytes};
}

Result<std::optional<PackedParts>> Checkpoint::Files::find_parts(std::string_view name) const {
  if (!weights || !config || config->packing == WeightPacking::kNone) return std::nullopt;
  const std::optional<std::vector<int64_t>> shape = expected_shape(*config, name);
  const bool is_head = name == "output.weight";
  if (!shape || shape->size() != 2 || name == "token_embd.weight" ||
      (is_head && config->has_tied_embeddings)) {
    return std::nullopt;
  }
  std::string own = folder_name(*config, name, prefix).value_or("");
  if (!own.ends_with(".weight")) return std::nullopt;
  own.resize(own.size() - std::string_view(".weight").size());
  const MatrixSize size = {.outputs = static_cast<int>((*shape)[0]),
                           .inputs = static_cast<int>((*shape)[1])};
  for (const std::string_view before : kHeadPrefixes) {
    if (!is_head && !before.empty()) break;
    Result<std::optional<PackedParts>> parts =
        find_packed(*weights, config->packing, std::string(before) + own, size);
    if (!parts) return in_file(parts.error());
    if (*parts) return parts;
  }
  return std::nullopt;
}

std::optional<ExpertSlice> Checkpoint::Files::slice_of(std::string_view name) const {
  if (!weights || !config) return std::nullopt;
  return folder_slice(*config, name, prefix);
}

Result<Tensor> Checkpoint::Files::find_fitting(std::string_view name) const {
  Result<Tensor> tensor = find(name);
  if (!tensor || !config) return tensor;
  const std::optional<std::vector<int64_t>> expected = expected_shape(*config, name);
  if (!expected || tensor->shape == *expected) return tensor;
  return fail(Fault::kCorrupt, "{}: tensor '{}' has shape {}, expected {}", label, tensor->name,
              shape_text(tensor->shape), shape_text(*expected));
}

Result<void> Checkpoint::Files::check(const std::string& name) const {
  if (const std::optional<ExpertSlice> slice = slice_of(name)) {
    if (slice->is_bias) {
      const auto bias = expert_bias(*weights, *slice);
      if (!bias) return in_file(bias.error());
      return {};
    }
    const auto matrix = expert_matrix(*weights, *slice);
    if (!matrix) return in_file(matrix.error());
    return {};
  }
  const Result<std::optional<PackedParts>> parts = find_parts(name);
  if (!parts) return std::unexpected(parts.error());
  if (*parts) return {};
  const Result<Tensor> tensor = find_fitting(name);
  if (!tensor) return std::unexpected(tensor.error());
  return {};
}

Result<void> Checkpoint::Files::check_tensors() const {
  for (int layer = -1; layer < config->layer_count; ++layer) {
    const std::vector<std::string> names =
        layer < 0 ? required_tensors(*config) : required_tensors(*config, layer);
    for (const std::string& name : names) {
      if (const Result<void> done = check(name); !done) return done;
    }
  }
  return {};
}

Checkpoint::Checkpoint(std::unique_ptr<Files> files) : files_(std::move(files)) {}
Checkpoint::~Checkpoint() = default;

Result<std::unique_ptr<Checkpoint>> Checkpoint::open(const fs::path& path, Need need) {
  auto files = std::make_unique<Files>();
  files->label = path.string();
  std::error_code error;
  const bool is_folder = fs::is_directory(path, error);
  Result<void> done = is_folder ? files->open_folder(path, need) : files->open_gguf(path, need);
  if (done && need == Need::kModel) done = files->check_tensors();
  if (!done) return std::unexpected(done.error());
  return std::unique_ptr<Checkpoint>(new Checkpoint(std::move(files)));
}

bool Checkpoint::has_config() const {
  return files_->config.has_value();
}

const ModelConfig& Checkpoint::config() const {
  CHECK(has_config(), "{} was opened for its vocabulary and has no configuration", files_->label);
  return *files_->config;
}

bool Checkpoint::has(std::string_view name) const {
  if (files_->slice_of(name)) return files_->check(std::string(name)).has_value();
  if (files_->find(name)) return true;
  const Result<std::optional<PackedParts>> parts = files_->find_parts(name);
  return parts && parts->has_value();
}

Result<Tensor> Checkpoint::tensor(std::string_view name) const {
  return files_->find_fitting(name);
}

Result<std::unique_ptr<MatrixSource>> Checkpoint::matrix(std::string_view name) const {
  if (const std::optional<ExpertSlice> slice = files_->slice_of(name); slice && !slice->is_bias) {
    auto matrix = expert_matrix(*files_->weights, *slice);
    if (matrix) return matrix;
    return files_->in_file(matrix.error());
  }
  const Result<std::optional<PackedParts>> parts = files_->find_parts(name);
  if (!parts) return std::unexpected(parts.error());
  if (*parts) {
    auto matrix = open_packed(**parts);
    if (matrix) return matrix;
    return files_->in_file(matrix.error());
  }
  const Result<Tensor> found = tensor(name);
  if (!found) return std::unexpected(found.error());
  return tensor_matrix(*found, files_->label);
}

Result<std::vector<float>> Checkpoint::floats(std::string_view name) const {
  if (const std::optional<ExpertSlice> slice = files_->slice_of(name); slice && slice->is_bias) {
    auto values = expert_bias(*files_->weights, *slice);
    if (values) return values;
    return files_->in_file(values.error());
  }
  const Result<Tensor> found = tensor(name);
  if (!found) return std::unexpected(found.error());
  std::vector<float> values(static_cast<size_t>(element_count(*found)));
  if (kernel::dequantize(found->type, found->data, values.size(), values.data())) return values;
  return fail(Fault::kInvalid, "{}: tensor '{}' has type {}, expected floats", files_->label,
              found->name, kernel::name_of(found->type));
}

TensorFacts Checkpoint::facts() const {
  TensorFacts facts;
  if (files_->gguf) {
    for (const Tensor& tensor : files_->gguf->tensors())
      facts.add(kernel::name_of(tensor.type), tensor.shape, tensor.bytes);
  }
  if (files_->weights) {
    for (const SafetensorsEntry& entry : files_->weights->entries())
      facts.add(name_of(entry.type), entry.shape, entry.bytes);
  }
  return facts;
}

void Checkpoint::drop_pages(const Tensor& tensor) const {
  drop_pages(std::span<const uint8_t>(tensor.data, tensor.bytes));
}

void Checkpoint::drop_pages(std::span<const uint8_t> bytes) const {
  static const std::vector<MappedFile> kNone;
  const std::vector<MappedFile>& maps = files_->gguf      ? files_->gguf->parts()
                                        : files_->weights ? files_->weights->shards()
                                                          : kNone;
  for (const MappedFile& map : maps) {
    const std::span<const uint8_t> all = map.bytes();
    if (bytes.data() >= all.data() && bytes.data() + bytes.size() <= all.data() + all.size()) {
      return map.drop_pages(bytes);
    }
  }
}

Result<token::Vocabulary> Checkpoint::vocabulary() const {
  return files_->gguf ? vocabulary_from_gguf(*files_->gguf)
                      : vocabulary_from_folder(*files_->folder);
}

std::string Checkpoint::chat_template() const {
  return files_->gguf ? chat_template_from_gguf(*files_->gguf)
                      : chat_template_from_folder(*files_->folder);
}

std::string Checkpoint::name() const {
  if (files_->gguf) {
    const auto given = files_->gguf->get_or<std::string_view>("general.name", "");
    if (given && !given->empty()) return std::string(*given);
    return fs::path(files_->gguf->label()).stem().string();
  }
  return own_name(*files_->folder);
}

std::string_view Checkpoint::format() const {
  return files_->gguf ? "GGUF" : files_->weights ? "safetensors" : "tokenizer";
}

}  // namespace inferno::model
