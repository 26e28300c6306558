#include "token/jinja/text.h"

#include <gmock/gmock.h>

namespace inferno::token::jinja {
namespace {

using testing::ElementsAre;

TEST(Text, CountsABrokenByteAsOneCodePoint) {
  EXPECT_EQ(count_code_points("a\xFF"), 2u);
  EXPECT_EQ(count_code_points("\xE4\xBD"), 2u);          // cut short
  EXPECT_EQ(count_code_points("\xC0\x80"), 2u);          // overlong
  EXPECT_EQ(count_code_points("\xED\xA0\x80"), 3u);      // surrogate
  EXPECT_EQ(count_code_points("\xF4\x90\x80\x80"), 4u);  // beyond 0x10FFFF
  EXPECT_EQ(count_code_points("aé你🙂"), 4u);
}

TEST(Text, KeepsBrokenBytes) {
  EXPECT_EQ(upper("a\xFF"
                  "b"),
            "A\xFF"
            "B");
  EXPECT_EQ(quote("\xFF'"), "\"\xFF'\"");
  EXPECT_EQ(strip(" \xFF "), "\xFF");
  EXPECT_EQ(title("a\xFF"
                  "b"),
            "A\xFF"
            "B");
}

TEST(Text, WritesEveryCodePoint) {
  for (char32_t code : {U'a', U'\u007F', U'\u0080', U'\u07FF', U'\u0800', U'\uFFFD', U'\U00010000',
                        U'\U0010FFFF'}) {
    std::string out;
    append_code_point(out, code);
    size_t at = 0;
    EXPECT_EQ(decode_at(out, at), code);
    EXPECT_EQ(at, out.size());
  }
  std::string out;
  append_code_point(out, 0xD800);
  append_code_point(out, 0x110000);
  EXPECT_EQ(out, "\uFFFD\uFFFD");
}

TEST(Text, SplitsLikePython) {
  EXPECT_THAT(split_words(" a  b c ", std::nullopt, Side::kLeft), ElementsAre("a", "b", "c"));
  EXPECT_THAT(split_words(" a  b c ", 1, Side::kLeft), ElementsAre("a", "b c "));
  EXPECT_THAT(split_words(" a  b c ", 1, Side::kRight), ElementsAre(" a  b", "c"));
  EXPECT_THAT(split_words("\u3000x\u00A0y", std::nullopt, Side::kLeft), ElementsAre("x", "y"));
  EXPECT_THAT(split_words("  ", std::nullopt, Side::kLeft), ElementsAre());
  EXPECT_THAT(split_at("a,b,,c", ",", std::nullopt, Side::kLeft), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(split_at("a,b,,c", ",", 1, Side::kRight), ElementsAre("a,b,", "c"));
  EXPECT_THAT(split_at("", ",", std::nullopt, Side::kLeft), ElementsAre(""));
  EXPECT_THAT(split_lines("a\r\nb\rc\n\nd\u2028e"), ElementsAre("a", "b", "c", "", "d", "e"));
  EXPECT_THAT(split_lines("a\nb\n", LineEnds::kKeep), ElementsAre("a\n", "b\n"));
}

TEST(Text, ReplacesLikePython) {
  EXPECT_EQ(replace("aaa", "a", "bb", 2), "bbbba");
  EXPECT_EQ(replace("aé", "", "-"), "-a-é-");
  EXPECT_EQ(replace("ab", "", "-", 1), "-ab");
  EXPECT_EQ(replace("ab", "", "-", 0), "ab");
  EXPECT_EQ(replace("abab", "ba", ""), "ab");
  EXPECT_EQ(count_occurrences("aaaa", "aa"), 2u);
  EXPECT_EQ(count_occurrences("é", ""), 2u);
}

TEST(Text, StripsOnlyTheGivenSide) {
  EXPECT_EQ(strip("xax", Side::kLeft, "x"), "ax");
  EXPECT_EQ(strip("xax", Side::kRight, "x"), "xa");
  EXPECT_EQ(strip("éaé", Side::kBoth, "é"), "a");
  EXPECT_EQ(strip("aaa", Side::kBoth, "a"), "");
  EXPECT_EQ(strip("\u2003a\u0085"), "a");
}

TEST(Text, ChangesCaseBeyondAscii) {
  EXPECT_EQ(upper("straße ﬃ ñ"), "STRASSE FFI Ñ");
  EXPECT_EQ(lower("ÀΣ ΑΣΑ"), "àς ασα");
  EXPECT_EQ(capitalize("éCOLE"), "École");
  EXPECT_EQ(title("it's ßa"), "It'S Ssa");
  EXPECT_EQ(swap_case("aÄ"), "Aä");
}

}  // namespace
}  // namespace inferno::token::jinja
