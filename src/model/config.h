// What a model is, in numbers: one ModelConfig, whether it came from GGUF keys or from a
// config.json.
//
// After a reader returned it, every number lies within the limits below and they fit each other:
// whoever uses it need not check again. A reader refuses what it does not understand (another
// architecture, another kind of rope scaling, another way to choose experts): a model that runs is
// a model that runs as its makers meant.
//
// Shape letters: L layers, D model width, H query heads, K key/value heads, E head width, F
// feed-forward width, V vocabulary, X experts.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernel/types.h"
#include "model/router.h"

namespace inferno::model {

class Gguf;

// Which forward pass. Every value has one row in the table of config.cc, which says how files name
// it and what they leave unsaid.
enum class Architecture : uint8_t { kLlama, kQwen2, kQwen3, kQwen3Moe, kGemma2, kGemma3, kGptOss };

// "llama", "qwen2", ...: GGUF's general.architecture. Mistral is "llama", with a window; Mixtral is
// "llama", with experts.
std::string_view name_of(Architecture architecture);

enum class RopeLayout : uint8_t {
  kInterleaved,  // rotates the pairs (2i, 2i + 1)
  kHalves,       // rotates the pairs (i, i + rope_width / 2), as GPT-NeoX does
};

enum class Activation : uint8_t { kSilu, kGeluTanh, kClampedSwiglu };

// How rotation frequencies are changed so that a model reaches further than it was trained for.
// rope_base_local of an architecture that has one of its own (Gemma 3) is never scaled.
struct RopeScaling {
  enum class Kind : uint8_t {
    kNone,
    kLinear,  // positions divided by `factor`
    kLlama3,  // frequencies divided by 1..factor, by wavelength, as Llama 3.1's config.json asks
    kYarn,    // YaRN, https://arxiv.org/abs/2309.00071, section 3.4
  };
  Kind kind = Kind::kNone;
  float factor = 1.0f;
  float low_freq_factor = 1.0f;   // kLlama3
  float high_freq_factor = 4.0f;  // kLlama3
  int original_context = 0;       // kLlama3, kYarn: positions the model was trained for
  float beta_fast = 32.0f;        // kYarn
  float beta_slow = 1.0f;         // kYarn
  float attention_factor = 0.0f;  // kYarn: multiplies cos and sin; 0: 0.1 ln(factor) + 1
  bool truncates = true;          // kYarn: the range of scaled dimensions is rounded to whole ones
};

// How a folder's matrices are stored: what "quantization_config" of config.json says, as far as the
// tensors' names and shapes do not say it (packed_matrix.h).
enum class WeightPacking : uint8_t {
  kNone,
  kGptq,    // zeros stored less 1 ("gptq")
  kGptqV2,  // zeros as they are ("gptq_v2")
  kAwq,
  kCompressedTensors,
  kFp8,
  kMxfp4,  // experts only (expert_stack.h)
};

struct ModelConfig {
  Architecture architecture = Architecture::kLlama;
  int vocab_size = 0;          // V: rows of the embedding
  int context_length = 0;      // positions the model is made for
  int layer_count = 0;         // L
  int width = 0;               // D
  int head_count = 0;          // H
  int kv_head_count = 0;       // K; H is a multiple of it
  int head_width = 0;          // E, even; H * E need not be D
  int feed_forward_width = 0;  // F
  // Mixtures of experts; all 0 where a model is none.
  int expert_count = 0;       // X
  int expert_used_count = 0;  // for each token
  int expert_width = 0;       // F of an expert
  ExpertWeighting expert_weighting = ExpertWeighting::kOfChosen;
  std::vector<uint8_t> layer_has_experts;  // [L]: 1 where they replace the feed-forward block
  float rms_norm_eps = 1e-5f;

  RopeLayout rope_layout = RopeLayout::kHalves;
  int rope_width = 0;                // the first elements of a head are rotated; even, at most E
  float rope_base = 10000.0f;        // layers without a window
  float rope_base_local = 10000.0f;  // layers with a window
  RopeScaling rope_scaling;  // in a GGUF file Llama 3's is the tensor rope_freqs.weight instead

  int sliding_window = 0;  // 0: none; else a token sees itself and the window - 1 before it
  std::vector<uint8_t> layer_is_local;  // [L]: 1 where the window applies

  float attention_scale = 0.0f;    // multiplies q . k
  float attention_softcap = 0.0f;  // 0: none; else scores become cap * tanh(score / cap)
  float final_softcap = 0.0f;      // the same for logits
  float embedding_scale = 1.0f;    // multiplies embeddings before the first layer
  // Added to every RMS norm gain as stored: Gemma's folders store gains minus 1.
  float norm_weight_offset = 0.0f;
  Activation activation = Activation::kSilu;
  kernel::ClampedSwiglu swiglu{.alpha = 1.702f, .limit = 7.0f};  // kClampedSwiglu
  // Logits come from token_embd.weight; there is no output.weight.
  bool has_tied_embeddings = false;
  bool has_qkv_bias = false;               // attn_q.bias, attn_k.bias, attn_v.bias
  bool has_attention_output_bias = false;  // attn_output.bias
  bool has_qk_norm = false;     // attn_q_norm.weight, attn_k_norm.weight [E], per head, before rope
  bool has_post_norms = false;  // post_attention_norm.weight, post_ffw_norm.weight [D]
  bool has_attention_sinks = false;  // attn_sinks.weight [H]: logits of nothing, which take weight
  bool has_expert_biases = false;    // of the router and of every matrix of every expert

  WeightPacking packing = WeightPacking::kNone;

  // Whether layer `layer` attends within sliding_window only and rotates by rope_base_local.
  bool is_local(int layer) const { return layer_is_local[static_cast<size_t>(layer)] != 0; }
  bool has_experts(int layer) const { return layer_has_experts[static_cast<size_t>(layer)] != 0; }
  // Whether some layer has a feed-forward block of its own.
  bool has_dense_layer() const;
};

// Limits on what a file may say. Beyond them a file is taken for damaged or hostile: kInvalid, with
// key, value and limit. Far above any published model, and small enough that no product of two
// overflows int64.
inline constexpr int kMaxLayers = 1024;
inline constexpr int kMaxWidth = 65'536;              // D, and H * E
inline constexpr int kMaxHeads = 1024;                // H
inline constexpr int kMaxHeadWidth = 1024;            // E
inline constexpr int kMaxFeedForwardWidth = 1 << 20;  // F
inline constexpr int kMaxVocabulary = 4 << 20;        // V
inline constexpr int kMaxContext = 1 << 27;           // positions
inline constexpr int kMaxExperts = 1024;              // X
inline constexpr int kMaxExpertsUsed = 64;            // for each token

// The configuration in a GGUF file's keys, where output.weight, attn_q.bias and the rows of
// token_embd.weight complete what the keys leave open. Errors name file, key, value and limit.
Result<ModelConfig> config_from_gguf(const Gguf& file);

// The configuration in a Hugging Face config.json, parsed. Old and recent spellings (rope_theta and
// rope_scaling, or rope_parameters), and language models nested in text_config. `label` names the
// file in errors.
Result<ModelConfig> config_from_json(const boost::json::object& json, std::string_view label);

}  // namespace inferno::model
