#include "token/unicode_normalize.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "token/unicode.h"
#include "token/unicode_tables.h"

namespace inferno::token {
namespace {

// Hangul syllables are composed by arithmetic (Unicode 14, section 3.12).
constexpr char32_t kSyllables = 0xAC00;
constexpr char32_t kLeading = 0x1100;
constexpr char32_t kVowels = 0x1161;
constexpr char32_t kTrailing = 0x11A7;
constexpr uint32_t kVowelCount = 21;
constexpr uint32_t kTrailingCount = 28;
constexpr uint32_t kLeadingCount = 19;
constexpr uint32_t kSyllableCount = kLeadingCount * kVowelCount * kTrailingCount;

// Below this no character decomposes to another or composes with one before it.
constexpr char32_t kFirstInert = 0xC0;     // ... decomposes
constexpr char32_t kFirstJoining = 0x300;  // ... joins what is before it

// The range that holds `code`; null if none does.
template <typename Range>
const Range* range_of(std::span<const Range> ranges, char32_t code) {
  const auto after = std::ranges::upper_bound(ranges, code, {}, &Range::first);
  if (after == ranges.begin()) return nullptr;
  const Range& range = *std::prev(after);
  return code <= range.last ? &range : nullptr;
}

uint8_t combining_class(char32_t code) {
  if (code < kFirstJoining) return 0;
  const ClassRange* range = range_of<ClassRange>(kCombiningClasses, code);
  return range == nullptr ? 0 : range->order;
}

const Decomposition* find_decomposition(std::span<const Decomposition> table, char32_t code) {
  const auto found = std::ranges::lower_bound(table, code, {}, &Decomposition::code);
  return found != table.end() && found->code == code ? &*found : nullptr;
}

void append_decomposed(char32_t code, std::u32string& out) {
  if (code < kFirstInert) {
    out += code;
    return;
  }
  if (code >= kSyllables && code < kSyllables + kSyllableCount) {
    const uint32_t index = code - kSyllables;
    out += kLeading + index / (kVowelCount * kTrailingCount);
    out += kVowels + index / kTrailingCount % kVowelCount;
    if (index % kTrailingCount != 0) out += kTrailing + index % kTrailingCount;
    return;
  }
  const Decomposition* parts = find_decomposition(kCompositions, code);
  if (parts == nullptr) parts = find_decomposition(kOneWay, code);
  if (parts == nullptr) {
    out += code;
    return;
  }
  // The tables are a few levels deep.
  append_decomposed(parts->first, out);
  if (parts->second != 0) append_decomposed(parts->second, out);
}

// Sorts each run of marks by combining class, equal ones in place (UAX #15, canonical ordering).
void order_marks(std::u32string& text) {
  constexpr int kCodeBits = 21;
  constexpr int kIndexBits = 32;
  std::vector<uint64_t> run;  // class, place and code of each mark, the class uppermost
  for (size_t begin = 0; begin < text.size();) {
    run.clear();
    size_t end = begin;
    for (; end < text.size(); ++end) {
      const uint64_t order = combining_class(text[end]);
      if (order == 0) break;
      run.push_back((order << kIndexBits | (end - begin)) << kCodeBits | text[end]);
    }
    std::ranges::sort(run);
    for (const uint64_t mark : run)
      text[begin++] = mark & ((1u << kCodeBits) - 1);
    if (begin < text.size()) ++begin;
  }
}

// The character that two compose to; none if they do not.
std::optional<char32_t> composed(char32_t first, char32_t second) {
  if (first - kLeading < kLeadingCount && second - kVowels < kVowelCount) {
    return kSyllables + ((first - kLeading) * kVowelCount + (second - kVowels)) * kTrailingCount;
  }
  if (first - kSyllables < kSyllableCount && (first - kSyllables) % kTrailingCount == 0 &&
      second > kTrailing && second - kTrailing < kTrailingCount) {
    return first + (second - kTrailing);
  }
  static const auto* const pairs = [] {
    auto* map = new std::unordered_map<uint64_t, char32_t>;
    for (const Decomposition& entry : kCompositions) {
      map->emplace(uint64_t{entry.first} << 32 | entry.second, entry.code);
    }
    return map;
  }();
  const auto found = pairs->find(uint64_t{first} << 32 | second);
  if (found == pairs->end()) return std::nullopt;
  return found->second;
}

// Joins decomposed, ordered text in place (UAX #15, canonical composition).
void compose(std::u32string& text) {
  size_t kept = 0;
  std::optional<size_t> starter;
  uint8_t last_class = 0;
  for (const char32_t code : text) {
    const uint8_t own_class = combining_class(code);
    const bool adjacent = starter && *starter + 1 == kept;
    // Blocked by a character in between of the same or a higher class.
    const bool blocked = !adjacent && (last_class >= own_class || last_class == 0);
    if (starter && !blocked) {
      if (const auto joined = composed(text[*starter], code)) {
        text[*starter] = *joined;
        continue;
      }
    }
    if (own_class == 0) starter = kept;
    last_class = own_class;
    text[kept++] = code;
  }
  text.resize(kept);
}

// Whether NFC of `text` is `text` at a glance.
bool is_plainly_nfc(std::string_view text) {
  // Bytes up to 0xCB begin characters below U+0300, which are all in NFC; continuation bytes follow
  // some lead.
  return std::ranges::all_of(text, [](char byte) { return static_cast<uint8_t>(byte) < 0xCC; });
}

}  // namespace

std::u32string to_nfd(std::string_view text) {
  std::u32string codes;
  while (!text.empty()) {
    const Utf8Char next = decode_utf8(text);
    append_decomposed(next.code, codes);
    text.remove_prefix(next.size);
  }
  order_marks(codes);
  return codes;
}

std::string to_nfc(std::string_view text) {
  std::string out;
  if (is_plainly_nfc(text)) return out = text;
  while (!text.empty()) {
    const size_t valid = valid_utf8_prefix(text);
    std::u32string codes = to_nfd(text.substr(0, valid));
    compose(codes);
    for (const char32_t code : codes)
      append_utf8(code, out);
    text.remove_prefix(valid);
    if (text.empty()) break;
    const Utf8Char bad = decode_utf8(text);
    out += text.substr(0, bad.size);
    text.remove_prefix(bad.size);
  }
  return out;
}

char32_t to_lower(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 0x20 : code;
  const LowerRange* range = range_of<LowerRange>(kLowerCase, code);
  if (range == nullptr || (code - range->first) % static_cast<uint32_t>(range->step) != 0)
    return code;
  return static_cast<char32_t>(static_cast<int32_t>(code) + range->delta);
}

bool is_nonspacing_mark(char32_t code) {
  return code >= kFirstJoining && range_of<CodeRange>(kNonspacingMarks, code) != nullptr;
}

bool is_punctuation(char32_t code) {
  if (code < 0x80) {
    return (code >= 0x21 && code <= 0x2F) || (code >= 0x3A && code <= 0x40) ||
           (code >= 0x5B && code <= 0x60) || (code >= 0x7B && code <= 0x7E);
  }
  return range_of<CodeRange>(kPunctuation, code) != nullptr;
}

bool is_control(char32_t code) {
  return range_of<CodeRange>(kControls, code) != nullptr;
}

}  // namespace inferno::token
