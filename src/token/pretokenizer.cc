#include "token/pretokenizer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace inferno::token {
namespace {

// What a match looks at unless it needs more. Words are shorter; a hostile expression costs at most its square.
constexpr size_t kWindowBytes = 2048;

// A window that was too small is tried again this many times as large.
constexpr size_t kWindowGrowth = 4;

// Bytes of windows that were too small, for each byte of text and over all: honest text needs fewer than 2.
constexpr size_t kBudgetPerByte = 64;
constexpr size_t kBudgetBase = 1 << 20;

// PCRE2's count of backtracking steps in one match; a linear one takes a few a byte at most.
constexpr uint32_t kMatchLimit = 2'000'000;

// Memory for backtracking when the JIT's small stack is not enough.
constexpr uint32_t kHeapLimitKibibytes = 64 * 1024;

// Longer expressions come from a file that is wrong; all known ones are under 2 KB.
constexpr size_t kMaxRegexBytes = 64 * 1024;

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeMatchContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
using Code = std::unique_ptr<pcre2_code, FreeCode>;
using MatchData = std::unique_ptr<pcre2_match_data, FreeMatchData>;
using MatchContext = std::unique_ptr<pcre2_match_context, FreeMatchContext>;

struct Span {
  size_t begin = 0;
  size_t end = 0;
};

Result<Code> compile(std::string_view regex) {
  if (regex.size() > kMaxRegexBytes) {
    return fail(Fault::kInvalid, "pre-tokenizer expression has {} bytes, limit {}", regex.size(),
                kMaxRegexBytes);
  }
  Result<std::string> translated = translate_regex(regex);
  if (!translated) return std::unexpected(translated.error());
  int error = 0;
  size_t error_offset = 0;
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated->data()), translated->size(),
                          options, &error, &error_offset, nullptr));
  if (code == nullptr) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return fail(Fault::kInvalid, "pre-tokenizer expression \"{}\": {} at byte {} of \"{}\"",
                regex.substr(0, 200), reinterpret_cast<const char*>(message), error_offset,
                translated->substr(0, 200));
  }
  // Where there is no JIT (no executable memory), pcre2_match interprets.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
  return code;
}

}  // namespace

struct PreTokenizer::Stage {
  Code code;
};

// Finds matches, one after another, for one call of split(): holds what PCRE2 needs for that and the budget.
class PreTokenizer::Matcher {
 public:
  Matcher(const PreTokenizer& owner, size_t text_bytes)
      : owner_(owner),
        data_(pcre2_match_data_create(1, nullptr)),
        context_(pcre2_match_context_create(nullptr)),
        budget_(kBudgetBase + kBudgetPerByte * text_bytes) {
    CHECK(data_ != nullptr && context_ != nullptr, "out of memory for a match");
    pcre2_set_match_limit(context_.get(), kMatchLimit);
    pcre2_set_heap_limit(context_.get(), kHeapLimitKibibytes);
  }

  // The first match in `text` that begins at or behind `offset`; an empty one only behind it. False if none.
  bool next(const Stage& stage, std::string_view text, size_t offset, Span& match) {
    while (offset < text.size()) {
      size_t end = 0;
      const int count = match_in_window(stage, text, offset, end);
      const bool exhausted = budget_ == 0;
      if (count >= 0) {
        const size_t* found = pcre2_get_ovector_pointer(data_.get());
        match = {found[0], found[1]};
        if (match.begin < offset || match.end < match.begin) return false;  // odd uses of \K
        // Cut by the window only because it began late in it: look again from there.
        const bool cut = exhausted && match.end == end && end < text.size();
        if (!cut || match.begin == offset) return true;
        offset = match.begin;
      } else if (count == PCRE2_ERROR_NOMATCH) {
        offset = end;
      } else {
        owner_.degraded_splits_.fetch_add(1, std::memory_order_relaxed);
        if (exhausted) offset = end;  // even a small window is too hard: leave it whole
        budget_ = 0;
      }
    }
    return false;
  }

 private:
  // Matches in a window from `offset` on; sets its `end`. Grows the window while the match needs to see more,
  // as long as the budget lasts. Returns what pcre2_match does.
  int match_in_window(const Stage& stage, std::string_view text, size_t offset, size_t& end) {
    size_t window = kWindowBytes;
    for (;;) {
      end = window_end(text, offset, window);
      const bool final = end == text.size() || budget_ == 0;
      const int count = match_once(stage, text.substr(0, end), offset, final ? 0 : PCRE2_PARTIAL_HARD);
      if (count != PCRE2_ERROR_PARTIAL) return count;
      const size_t spent = end - offset;
      if (budget_ > spent) {
        budget_ -= spent;
        window *= kWindowGrowth;
      } else {
        budget_ = 0;
        window = kWindowBytes;
        owner_.degraded_splits_.fetch_add(1, std::memory_order_relaxed);
      }
    }
  }

  int match_once(const Stage& stage, std::string_view text, size_t offset, uint32_t options) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    options |= PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY_ATSTART;
    int count = pcre2_match(stage.code.get(), subject, text.size(), offset, options, data_.get(),
                            context_.get());
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) {
      count = pcre2_match(stage.code.get(), subject, text.size(), offset, options | PCRE2_NO_JIT,
                          data_.get(), context_.get());
    }
    return count;
  }

  // The end of a window of about `bytes` bytes, not inside a character.
  static size_t window_end(std::string_view text, size_t offset, size_t bytes) {
    if (text.size() - offset <= bytes) return text.size();
    size_t end = offset + bytes;
    while (end < text.size() && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) ++end;
    return end;
  }

  const PreTokenizer& owner_;
  MatchData data_;
  MatchContext context_;
  size_t budget_;  // 0: windows no longer grow
};

PreTokenizer::PreTokenizer() = default;
PreTokenizer::~PreTokenizer() = default;

Result<std::unique_ptr<PreTokenizer>> PreTokenizer::create(std::span<const std::string> regexes) {
  std::unique_ptr<PreTokenizer> result(new PreTokenizer);
  for (const std::string& regex : regexes) {
    Result<Code> code = compile(regex);
    if (!code) return std::unexpected(code.error());
    result->stages_.push_back({std::move(*code)});
  }
  return result;
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  if (text.empty()) return pieces;
  pieces.push_back(text);
  std::vector<std::string_view> finer;
  Matcher matcher(*this, text.size());
  for (const Stage& stage : stages_) {
    finer.clear();
    finer.reserve(pieces.size());
    const auto keep = [&](std::string_view piece) {
      if (!piece.empty()) finer.push_back(piece);
    };
    for (const std::string_view piece : pieces) {
      size_t done = 0;
      Span match;
      while (matcher.next(stage, piece, done, match)) {
        keep(piece.substr(done, match.begin - done));
        keep(piece.substr(match.begin, match.end - match.begin));
        done = match.end;
      }
      keep(piece.substr(done));
    }
    pieces.swap(finer);
  }
  return pieces;
}

}  // namespace inferno::token
