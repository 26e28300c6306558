// Whether two models speak of the same tokens, so that one can guess for the other.
//
// Threads: pure. Cost: compares every token's text.
#pragma once

#include "base/result.h"
#include "token/vocabulary.h"

namespace inferno::engine {

// A token id has to mean the same text to both. Published models of one family pad their
// vocabularies differently, so one may have ids that the other lacks: unused ones at the end, as
// many as it likes, and up to so many others (as in llama.cpp).
inline constexpr int kMostVocabularyDifference = 128;

// kInvalid with the field "speculative-config" and the first difference when `draft` cannot guess
// for `target`.
Result<void> check_draft_vocabulary(const token::Vocabulary& target,
                                    const token::Vocabulary& draft);

}  // namespace inferno::engine
