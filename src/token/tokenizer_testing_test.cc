// Implementation of tokenizer_testing.h, in a file that only the test program has.
#include "token/tokenizer_testing.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <unordered_map>

#include "base/conformance_data.h"
#include "token/bpe_bytes.h"

namespace inferno::token::testing {
namespace {

// Reads a GGUF header's keys that begin with "tokenizer.ggml." (ggml/docs/gguf.md).
class GgufMetadata {
 public:
  explicit GgufMetadata(std::string bytes) : bytes_(std::move(bytes)) {
    if (!bytes_.starts_with("GGUF")) throw std::runtime_error("not a GGUF file");
    position_ = 8;
    take<uint64_t>();
    for (auto keys = take<uint64_t>(); keys > 0; --keys) {
      const std::string key = take_string();
      take_value(key, take<uint32_t>());
    }
  }

  std::map<std::string, std::string> strings;
  std::map<std::string, int64_t> numbers;
  std::map<std::string, std::vector<std::string>> string_arrays;
  std::map<std::string, std::vector<double>> number_arrays;

 private:
  template <typename T>
  T take() {
    T value;
    if (bytes_.size() - position_ < sizeof value) throw std::runtime_error("GGUF file ends early");
    std::memcpy(&value, bytes_.data() + position_, sizeof value);
    position_ += sizeof value;
    return value;
  }

  std::string take_string() {
    const auto size = take<uint64_t>();
    position_ += size;
    return bytes_.substr(position_ - size, size);
  }

  double take_number(uint32_t type) {
    switch (type) {
      case 0:
        return take<uint8_t>();
      case 1:
        return take<int8_t>();
      case 2:
        return take<uint16_t>();
      case 3:
        return take<int16_t>();
      case 4:
        return take<uint32_t>();
      case 5:
        return take<int32_t>();
      case 6:
        return take<float>();
      case 7:
        return take<uint8_t>();
      case 10:
        return static_cast<double>(take<uint64_t>());
      case 11:
        return static_cast<double>(take<int64_t>());
      case 12:
        return take<double>();
      default:
        throw std::runtime_error("unknown GGUF value type");
    }
  }

  void take_value(const std::string& key, uint32_t type) {
    if (type == 8) {
      strings[key] = take_string();
    } else if (type != 9) {
      numbers[key] = static_cast<int64_t>(take_number(type));
    } else {
      const auto element = take<uint32_t>();
      for (auto count = take<uint64_t>(); count > 0; --count) {
        if (element == 8) {
          string_arrays[key].push_back(take_string());
        } else {
          number_arrays[key].push_back(take_number(element));
        }
      }
    }
  }

  std::string bytes_;
  size_t position_ = 0;
};

std::string decode_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char digit : text) {
    if (digit == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(kDigits.find(digit));
    if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xFF);
  }
  return bytes;
}

// The two ranked pieces that `piece` is joined of: merge its bytes with all rules of a lower rank.
std::optional<Merge> rule_of(const std::string& piece, const std::map<std::string, int>& ranks) {
  std::vector<std::string> parts;
  for (const char byte : piece)
    parts.emplace_back(1, byte);
  const int own = ranks.at(piece);
  while (parts.size() > 2) {
    int best = own;
    size_t at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks.find(parts[i] + parts[i + 1]);
      if (found != ranks.end() && found->second < best) {
        best = found->second;
        at = i;
      }
    }
    if (best == own) return std::nullopt;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  if (parts.size() < 2) return std::nullopt;
  return Merge{piece_of_bytes(parts[0]), piece_of_bytes(parts[1])};
}

}  // namespace

std::optional<std::filesystem::path> reference_folder() {
  const auto folder = conformance_data("tokenizers");
  if (!std::filesystem::is_directory(folder)) return std::nullopt;
  return folder;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Vocabulary read_gguf_vocabulary(const std::filesystem::path& path) {
  // Metadata comes first; a model's weights are not needed.
  std::ifstream file(path, std::ios::binary);
  std::string head(size_t{24} << 20, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(file.gcount()));
  GgufMetadata metadata(std::move(head));
  const auto id_of = [&](const char* name) -> std::optional<TokenId> {
    const auto found = metadata.numbers.find(fmt::format("tokenizer.ggml.{}_token_id", name));
    if (found == metadata.numbers.end()) return std::nullopt;
    return static_cast<TokenId>(found->second);
  };
  const auto override_flag = [&](const char* name, bool& flag) {
    const auto found = metadata.numbers.find(fmt::format("tokenizer.ggml.{}", name));
    if (found != metadata.numbers.end()) flag = found->second != 0;
  };
  Vocabulary vocabulary;
  const std::string kind = metadata.strings["tokenizer.ggml.model"];
  vocabulary.kind = kind == "llama"  ? VocabularyKind::kSentencePieceBpe
                    : kind == "bert" ? VocabularyKind::kWordPiece
                                     : VocabularyKind::kByteLevelBpe;
  vocabulary.pre_tokenizer = metadata.strings["tokenizer.ggml.pre"];
  vocabulary.tokens = metadata.string_arrays["tokenizer.ggml.tokens"];
  for (const double score : metadata.number_arrays["tokenizer.ggml.scores"]) {
    vocabulary.scores.push_back(static_cast<float>(score));
  }
  for (const double type : metadata.number_arrays["tokenizer.ggml.token_type"]) {
    vocabulary.types.push_back(static_cast<TokenType>(type));
  }
  for (const std::string& line : metadata.string_arrays["tokenizer.ggml.merges"]) {
    vocabulary.merges.push_back(parse_merge(line).value());
  }
  vocabulary.bos = id_of("bos");
  vocabulary.eos = id_of("eos");
  vocabulary.unk = id_of("unknown");
  vocabulary.pad = id_of("padding");
  vocabulary.cls = id_of("cls");
  vocabulary.sep = id_of("seperator");
  set_implied_flags(vocabulary);
  override_flag("add_bos_token", vocabulary.add_bos);
  override_flag("add_eos_token", vocabulary.add_eos);
  override_flag("add_space_prefix", vocabulary.add_space_prefix);
  return vocabulary;
}

Vocabulary read_tiktoken_vocabulary(const std::filesystem::path& path) {
  std::istringstream lines(read_file(path));
  std::string base64;
  int rank = 0;
  std::map<std::string, int> ranks;
  std::vector<std::string> pieces;
  while (lines >> base64 >> rank) {
    pieces.push_back(decode_base64(base64));
    ranks[pieces.back()] = rank;
  }
  Vocabulary vocabulary;
  for (const std::string& piece : pieces) {
    vocabulary.tokens.push_back(piece_of_bytes(piece));
    if (auto rule = rule_of(piece, ranks)) vocabulary.merges.push_back(std::move(*rule));
  }
  return vocabulary;
}

Vocabulary read_json_vocabulary(const std::filesystem::path& vocab,
                                const std::filesystem::path& merges) {
  Vocabulary vocabulary;
  const boost::json::value ids = boost::json::parse(read_file(vocab));
  vocabulary.tokens.resize(ids.as_object().size());
  for (const auto& [piece, id] : ids.as_object()) {
    vocabulary.tokens.at(static_cast<size_t>(id.as_int64())) = std::string(piece);
  }
  std::istringstream lines(read_file(merges));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#version")) continue;
    if (auto rule = parse_merge(line)) vocabulary.merges.push_back(std::move(*rule));
  }
  return vocabulary;
}

std::unique_ptr<Tokenizer> make_tokenizer(Vocabulary vocabulary) {
  auto tokenizer = Tokenizer::create(std::move(vocabulary));
  if (!tokenizer) {
    std::cerr << tokenizer.error().message << '\n';
    std::abort();
  }
  return std::move(*tokenizer);
}

Vocabulary small_byte_level_vocabulary() {
  Vocabulary vocabulary;
  vocabulary.pre_tokenizer = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    const char character = static_cast<char>(byte);
    vocabulary.tokens.push_back(piece_of_bytes({&character, 1}));
  }
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{{"h", "e"},
                                                                                    {"l", "l"},
                                                                                    {"he", "ll"},
                                                                                    {"hell", "o"},
                                                                                    {" ", "w"},
                                                                                    {"a", "a"},
                                                                                    {"aa", "aa"}}) {
    vocabulary.merges.push_back({piece_of_bytes(left), piece_of_bytes(right)});
    vocabulary.tokens.push_back(piece_of_bytes(left + right));
  }
  vocabulary.types.resize(vocabulary.tokens.size(), TokenType::kNormal);
  vocabulary.eos = static_cast<TokenId>(vocabulary.tokens.size());
  vocabulary.tokens.emplace_back("<|end|>");
  vocabulary.types.push_back(TokenType::kControl);
  vocabulary.tokens.emplace_back("<tool>");
  vocabulary.types.push_back(TokenType::kUserDefined);
  return vocabulary;
}

Vocabulary small_sentence_piece_vocabulary() {
  Vocabulary vocabulary;
  vocabulary.kind = VocabularyKind::kSentencePieceBpe;
  const auto add = [&](std::string piece, float score, TokenType type) {
    vocabulary.tokens.push_back(std::move(piece));
    vocabulary.scores.push_back(score);
    vocabulary.types.push_back(type);
  };
  add("<unk>", 0, TokenType::kUnknown);
  add("<s>", 0, TokenType::kControl);
  add("</s>", 0, TokenType::kControl);
  for (int byte = 0; byte < 256; ++byte)
    add(fmt::format("<0x{:02X}>", byte), 0, TokenType::kByte);
  float score = -1;
  for (const char* piece : {"\u2581", "h", "e", "l", "o", "w", "r", "d", "<", "s", ">", "he", "ll",
                            "hell", "hello", "\u2581hello", "\u2581w", "<s", "s>"}) {
    add(piece, score--, TokenType::kNormal);
  }
  vocabulary.unk = 0;
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  set_implied_flags(vocabulary);
  return vocabulary;
}

}  // namespace inferno::token::testing
