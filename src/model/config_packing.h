// "quantization_config" of a config.json: which packing of weights it asks for. Internal to the
// reader of config.json.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "base/result.h"
#include "model/config.h"

namespace inferno::model {

// Reads the object. kInvalid, naming key, value and what is supported, for another method, other
// numbers of bits, other layouts, and for transforms of activations that are not computed here.
Result<WeightPacking> packing_from_json(const boost::json::object& json, std::string_view label);

}  // namespace inferno::model
