// Makes GGUF files for tests, good ones and bad ones. Only tests include it.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "model/gguf.h"

namespace inferno::model {

// Appends little-endian numbers and GGUF strings to bytes.
struct ByteWriter {
  std::vector<uint8_t> bytes;

  template <typename T>
  ByteWriter& put(T value) {
    const auto* raw = reinterpret_cast<const uint8_t*>(&value);
    bytes.insert(bytes.end(), raw, raw + sizeof(T));
    return *this;
  }
  ByteWriter& raw(std::string_view text) {
    bytes.insert(bytes.end(), text.begin(), text.end());
    return *this;
  }
  ByteWriter& string(std::string_view text) {
    put<uint64_t>(text.size());
    return raw(text);
  }
  ByteWriter& type(GgufType value) { return put(static_cast<uint32_t>(value)); }
};

// A GGUF file under construction. The counts and the version may be made to lie.
class GgufTestWriter {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;  // of the tensor data; add the key yourself when it is another
  int64_t extra_tensor_count = 0;
  int64_t extra_key_count = 0;

  template <typename T>
  GgufTestWriter& number(std::string_view key, GgufType type, T value) {
    keys_.string(key).type(type).put(value);
    return counted_key();
  }
  GgufTestWriter& u32(std::string_view key, uint32_t value) {
    return number(key, GgufType::kU32, value);
  }
  GgufTestWriter& f32(std::string_view key, float value) {
    return number(key, GgufType::kF32, value);
  }
  GgufTestWriter& flag(std::string_view key, uint8_t value) {
    return number(key, GgufType::kBool, value);
  }
  GgufTestWriter& text(std::string_view key, std::string_view value) {
    keys_.string(key).type(GgufType::kString).string(value);
    return counted_key();
  }
  GgufTestWriter& texts(std::string_view key, const std::vector<std::string>& values) {
    keys_.string(key).type(GgufType::kArray).type(GgufType::kString).put<uint64_t>(values.size());
    for (const std::string& value : values)
      keys_.string(value);
    return counted_key();
  }
  template <typename T>
  GgufTestWriter& numbers(std::string_view key, GgufType type, const std::vector<T>& values) {
    keys_.string(key).type(GgufType::kArray).type(type).template put<uint64_t>(values.size());
    for (const T& value : values)
      keys_.put(value);
    return counted_key();
  }
  // A key whose value, its type first, is these bytes.
  GgufTestWriter& bytes(std::string_view key, const std::vector<uint8_t>& value) {
    keys_.string(key);
    keys_.bytes.insert(keys_.bytes.end(), value.begin(), value.end());
    return counted_key();
  }

  // A tensor of float32 whose lengths are innermost first, as in the file; its bytes are counted
  // up.
  GgufTestWriter& tensor(std::string_view name, const std::vector<uint64_t>& lengths) {
    uint64_t elements = 1;
    for (const uint64_t length : lengths)
      elements *= length;
    pad(data_, alignment);
    tensor_info(name, lengths, 0, data_.bytes.size());
    for (uint64_t i = 0; i < elements; ++i)
      data_.put(static_cast<float>(i));
    return *this;
  }
  // A tensor entry alone, true or not.
  GgufTestWriter& tensor_info(std::string_view name, const std::vector<uint64_t>& lengths,
                              uint32_t type, uint64_t offset) {
    tensors_.string(name).put(static_cast<uint32_t>(lengths.size()));
    for (const uint64_t length : lengths)
      tensors_.put(length);
    tensors_.put(type).put(offset);
    ++tensor_count_;
    return *this;
  }
  GgufTestWriter& data(size_t count) {
    data_.bytes.resize(data_.bytes.size() + count);
    return *this;
  }

  std::vector<uint8_t> finish() const {
    ByteWriter file;
    file.raw("GGUF").put(version).put(tensor_count_ + static_cast<uint64_t>(extra_tensor_count));
    file.put(key_count_ + static_cast<uint64_t>(extra_key_count));
    for (const ByteWriter* part : {&keys_, &tensors_}) {
      file.bytes.insert(file.bytes.end(), part->bytes.begin(), part->bytes.end());
    }
    pad(file, alignment);
    file.bytes.insert(file.bytes.end(), data_.bytes.begin(), data_.bytes.end());
    return file.bytes;
  }

 private:
  static void pad(ByteWriter& writer, uint64_t alignment) {
    while (writer.bytes.size() % alignment != 0)
      writer.bytes.push_back(0);
  }
  GgufTestWriter& counted_key() {
    ++key_count_;
    return *this;
  }

  ByteWriter keys_, tensors_, data_;
  uint64_t key_count_ = 0;
  uint64_t tensor_count_ = 0;
};

// A folder that is removed when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "inferno_test_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(const std::string& name, const std::vector<uint8_t>& bytes) const {
    return write(name, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  std::filesystem::path write(const std::string& name, std::string_view text) const {
    const std::filesystem::path path = path_ / name;
    std::ofstream(path, std::ios::binary)
        .write(text.data(), static_cast<std::streamsize>(text.size()));
    return path;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace inferno::model
