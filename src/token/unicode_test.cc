#include "token/unicode.h"

#include <gtest/gtest.h>

#include "token/unicode_normalize.h"

namespace inferno::token {
namespace {

std::string repaired(std::string_view bytes) {
  std::string out;
  if (append_repaired(bytes, out) < bytes.size()) out += kReplacementCharacter;
  return out;
}

TEST(Utf8, EveryCharacterComesBack) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(code, text);
    const Utf8Char read = decode_utf8(text);
    ASSERT_EQ(read.state, Utf8State::kValid);
    ASSERT_EQ(read.code, code);
    ASSERT_EQ(read.size, text.size());
  }
}

TEST(Utf8, SurrogatesAndTooLargeValuesAreReplaced) {
  std::string text;
  append_utf8(0xD800, text);
  append_utf8(0x110000, text);
  EXPECT_EQ(text, "\uFFFD\uFFFD");
}

// The examples of Unicode 15, tables 3-8 to 3-11.
TEST(Utf8, EachMaximalSubpartIsOneReplacement) {
  EXPECT_EQ(repaired("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(repaired("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(repaired("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"
            "A\uFFFD\uFFFD"
            "B");
  EXPECT_EQ(repaired("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFDA");
}

TEST(Utf8, AnIncompleteEndIsLeft) {
  std::string out;
  EXPECT_EQ(append_repaired("a\xF0\x9F\x98", out), 1u);
  EXPECT_EQ(out, "a");
}

TEST(Utf8, CountsWhiteSpaceAtBothEnds) {
  EXPECT_EQ(leading_white_space(" \u3000\na "), 5u);
  EXPECT_EQ(trailing_white_space(" a\u3000\u00A0"), 5u);
  EXPECT_EQ(trailing_white_space("a\x80 "), 1u);
  EXPECT_EQ(trailing_white_space("\u2003"), 3u);
  EXPECT_EQ(leading_white_space(""), 0u);
}

TEST(Normalization, ComposesLettersMarksAndSyllables) {
  EXPECT_EQ(to_nfc("A\u030A"), "\u00C5");
  EXPECT_EQ(to_nfc("\u212B"), "\u00C5") << "Angstrom sign";
  EXPECT_EQ(to_nfc("a\u0323\u0302"), "\u1EAD");
  EXPECT_EQ(to_nfc("a\u0302\u0323"), "\u1EAD") << "marks are ordered first";
  EXPECT_EQ(to_nfc("\u1112\u1161\u11AB"), "\uD55C");
  EXPECT_EQ(to_nfc("\u0958"), "\u0915\u093C") << "excluded from composition";
  EXPECT_EQ(to_nfc("a\u0301\xFF\u0301"), "\u00E1\xFF\u0301") << "nothing composes across bad bytes";
  EXPECT_EQ(to_nfc("a\u0300\u0301"), "\u00E0\u0301") << "blocked by a mark of the same class";
}

TEST(Normalization, DecomposesToTheEnd) {
  EXPECT_EQ(to_nfd("\u1EAD"), U"a\u0323\u0302");
  EXPECT_EQ(to_nfd("\uD55C"), U"\u1112\u1161\u11AB");
}

TEST(Properties, LowerCase) {
  EXPECT_EQ(to_lower(U'Z'), U'z');
  EXPECT_EQ(to_lower(U'\u00C9'), U'\u00E9');
  EXPECT_EQ(to_lower(U'\u0100'), U'\u0101');
  EXPECT_EQ(to_lower(U'\u0101'), U'\u0101');
  EXPECT_EQ(to_lower(U'\U00010400'), U'\U00010428');
}

TEST(Properties, MarksPunctuationAndControls) {
  EXPECT_TRUE(is_nonspacing_mark(U'\u0301'));
  EXPECT_FALSE(is_nonspacing_mark(U'a'));
  EXPECT_TRUE(is_punctuation(U'$'));
  EXPECT_TRUE(is_punctuation(U'\u3002'));
  EXPECT_FALSE(is_punctuation(U'\u20AC'));
  EXPECT_TRUE(is_control(U'\u200B'));
  EXPECT_FALSE(is_control(U'\u4E2D'));
}

}  // namespace
}  // namespace inferno::token
