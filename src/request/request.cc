#include "request/request.h"

namespace inferno::request {

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kAbort:
      return "abort";
    case FinishReason::kError:
      return "error";
  }
  return "error";
}

std::string_view name_of(ServiceClass service_class) {
  switch (service_class) {
    case ServiceClass::kInteractive:
      return "interactive";
    case ServiceClass::kStandard:
      return "standard";
    case ServiceClass::kBatch:
      return "batch";
  }
  return "standard";
}

std::optional<ServiceClass> service_class_named(std::string_view name) {
  for (const ServiceClass each :
       {ServiceClass::kInteractive, ServiceClass::kStandard, ServiceClass::kBatch}) {
    if (name_of(each) == name) return each;
  }
  return std::nullopt;
}

}  // namespace inferno::request
