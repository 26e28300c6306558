// Any bytes as a GGUF file: reader, configuration and vocabulary answer with a value or an error.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/config.h"
#include "model/gguf.h"
#include "model/vocabulary_loader.h"
#include "token/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using inferno::model::Gguf;
  // A copy of exactly this size, so that a read past the end is seen.
  const std::vector<uint8_t> bytes(data, data + size);
  const inferno::Result<Gguf> file = Gguf::parse(bytes, "fuzz");
  if (!file) return 0;
  uint64_t sum = 0;
  for (const inferno::model::Tensor& tensor : file->tensors()) {
    if (tensor.bytes > 0) sum += tensor.data[0] + tensor.data[tensor.bytes - 1];
  }
  for (const std::string_view key : file->keys()) {
    const inferno::model::GgufValue& value = *file->find(key);
    if (value.type == inferno::model::GgufType::kArray) sum += Gguf::elements_of(value).size();
    sum += file->get<int32_t>(key).has_value() + file->array<float>(key).has_value();
  }
  (void)inferno::model::config_from_gguf(*file).has_value();
  inferno::Result<inferno::token::Vocabulary> vocabulary =
      inferno::model::vocabulary_from_gguf(*file);
  if (vocabulary) (void)inferno::token::Tokenizer::create(std::move(*vocabulary)).has_value();
  return sum == ~uint64_t{0} ? 1 : 0;
}
