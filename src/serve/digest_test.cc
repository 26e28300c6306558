#include "serve/digest.h"

#include <gtest/gtest.h>

namespace inferno::serve {
namespace {

TEST(Digest, TellsWhereOneTextEnds) {
  EXPECT_EQ(digest_of({"ab", "c"}), digest_of({"ab", "c"}));
  EXPECT_NE(digest_of({"ab", "c"}), digest_of({"a", "bc"}));
  EXPECT_NE(digest_of({"a"}), digest_of({"a", ""}));
}

TEST(Digest, IsSpelledHighHalfFirst) {
  EXPECT_EQ(to_string({1, 0xabc}), "00000000000000010000000000000abc");
}

}  // namespace
}  // namespace inferno::serve
