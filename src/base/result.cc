#include "base/result.h"

namespace inferno {

std::string_view name_of(Fault fault) {
  switch (fault) {
    case Fault::kInvalid:
      return "invalid";
    case Fault::kTooLong:
      return "too_long";
    case Fault::kNotFound:
      return "not_found";
    case Fault::kOverloaded:
      return "overloaded";
    case Fault::kCancelled:
      return "cancelled";
    case Fault::kDeadline:
      return "deadline";
    case Fault::kPeerGone:
      return "peer_gone";
    case Fault::kCorrupt:
      return "corrupt";
    case Fault::kInternal:
      return "internal";
  }
  return "internal";
}

}  // namespace inferno
