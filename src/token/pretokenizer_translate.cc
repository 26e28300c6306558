// translate_regex: from the dialect of tokenizer.json (Oniguruma, Ruby syntax) to PCRE2's.
//
// Only what the two read differently is rewritten:
//   \s \S         PCRE2 counts U+180E as space
//   \w \W \b \B   Oniguruma counts marks and all connectors as parts of words
//   \p{Han}       Oniguruma means the script, PCRE2 its extensions, too, which have punctuation
//   [[:punct:]]   Oniguruma has all symbols in it
//   [a[bc]]  [a&&[bc]]   unions and intersections: PCRE2 would read plain characters

#include <fmt/format.h>

#include "base/result.h"
#include "token/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace inferno::token {
namespace {

// Unicode's White_Space (see is_white_space), as the inside of a class.
constexpr std::string_view kSpaces =
    R"(\x09-\x0D\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Unicode's Alphabetic, marks, decimal digits and connectors (Unicode TR18, annex C, "word"), and
// Latin-1's superscripts and fractions, as Oniguruma has them.
constexpr std::string_view kWordCharacters =
    R"(\p{L}\p{Nl}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})"
    R"(\p{M}\p{Nd}\p{Pc}\xB2\xB3\xB9\xBC-\xBE)";

// Whether PCRE2 knows a script of this name.
bool is_script(std::string_view name) {
  const std::string probe = fmt::format("\\p{{sc:{}}}", name);
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(probe.data()), probe.size(),
                                   PCRE2_UTF, &error, &offset, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

// Classes nested deeper than this are refused: the translator recurses.
constexpr int kMaxClassDepth = 8;

class Translator {
 public:
  explicit Translator(std::string_view regex) : regex_(regex) {}

  Result<std::string> run() {
    std::string out;
    while (position_ < regex_.size()) {
      if (regex_[position_] == '\\') {
        append_escape(out);
      } else if (regex_[position_] == '[') {
        Result<std::string> translated = read_class(0);
        if (!translated) return std::unexpected(translated.error());
        out += *translated;
      } else {
        out += regex_[position_++];
      }
    }
    return out;
  }

 private:
  bool at(std::string_view what) const { return regex_.substr(position_).starts_with(what); }

  // An escape outside a class.
  void append_escape(std::string& out) {
    const std::string_view escape = regex_.substr(position_, 2);
    if (escape == "\\p" || escape == "\\P") return append_property(out);
    position_ += escape.size();
    if (escape == "\\s") {
      out += fmt::format("[{}]", kSpaces);
    } else if (escape == "\\S") {
      out += fmt::format("[^{}]", kSpaces);
    } else if (escape == "\\w") {
      out += fmt::format("[{}]", kWordCharacters);
    } else if (escape == "\\W") {
      out += fmt::format("[^{}]", kWordCharacters);
    } else if (escape == "\\b") {
      out += fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kWordCharacters);
    } else if (escape == "\\B") {
      out += fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", kWordCharacters);
    } else {
      out += escape;
    }
  }

  // \p{NAME} or \P{NAME}, inside a class or not.
  void append_property(std::string& out) {
    out += regex_.substr(position_, 2);
    position_ += 2;
    const size_t end = regex_.find('}', position_);
    if (!at("{") || end == std::string_view::npos) return;
    std::string_view name = regex_.substr(position_ + 1, end - position_ - 1);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    out += fmt::format("{{{}{}{}}}", negated ? "^" : "", is_script(name) ? "sc:" : "", name);
    position_ = end + 1;
  }

  // A class from its '[' to its ']'.
  Result<std::string> read_class(int depth) {
    if (depth > kMaxClassDepth) return refuse("has classes nested too deep");
    ++position_;
    std::string head = "[";
    if (at("^")) {
      head += regex_[position_++];
    }
    std::string items;
    std::string conditions;  // one lookahead for each right side of &&
    if (at("]")) {
      items += "\\]";
      ++position_;
    }
    while (!at("]")) {
      if (position_ >= regex_.size()) return refuse("has a class without end");
      if (at("&&")) {
        Result<std::string> side = read_right_side(depth);
        if (!side) return side;
        conditions += "(?=" + *side + ")";
      } else if (auto done = append_item(depth, items); !done) {
        return std::unexpected(done.error());
      }
    }
    ++position_;
    const std::string whole = head + items + "]";
    if (conditions.empty()) return whole;
    if (head != "[") return refuse("negates an intersection of classes");
    if (items.empty()) return refuse("has an intersection without a left side");
    return "(?:" + conditions + whole + ")";
  }

  // What follows "&&": a class, or bare items up to the end of the class or the next "&&".
  Result<std::string> read_right_side(int depth) {
    position_ += 2;
    if (at("[") && !at("[:")) return read_class(depth + 1);
    std::string items;
    while (!at("]") && !at("&&")) {
      if (position_ >= regex_.size()) return refuse("has a class without end");
      if (auto done = append_item(depth, items); !done) return std::unexpected(done.error());
    }
    if (items.empty()) return refuse("has an intersection without a right side");
    return "[" + items + "]";
  }

  // One member of a class: an escape, a POSIX name, a nested class or a character.
  Result<void> append_item(int depth, std::string& items) {
    if (at("\\s")) {
      items += kSpaces;
      position_ += 2;
    } else if (at("\\S")) {
      items += "\\S\\x{180E}";
      position_ += 2;
    } else if (at("\\w")) {
      items += kWordCharacters;
      position_ += 2;
    } else if (at("\\p") || at("\\P")) {
      append_property(items);
    } else if (at("[:punct:]")) {
      items += "\\p{P}\\p{S}";
      position_ += std::string_view("[:punct:]").size();
    } else if (at("\\")) {
      items += regex_.substr(position_, 2);
      position_ += 2;
    } else if (at("[:")) {
      const size_t end = regex_.find(":]", position_);
      if (end == std::string_view::npos) return refuse("has a class without end");
      items += regex_.substr(position_, end + 2 - position_);
      position_ = end + 2;
    } else if (at("[")) {
      Result<std::string> nested = read_class(depth + 1);
      if (!nested) return std::unexpected(nested.error());
      if (!nested->starts_with("[") || nested->starts_with("[^")) {
        return refuse("has a union with a negated class or an intersection");
      }
      items += nested->substr(1, nested->size() - 2);
    } else {
      items += regex_[position_++];
    }
    return {};
  }

  std::unexpected<Error> refuse(std::string_view what) const {
    return fail(Fault::kInvalid, "pre-tokenizer expression \"{}\" {} (at byte {})",
                regex_.substr(0, 200), what, position_);
  }

  std::string_view regex_;
  size_t position_ = 0;
};

}  // namespace

Result<std::string> translate_regex(std::string_view regex) {
  return Translator(regex).run();
}

}  // namespace inferno::token
