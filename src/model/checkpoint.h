// A model as its files give it: configuration, weights by one set of names, vocabulary, chat
// template.
//
// Forms: a GGUF file (the first part, when it is split); a Hugging Face folder (config.json,
// safetensors, tokenizer.json); a folder that holds one GGUF model; and, for tokenizing only, a
// GGUF file without tensors or a folder with no more than a tokenizer.json.
//
// Weights are known by GGUF's names in every form:
//
//   token_embd.weight, output.weight [V, D]   output_norm.weight [D]
//   rope_freqs.weight [rope_width / 2]
//   blk.N.  attn_norm.weight [D]        attn_q.weight [H E, D]   attn_k.weight [K E, D]
//           attn_v.weight [K E, D]      attn_output.weight [D, H E]   attn_q.bias ...
//           attn_q_norm.weight [E]      attn_k_norm.weight [E]       attn_sinks.weight [H]
//           ffn_norm.weight [D]         ffn_gate.weight, ffn_up.weight [F, D]
//           ffn_down.weight [D, F]
//           ffn_gate_inp.weight [X, D]  of the router, and of expert E, which may be a part of the
//           file's tensor of all experts: ffn_gate.E.weight, ffn_up.E.weight, ffn_down.E.weight
//           post_attention_norm.weight, post_ffw_norm.weight [D]      of what each part returns
//
// A matrix may be several tensors of the folder (packed_matrix.h), or lie scattered in one of all
// experts, as its bias does (expert_stack.h): only matrix() and floats() find these by name.
//
// Threads: immutable once open; every method may be called from any thread.
// Cost:    opening reads headers only; tensors stay in the mapped files.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/config.h"
#include "model/matrix_source.h"
#include "model/tensor.h"
#include "token/vocabulary.h"

namespace inferno::model {

class Checkpoint {
 public:
  enum class Need : uint8_t {
    // To compute: the configuration is valid, and every tensor it asks for is there, in its shape.
    kModel,
    // To tokenize: configuration and tensors may be absent or of an unknown architecture.
    kVocabulary,
  };

  // Opens any of the forms above. Errors name the file, the field or tensor, its value and what was
  // expected; kNotFound when there is no such path.
  static Result<std::unique_ptr<Checkpoint>> open(const std::filesystem::path& path,
                                                  Need need = Need::kModel);

  ~Checkpoint();
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  // Whether config() may be called: always after opening with kModel.
  bool has_config() const;

  // Requires: has_config().
  const ModelConfig& config() const;

  // Whether tensor(name), matrix(name) or floats(name) would find one. False for output.weight when
  // embeddings are tied.
  bool has(std::string_view name) const;

  // The tensor of a canonical name, its shape checked against the configuration. kNotFound when
  // there is none, kCorrupt when its shape is another.
  Result<Tensor> tensor(std::string_view name) const;

  // The matrix of a canonical name, packed or not, its shape checked against the configuration.
  // kNotFound when there is none, kCorrupt when its parts do not fit, kInvalid when it cannot be
  // computed with. The checkpoint must outlive it.
  Result<std::unique_ptr<MatrixSource>> matrix(std::string_view name) const;

  // The values of a vector of a canonical name: a norm, a bias. Errors as tensor()'s, and kInvalid
  // when its type has no float values.
  Result<std::vector<float>> floats(std::string_view name) const;

  // What the files hold, used or not.
  TensorFacts facts() const;

  // Tells the operating system that these bytes of weights, which came from tensor() or matrix(),
  // will not be read again soon.
  void drop_pages(const Tensor& tensor) const;
  void drop_pages(std::span<const uint8_t> bytes) const;

  // The tokenizer. kNotFound when the files have none; kInvalid when it is of a kind that is not
  // supported.
  Result<token::Vocabulary> vocabulary() const;

  // The Jinja source that renders chat messages; empty when the files have none.
  std::string chat_template() const;

  // general.name of a GGUF file, else the file's or folder's own name.
  std::string name() const;

  // "GGUF" or "safetensors"; "tokenizer" for a folder without weights.
  std::string_view format() const;

 private:
  struct Files;
  explicit Checkpoint(std::unique_ptr<Files> files);
  std::unique_ptr<Files> files_;
};

}  // namespace inferno::model
