#include "model/carver.h"

namespace inferno::model {

kernel::QuantizedRows take_quantized(Carver& carver, RowsRoom room, int block) {
  const auto blocks = room.width / static_cast<size_t>(block) + 1;
  return {.q = carver.take<int8_t>(room.rows * room.width),
          .scale = carver.take<float>(room.rows * blocks),
          .sum = carver.take<int16_t>(room.rows * (room.width / 16 + 1)),
          .rows = 0,
          .k = 0,
          .block = block};
}

kernel::RoundedRows take_rounded(Carver& carver, RowsRoom room) {
  const size_t bytes =
      kernel::rounded_bytes(static_cast<int>(room.rows), static_cast<int>(room.width));
  return {.x = carver.take<uint16_t>(bytes / sizeof(uint16_t)), .rows = 0, .k = 0};
}

}  // namespace inferno::model
