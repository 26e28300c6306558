// Named numbers of a configuration, read with limits: what config_gguf.cc and config_json.cc share.
//
// The first trouble is kept and everything after it answers a harmless value, so that a reader can
// ask for all its fields in a row and look at error() once. Internal to the readers.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "model/config.h"
#include "model/gguf.h"

namespace inferno::model {

struct IntLimits {
  int64_t least;
  int64_t most;
};

struct RealLimits {
  double least;
  double most;
};

class ConfigFields {
 public:
  virtual ~ConfigFields() = default;

  // The value of a key, within limits. Without the key: `otherwise`, or an error when there is
  // none.
  int integer(std::string_view key, IntLimits limits, std::optional<int> otherwise = std::nullopt);
  float real(std::string_view key, RealLimits limits,
             std::optional<float> otherwise = std::nullopt);
  enum class Default : uint8_t { kFalse, kTrue };
  bool flag(std::string_view key, Default otherwise);
  std::string text(std::string_view key, std::string_view otherwise);

  virtual bool has(std::string_view key) const = 0;

  // "FILE: key 'KEY'", as errors begin.
  virtual std::string where(std::string_view key) const = 0;

  // Keeps an error found by the caller, unless there is an earlier one.
  template <typename... Args>
  void refuse(std::string_view key, fmt::format_string<Args...> format, Args&&... args) {
    keep(Error{
        Fault::kInvalid, where(key) + " " + fmt::format(format, std::forward<Args>(args)...), {}});
  }
  void keep(Error error) {
    if (!error_) error_ = std::move(error);
  }
  const std::optional<Error>& error() const { return error_; }

 protected:
  // Called for keys that has() is true for.
  virtual Result<int64_t> read_integer(std::string_view key) const = 0;
  virtual Result<double> read_real(std::string_view key) const = 0;
  virtual Result<bool> read_flag(std::string_view key) const = 0;
  virtual Result<std::string> read_text(std::string_view key) const = 0;

 private:
  std::optional<Error> error_;
};

// Keys of a JSON object; null is as good as absent. Numbers may be spelled 4 or 4.0.
class JsonFields : public ConfigFields {
 public:
  // `prefix` is put before keys in errors: "rope_scaling.". `json` must outlive this.
  JsonFields(const boost::json::object& json, std::string_view label, std::string_view prefix = {})
      : json_(json), label_(label), prefix_(prefix) {}

  bool has(std::string_view key) const override;
  std::string where(std::string_view key) const override;
  // Whether the key is there with the value null.
  bool is_null(std::string_view key) const;
  // The object or array of a key; null when there is none.
  const boost::json::object* object(std::string_view key) const;
  const boost::json::array* array(std::string_view key) const;

 protected:
  Result<int64_t> read_integer(std::string_view key) const override;
  Result<double> read_real(std::string_view key) const override;
  Result<bool> read_flag(std::string_view key) const override;
  Result<std::string> read_text(std::string_view key) const override;

 private:
  const boost::json::object& json_;
  std::string label_;
  std::string prefix_;
};

// Keys of a GGUF file, "llama.KEY" for an architecture's prefix "llama.". Integers may be arrays
// with one value per layer, when all are equal.
class GgufFields : public ConfigFields {
 public:
  GgufFields(const Gguf& file, std::string_view prefix) : file_(file), prefix_(prefix) {}

  bool has(std::string_view key) const override { return file_.has(full(key)); }
  std::string where(std::string_view key) const override;
  std::string full(std::string_view key) const { return prefix_ + std::string(key); }

 protected:
  Result<int64_t> read_integer(std::string_view key) const override;
  Result<double> read_real(std::string_view key) const override;
  Result<bool> read_flag(std::string_view key) const override;
  Result<std::string> read_text(std::string_view key) const override;

 private:
  const Gguf& file_;
  std::string prefix_;
};

enum class ExpertUse : uint8_t { kNever, kSome, kAlways };

// What an architecture leaves unsaid in its files.
struct ArchitectureTraits {
  Architecture architecture;
  std::string_view name;  // general.architecture, and the prefix of its keys
  // In Hugging Face folders it is always kHalves.
  RopeLayout gguf_rope_layout = RopeLayout::kHalves;
  bool has_qkv_bias = false;  // in Hugging Face folders; GGUF files show it by their tensors
  bool has_qk_norm = false;
  // Embeddings times sqrt(D), gains stored minus 1 in folders, post norms, GELU, tied embeddings.
  bool is_gemma = false;
  int window_period = 0;  // layer i has no window when (i + 1) % period == 0; 0: all layers have it
  bool has_local_rope = false;     // layers with a window rotate by a base of their own
  float attention_softcap = 0.0f;  // without a key
  float final_softcap = 0.0f;
  // A number of layers at which GGUF files mean scores scaled by sqrt(D / H) instead of sqrt(E): no
  // key says so.
  int layers_scaled_by_width = 0;
  // Whether GGUF files of this name hold mixtures of experts.
  ExpertUse experts = ExpertUse::kNever;
  // Attention sinks, biases of router and experts, the clamped SwiGLU.
  bool is_gpt_oss = false;

  Activation activation() const {
    if (is_gpt_oss) return Activation::kClampedSwiglu;
    return is_gemma ? Activation::kGeluTanh : Activation::kSilu;
  }
};

// The row of an architecture in the table of config.cc.
const ArchitectureTraits& traits_of(Architecture architecture);

// The row that a GGUF file's general.architecture or a folder's model_type names; null for an
// unknown one.
const ArchitectureTraits* find_traits_by_gguf_name(std::string_view name);
const ArchitectureTraits* find_traits_by_model_type(std::string_view model_type);

// The names of all architectures, for errors: "llama, qwen2, ...".
std::string known_architectures();

// A configuration with what an architecture has in every form, and nothing read yet.
ModelConfig config_of(const ArchitectureTraits& traits);

// Marks the layers with a window by a period as in ArchitectureTraits::window_period; none without
// a window.
void mark_windows(ModelConfig& config, int period);

// Checks what involves more than one number, after the fields were read within their own limits.
Result<ModelConfig> checked(ModelConfig config, std::string_view label);

}  // namespace inferno::model
