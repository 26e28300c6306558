#include "token/pretokenizer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace inferno::token {
namespace {

// What a match looks at unless it needs more. Words are shorter; a hostile expression costs at most
// its square.
constexpr size_t kWindowBytes = 2048;

// The window once the budget is used up: the cost of a hostile match goes with its square.
constexpr size_t kDegradedWindowBytes = 256;

// A window that was too small is tried again this many times as large.
constexpr size_t kWindowGrowth = 4;

// Bytes of windows that were too small, for each byte of text and over all: honest text needs fewer
// than 2.
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

// Compiles a translated expression; `source` is how the file spells it.
Result<Code> compile(std::string_view source, const std::string& translated, uint32_t anchored) {
  int error = 0;
  size_t error_offset = 0;
  const uint32_t options =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | anchored;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                          options, &error, &error_offset, nullptr));
  if (code == nullptr) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return fail(Fault::kInvalid, "pre-tokenizer expression \"{}\": {} at byte {} of \"{}\"",
                source.substr(0, 200), reinterpret_cast<const char*>(message), error_offset,
                translated.substr(0, 200));
  }
  // Where there is no JIT (no executable memory), pcre2_match interprets.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
  return code;
}

}  // namespace

struct PreTokenizer::Stage {
  Code search;
  // Matches at the offset only. None if the expression asks where the search began (\G).
  Code anchored;
};

// Finds matches, one after another, for one call of split(): holds what PCRE2 needs for that and
// the budget.
//
// A search only ever sees a small window. If a match there would have to see more, the larger
// window is matched at that one place, so that no place of a large window is tried but once for
// each time it grows.
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

  // The first match in `text` that begins at or behind `from`; an empty one only behind it. False
  // if none.
  bool next(const Stage& stage, std::string_view text, size_t from, Span& match) {
    Try attempt = {.text = text, .from = from, .offset = from};
    while (attempt.offset < text.size()) {
      attempt.end =
          window_end(text, attempt.offset, budget_ > 0 ? kWindowBytes : kDegradedWindowBytes);
      int count = match_once(stage.search.get(), attempt, Exactness::kExact);
      size_t resume = attempt.end;  // where to go on when nothing matched
      if (count == PCRE2_ERROR_PARTIAL) count = match_grown(stage, attempt, resume);
      if (count >= 0) {
        const size_t* found = pcre2_get_ovector_pointer(data_.get());
        match = {found[0], found[1]};
        if (match.begin < attempt.offset || match.end < match.begin)
          return false;  // odd uses of \K
        // Cut by the window only because it began late in it: look again from there.
        const bool cut = budget_ == 0 && match.end == attempt.end && attempt.end < text.size();
        if (!cut || match.begin == attempt.offset) return true;
        attempt.offset = match.begin;
      } else {
        if (count != PCRE2_ERROR_NOMATCH) degrade();  // too hard even for a window: leave it whole
        attempt.offset = resume;
      }
    }
    return false;
  }

 private:
  // One match: at or behind `offset`, in `text` up to `end`.
  struct Try {
    std::string_view text;
    size_t from = 0;  // where an empty match does not count
    size_t offset = 0;
    size_t end = 0;
  };

  enum class Exactness : uint8_t {
    kExact,  // PCRE2_ERROR_PARTIAL if the match depends on what is behind the window
    kCut,    // the window's end is the text's
  };

  // Matches again where a small window was not enough, in larger and larger ones, as long as the
  // budget lasts. Sets `resume` to where the search goes on if there is no match. Returns what
  // pcre2_match does.
  int match_grown(const Stage& stage, Try& attempt, size_t& resume) {
    const pcre2_code* code = stage.search.get();
    if (stage.anchored != nullptr) {
      code = stage.anchored.get();
      attempt.offset = pcre2_get_ovector_pointer(data_.get())[0];
    }
    for (size_t window = kWindowBytes * kWindowGrowth;; window *= kWindowGrowth) {
      attempt.end = window_end(attempt.text, attempt.offset, window);
      const size_t cost = attempt.end - attempt.offset;
      const bool affordable = budget_ > cost;
      if (affordable) {
        budget_ -= cost;
      } else {
        degrade();
        attempt.end = window_end(attempt.text, attempt.offset, kDegradedWindowBytes);
      }
      const int count = match_once(code, attempt, affordable ? Exactness::kExact : Exactness::kCut);
      if (count == PCRE2_ERROR_PARTIAL) continue;
      resume = attempt.end;
      if (stage.anchored != nullptr) resume = window_end(attempt.text, attempt.offset, 1);
      return count;
    }
  }

  int match_once(const pcre2_code* code, const Try& attempt, Exactness exactness) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(attempt.text.data());
    uint32_t options = PCRE2_NO_UTF_CHECK;
    if (attempt.offset == attempt.from) options |= PCRE2_NOTEMPTY_ATSTART;
    const bool whole = attempt.end == attempt.text.size();
    if (exactness == Exactness::kExact && !whole && budget_ > 0) options |= PCRE2_PARTIAL_HARD;
    const int count = pcre2_match(code, subject, attempt.end, attempt.offset, options, data_.get(),
                                  context_.get());
    if (count != PCRE2_ERROR_JIT_STACKLIMIT) return count;
    return pcre2_match(code, subject, attempt.end, attempt.offset, options | PCRE2_NO_JIT,
                       data_.get(), context_.get());
  }

  void degrade() {
    owner_.degraded_splits_.fetch_add(1, std::memory_order_relaxed);
    budget_ = 0;
  }

  // The end of a window of at least `bytes` bytes, not inside a character.
  static size_t window_end(std::string_view text, size_t offset, size_t bytes) {
    if (text.size() - offset <= bytes) return text.size();
    size_t end = offset + bytes;
    while (end < text.size() && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80)
      ++end;
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
    if (regex.size() > kMaxRegexBytes) {
      return fail(Fault::kInvalid, "pre-tokenizer expression has {} bytes, limit {}", regex.size(),
                  kMaxRegexBytes);
    }
    const Result<std::string> translated = translate_regex(regex);
    if (!translated) return std::unexpected(translated.error());
    Result<Code> search = compile(regex, *translated, 0);
    if (!search) return std::unexpected(search.error());
    Stage stage = {.search = std::move(*search), .anchored = nullptr};
    if (regex.find("\\G") == std::string::npos) {
      Result<Code> anchored = compile(regex, *translated, PCRE2_ANCHORED);
      if (!anchored) return std::unexpected(anchored.error());
      stage.anchored = std::move(*anchored);
    }
    result->stages_.push_back(std::move(stage));
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
