// Numbers that name things, as types of their own, so that a page cannot be passed for a request.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace inferno {

// An index into the model's vocabulary. A plain integer: token arrays are handed to kernels and
// files.
using TokenId = int32_t;

template <typename Tag, typename Number>
struct Id {
  Number value = 0;
  friend auto operator<=>(const Id&, const Id&) = default;
};

// Names a request within one process, in the order of arrival; never used again.
using RequestId = Id<struct RequestTag, uint64_t>;

// A page of KV memory: an index into the pool, 0 <= value < capacity.
using PageId = Id<struct PageTag, uint32_t>;

}  // namespace inferno

template <typename Tag, typename Number>
struct std::hash<inferno::Id<Tag, Number>> {
  size_t operator()(inferno::Id<Tag, Number> id) const { return std::hash<Number>{}(id.value); }
};
