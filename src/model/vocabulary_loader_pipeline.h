// The parts of a tokenizer.json around its model: normalizer, pre-tokenizer and post-processor,
// translated into the fields of a token::Vocabulary. Internal to the loader.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "token/vocabulary.h"

namespace inferno::model {

// Whether the pre-tokenizer or, without one, the decoder spells bytes as GPT-2 does.
bool is_byte_level(const boost::json::object& tokenizer);

// Reads all three parts. Requires: kind and tokens are set. kInvalid, naming the part and its type,
// for what a Vocabulary cannot express.
Result<void> read_pipeline(const boost::json::object& tokenizer, std::string_view label,
                           token::Vocabulary& vocabulary);

}  // namespace inferno::model
