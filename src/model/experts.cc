#include "model/experts.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/sizes.h"
#include "kernel/formats.h"
#include "model/activate.h"

namespace inferno::model {
namespace {

using kernel::ActivationKind;
using kernel::layout::kPanelPair;
using kernel::layout::kRoundedTileRows;

// Outputs of a tile for each row of the largest batch: results of a few panels stay in the cache
// between the product and what is done with them; a few rows have room for more panels.
constexpr size_t kTileOutputs = 64;

// Rows that one thread routes, or slots it fills, at a time at least.
constexpr int kRouteGrain = 8;
constexpr int kGatherGrain = 16;

constexpr int kTileInputs = kernel::layout::kRoundedK;

size_t slot_count(const ModelConfig& config, int rows) {
  return as_size(rows) * as_size(config.expert_used_count);
}

ExpertGroups::Limits limits_of(const ModelConfig& config, int rows) {
  return {.expert_count = config.expert_count,
          .choices = static_cast<int>(slot_count(config, rows))};
}

// Rows from `first` on.
kernel::QuantizedRows from_row(const kernel::QuantizedRows& x, int first, int count) {
  const size_t row = as_size(first), k = as_size(x.k);
  kernel::QuantizedRows part = x;
  part.q += row * k;
  part.scale += row * (k / as_size(x.block));
  part.sum += row * (k / 16);
  part.rows = count;
  return part;
}

void copy_row(const kernel::QuantizedRows& from, int row, const kernel::QuantizedRows& to,
              int slot) {
  const kernel::QuantizedRows source = from_row(from, row, 1);
  const kernel::QuantizedRows target = from_row(to, slot, 1);
  const size_t k = as_size(from.k);
  std::memcpy(target.q, source.q, k);
  std::memcpy(target.scale, source.scale, k / as_size(from.block) * sizeof(float));
  std::memcpy(target.sum, source.sum, k / 16 * sizeof(int16_t));
}

// Rows from `first` on: one row, or more where a tile begins there.
kernel::RoundedRows from_row(const kernel::RoundedRows& x, int first, int count) {
  const size_t tiles =
      kernel::rounded_bytes(first / kRoundedTileRows * kRoundedTileRows, x.k) / sizeof(*x.x);
  return {
      .x = x.x + tiles + as_size(first % kRoundedTileRows * kTileInputs), .rows = count, .k = x.k};
}

void copy_row(const kernel::RoundedRows& from, int row, const kernel::RoundedRows& to, int slot) {
  const uint16_t* source = from_row(from, row, 1).x;
  uint16_t* target = from_row(to, slot, 1).x;
  for (int k = 0; k < from.k; k += kTileInputs) {
    const size_t tile = as_size(k * kRoundedTileRows);
    std::memcpy(target + tile, source + tile, kTileInputs * sizeof(*target));
  }
}

// Panels of a matrix as a matrix of their own.
kernel::PackedMatrix panels_of(const kernel::PackedMatrix& matrix, Range panels) {
  kernel::PackedMatrix part = matrix;
  part.data += as_size(panels.begin) * matrix.panel_bytes;
  part.n = std::min(panels.end * 16, matrix.n) - panels.begin * 16;
  return part;
}

}  // namespace

Experts::Buffers Experts::lay_out(const ModelConfig& config, int rows, int thread_count,
                                  Carver& carver) {
  Buffers at{};
  if (config.expert_count == 0) return at;
  const size_t slots = slot_count(config, rows);
  const size_t width = as_size(config.width);
  const size_t widest = std::max(width, as_size(config.expert_width));
  const RowsRoom room{.rows = slots, .width = widest};
  const int tile_rows = ExpertGroups::most_tile_rows(limits_of(config, rows));
  at.logits = carver.take<float>(as_size(rows) * as_size(config.expert_count));
  at.choices = carver.take<ExpertChoice>(slots);
  at.gathered = carver.take<float>(slots * width);
  at.rounded = take_rounded(carver, {.rows = as_size(tile_rows), .width = widest});
  at.rows32 = take_quantized(carver, room, 32);
  at.rows256 = take_quantized(carver, room, 256);
  at.activated = carver.take<float>(slots * as_size(config.expert_width));
  at.tiles = carver.take<float>(as_size(thread_count) * as_size(rows) * kTileOutputs);
  at.scratch = carver.take<uint8_t>(as_size(thread_count) * kernel::kMatmulScratchBytes);
  at.most_rows = rows;
  return at;
}

Experts::Experts(const Parts& parts, const Buffers& buffers) : parts_(parts), buffers_(buffers) {
  const ModelConfig& c = parts.config;
  rule_ = {.expert_count = c.expert_count,
           .used_count = c.expert_used_count,
           .weighting = c.expert_weighting};
  groups_.reserve(limits_of(c, buffers.most_rows));
}

void Experts::Forms::include(const Linear& linear) {
  const ActivationKind kind = kernel::activation_kind(linear.matrix.format);
  floats |= kind == ActivationKind::kFloat;
  rounded |= kind == ActivationKind::kRounded;
  block32 |= kind == ActivationKind::kBlock32;
  block256 |= kind == ActivationKind::kBlock256;
}

void Experts::add(const LayerWeights& layer, const ActivationRows& x, int rows, float* hidden) {
  CHECK(rows <= buffers_.most_rows, "{} rows, room for {}", rows, buffers_.most_rows);
  hidden_ = hidden;
  choose(rows);
  is_gathered_ = rows > 1;
  if (is_gathered_) {
    gather(layer, x);
  } else {
    input_ = x;
  }
  gate_and_up(layer);
  convert_activated(layer);
  down(layer);
}

void Experts::choose(int rows) {
  parts_.pool.parallel_for(rows, kRouteGrain, [&](Range range, int) {
    for (int row = range.begin; row < range.end; ++row) {
      route(rule_, buffers_.logits + as_size(row) * as_size(rule_.expert_count),
            buffers_.choices + as_size(row) * as_size(rule_.used_count));
    }
  });
  const int panel_count = (parts_.config.expert_width + 15) / 16;
  groups_.assign({buffers_.choices, slot_count(parts_.config, rows)}, rule_.used_count,
                 panel_count);
}

// Copies rows to the slots of their experts, in the forms that those want.
void Experts::gather(const LayerWeights& layer, const ActivationRows& x) {
  Forms forms;
  for (const ExpertGroups::Group& group : groups_.groups()) {
    forms.include(layer.experts[as_size(group.expert)].gate);
    forms.include(layer.experts[as_size(group.expert)].up);
  }
  input_ = rows_from(buffers_.gathered, parts_.config.width);
  const std::span<const ExpertGroups::Slot> slots = groups_.slots();
  const size_t width = as_size(parts_.config.width);
  parts_.pool.parallel_for(static_cast<int>(slots.size()), kGatherGrain, [&](Range range, int) {
    for (int slot = range.begin; slot < range.end; ++slot) {
      const int row = slots[as_size(slot)].row;
      if (forms.floats) {
        std::copy_n(x.floats + as_size(row) * width, width,
                    buffers_.gathered + as_size(slot) * width);
      }
      if (forms.rounded) {
        copy_row(x.rounded, row, input_.rounded, slots[as_size(slot)].tile_row);
      }
      if (forms.block32) copy_row(x.block32, row, input_.block32, slot);
      if (forms.block256) copy_row(x.block256, row, input_.block256, slot);
    }
  });
}

// The forms of all slots, whose floats these are.
ActivationRows Experts::rows_from(const float* floats, int width) const {
  ActivationRows rows{.floats = floats,
                      .rounded = buffers_.rounded,
                      .block32 = buffers_.rows32,
                      .block256 = buffers_.rows256};
  rows.rounded.k = rows.block32.k = rows.block256.k = width;
  rows.rounded.rows = rows.block32.rows = rows.block256.rows =
      static_cast<int>(groups_.slots().size());
  return rows;
}

void Experts::gate_and_up(const LayerWeights& layer) {
  parts_.pool.parallel_for(groups_.unit_count(), 1, [&](Range units, int worker) {
    for (const ExpertGroups::Group& group : groups_.groups()) {
      Range panels = groups_.panels_in(group, units);
      while (panels.begin < panels.end) {
        const Range tile = next_tile(group, panels);
        activate_part(layer.experts[as_size(group.expert)], group, tile, worker);
        panels.begin = tile.end;
      }
    }
  });
}

void Experts::activate_part(const Expert& expert, const ExpertGroups::Group& group, Range panels,
                            int worker) {
  const size_t width = as_size(parts_.config.expert_width);
  const int begin = panels.begin * 16;
  const int count = std::min(panels.end * 16, expert.gate.outputs()) - begin;
  float* gate = buffers_.activated + as_size(group.first_slot) * width + begin;
  float* up = tile_of(worker);
  Part part{.linear = &expert.gate,
            .panels = panels,
            .x = &input_,
            .first_row = is_gathered_ ? group.first_slot : 0,
            .tile_row = is_gathered_ ? groups_.slots_of(group).front().tile_row : 0,
            .rows = group.count};
  multiply(part, gate, width, worker);
  part.linear = &expert.up;
  multiply(part, up, as_size(count), worker);
  for (int row = 0; row < group.count; ++row) {
    activate(parts_.table, parts_.config,
             {.gate = gate + as_size(row) * width,
              .up = up + as_size(row) * as_size(count),
              .count = count});
  }
}

void Experts::convert_activated(const LayerWeights& layer) {
  Forms forms;
  for (const ExpertGroups::Group& group : groups_.groups())
    forms.include(layer.experts[as_size(group.expert)].down);
  activated_ = rows_from(buffers_.activated, parts_.config.expert_width);
  if (!forms.rounded && !forms.block32 && !forms.block256) return;
  const std::span<const ExpertGroups::Slot> slots = groups_.slots();
  const size_t width = as_size(parts_.config.expert_width);
  parts_.pool.parallel_for(static_cast<int>(slots.size()), 1, [&](Range range, int) {
    for (int slot = range.begin; forms.rounded && slot < range.end; ++slot) {
      parts_.table.round_rows(buffers_.activated + as_size(slot) * width, width, 0, 1,
                              from_row(activated_.rounded, slots[as_size(slot)].tile_row, 1));
    }
    for (const kernel::QuantizedRows* rows : {&activated_.block32, &activated_.block256}) {
      if (!(rows->block == 32 ? forms.block32 : forms.block256)) continue;
      parts_.table.quantize_rows(buffers_.activated, width, range.begin, range.end, *rows);
    }
  });
}

void Experts::down(const LayerWeights& layer) {
  const int panel_count = (parts_.config.width + 15) / 16;
  parts_.pool.parallel_for(panel_count, kPanelPair, [&](Range all, int worker) {
    for (const ExpertGroups::Group& group : groups_.groups()) {
      Range panels = all;
      while (panels.begin < panels.end) {
        const Range tile = next_tile(group, panels);
        add_part(layer.experts[as_size(group.expert)].down, group, tile, worker);
        panels.begin = tile.end;
      }
    }
  });
}

// hidden += weight * (a Wdown) for a group's rows and some outputs.
void Experts::add_part(const Linear& linear, const ExpertGroups::Group& group, Range panels,
                       int worker) {
  const int begin = panels.begin * 16;
  const int count = std::min(panels.end * 16, linear.outputs()) - begin;
  float* tile = tile_of(worker);
  const Part part{.linear = &linear,
                  .panels = panels,
                  .x = &activated_,
                  .first_row = group.first_slot,
                  .tile_row = groups_.slots_of(group).front().tile_row,
                  .rows = group.count};
  multiply(part, tile, as_size(count), worker);
  for (const ExpertGroups::Slot& slot : groups_.slots_of(group)) {
    parts_.table.multiply_scalar(tile, slot.weight, count);
    parts_.table.add(hidden_ + as_size(slot.row) * as_size(parts_.config.width) + begin, tile,
                     count);
    tile += count;
  }
}

// y [part.rows, outputs of part.panels] = x W^T + bias.
void Experts::multiply(const Part& part, float* y, size_t stride, int worker) const {
  const Linear& linear = *part.linear;
  const kernel::PackedMatrix matrix = panels_of(linear.matrix, part.panels);
  const bool wants256 = kernel::activation_kind(matrix.format) == ActivationKind::kBlock256;
  const kernel::QuantizedRows quantized =
      from_row(wants256 ? part.x->block256 : part.x->block32, part.first_row, part.rows);
  const kernel::RoundedRows rounded = from_row(part.x->rounded, part.tile_row, part.rows);
  parts_.table.matmul(matrix,
                      {.floats = part.x->floats + as_size(part.first_row) * as_size(matrix.k),
                       .rounded = &rounded,
                       .quantized = &quantized,
                       .rows = part.rows,
                       .prefetch_bytes = parts_.prefetch_bytes},
                      {.y = y,
                       .stride = stride,
                       .panel_begin = 0,
                       .panel_end = part.panels.end - part.panels.begin,
                       .accumulate = false},
                      buffers_.scratch + as_size(worker) * kernel::kMatmulScratchBytes);
  if (linear.bias.empty()) return;
  for (int row = 0; row < part.rows; ++row) {
    parts_.table.add(y + as_size(row) * stride,
                     linear.bias.data() + as_size(part.panels.begin) * 16, matrix.n);
  }
}

float* Experts::tile_of(int worker) const {
  return buffers_.tiles + as_size(worker) * as_size(buffers_.most_rows) * kTileOutputs;
}

Range Experts::next_tile(const ExpertGroups::Group& group, Range panels) const {
  const size_t outputs = as_size(buffers_.most_rows) * kTileOutputs / as_size(group.count);
  const size_t room = std::min(outputs / 16, as_size(panels.end - panels.begin));
  return {panels.begin, panels.begin + static_cast<int>(room)};
}

}  // namespace inferno::model
