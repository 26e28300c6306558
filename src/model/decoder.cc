#include "model/decoder.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/sizes.h"
#include "kernel/formats.h"
#include "model/activate.h"

namespace inferno::model {
namespace {

using kernel::layout::kPanelPair;

// Rows in blocks of 256 that the AMX products arrange before they begin, as often as a product has
// pieces (kernel/isa/matmul_amx.h).
bool are_arranged(const kernel::KernelTable& table, const Linear& linear, int rows) {
  constexpr int kLeast = 9;
  return table.isa == kernel::Isa::kAmx && rows >= kLeast &&
         kernel::activation_kind(linear.matrix.format) == kernel::ActivationKind::kBlock256;
}

// Panels that pieces of such products are multiples of: a quarter of a thread's share, which leaves
// each thread two pieces (base/thread_pool.h). On a Xeon with AMX, Qwen2.5 1.5B Q4_K_M, 512 rows
// take 0.83 and 32 rows 0.91 of the time that they take in multiples of a pair; bfloat16, which
// arranges nothing, would take 1.1 times as long.
int grain_of_few_pieces(int panels, int threads) {
  constexpr int kGrainsPerThread = 4;
  return std::max(1, panels / (kGrainsPerThread * threads * kPanelPair)) * kPanelPair;
}

constexpr size_t kScratchBytes =
    std::max(kernel::kMatmulScratchBytes, kernel::kAttentionScratchBytes);

// Where each activation of a decoder lies; all null before there is memory.
struct Layout {
  float* hidden;
  float* normed;
  float* qkv;
  float* attended;
  float* gate;
  float* up;
  float* projected;
  float* angles;
  kernel::RoundedRows rounded;
  kernel::QuantizedRows rows32;
  kernel::QuantizedRows rows256;
  float* states;
  float* carried;
  uint8_t* scratch;
  Experts::Buffers experts;
  size_t bytes;  // of all of them
};

// States of attention to have room for: two rows of the longest context, split into their spans. In
// shorter contexts that is room for more rows; where it does not suffice, rows are not split.
int state_count(const ModelConfig& c, int thread_count) {
  const int spans = std::min(kernel::kMaxSpans, c.context_length / kernel::kSpanPositions + 1);
  return thread_count > 1 ? 2 * c.head_count * spans : 0;
}

Layout lay_out(const ModelConfig& c, const DecoderLimits& limits, int thread_count, uint8_t* base) {
  const size_t rows = as_size(std::max(limits.batch_tokens, limits.logit_rows));
  const size_t query_width = as_size(c.head_count) * as_size(c.head_width);
  const size_t kv_width = as_size(c.kv_head_count) * as_size(c.head_width);
  const size_t feed_forward = c.has_dense_layer() ? as_size(c.feed_forward_width) : 0;
  const size_t widest = std::max({as_size(c.width), query_width, feed_forward});
  Carver carver(base);
  const RowsRoom room{.rows = rows, .width = widest};
  Layout at{};
  at.hidden = carver.take<float>(rows * as_size(c.width));
  at.normed = carver.take<float>(rows * as_size(c.width));
  at.qkv = carver.take<float>(rows * (query_width + 2 * kv_width));
  at.attended = carver.take<float>(rows * query_width);
  at.gate = carver.take<float>(rows * feed_forward);
  at.up = carver.take<float>(rows * feed_forward);
  at.projected = carver.take<float>(c.has_post_norms ? rows * as_size(c.width) : 0);
  at.angles = carver.take<float>(rows * 2 * as_size(c.rope_width));
  at.rounded = take_rounded(carver, room);
  at.rows32 = take_quantized(carver, room, 32);
  at.rows256 = take_quantized(carver, room, 256);
  at.states = carver.take<float>(as_size(state_count(c, thread_count)) *
                                 as_size(c.head_width + kernel::kStateHeaderFloats));
  at.carried = carver.take<float>(as_size(limits.carry_rows) * as_size(c.width));
  at.scratch = carver.take<uint8_t>(kScratchBytes * as_size(thread_count));
  at.experts = Experts::lay_out(c, limits.batch_tokens, thread_count, carver);
  at.bytes = carver.used();
  return at;
}

// Layers with a window rotate by a base of their own, which is never scaled (Gemma 3), or like all
// others.
bool has_own_local_rope(const ModelConfig& config) {
  return config.architecture == Architecture::kGemma3;
}

}  // namespace

Decoder::Decoder(const Parts& parts)
    : weights_(parts.weights),
      table_(parts.table),
      pool_(parts.pool),
      store_(parts.store),
      prefetch_bytes_(parts.prefetch_bytes),
      rope_global_(config(), config().rope_base, config().rope_scaling, weights_.rope_factors()),
      rope_local_(config(), config().rope_base_local,
                  has_own_local_rope(config()) ? RopeScaling{} : config().rope_scaling,
                  has_own_local_rope(config()) ? std::vector<float>() : weights_.rope_factors()) {}

Result<std::unique_ptr<Decoder>> Decoder::create(const Parts& parts, const DecoderLimits& limits) {
  auto decoder = std::unique_ptr<Decoder>(new Decoder(parts));
  if (auto done = decoder->allocate(limits); !done) return std::unexpected(done.error());
  return decoder;
}

Result<void> Decoder::allocate(const DecoderLimits& limits) {
  CHECK(limits.batch_tokens >= 1 && limits.logit_rows >= 1, "{} tokens, {} rows",
        limits.batch_tokens, limits.logit_rows);
  limits_ = limits;
  auto buffer =
      Buffer::allocate(activation_bytes_for(config(), limits, pool_.size()), "activations");
  if (!buffer) return std::unexpected(buffer.error());
  activations_ = std::move(*buffer);
  const Layout at = lay_out(config(), limits, pool_.size(), activations_.data());
  hidden_ = at.hidden;
  normed_ = at.normed;
  qkv_ = at.qkv;
  attended_ = at.attended;
  gate_ = at.gate;
  up_ = at.up;
  projected_ = at.projected;
  angles_ = at.angles;
  rounded_ = at.rounded;
  rows32_ = at.rows32;
  rows256_ = at.rows256;
  states_ = at.states;
  carried_ = at.carried;
  scratch_ = at.scratch;
  if (config().expert_count > 0) {
    experts_.emplace(
        Experts::Parts{
            .config = config(), .table = table_, .pool = pool_, .prefetch_bytes = prefetch_bytes_},
        at.experts);
  }
  segments_.reserve(as_size(std::max(limits.batch_tokens, limits.logit_rows)));
  const ModelConfig& c = config();
  AttentionPlan::Shape shape{.kv_head_count = c.kv_head_count,
                             .group = c.head_count / c.kv_head_count,
                             .thread_count = pool_.size(),
                             .window = 0};
  const int states = state_count(c, pool_.size());
  for (Batch* const batch : {&all_, &whole_}) {
    shape.window = 0;
    batch->plan_global.reserve(shape, limits.batch_tokens, states);
    shape.window = c.sliding_window;
    if (c.sliding_window > 0) batch->plan_local.reserve(shape, limits.batch_tokens, states);
  }
  return {};
}

size_t Decoder::activation_bytes_for(const ModelConfig& config, const DecoderLimits& limits,
                                     int thread_count) {
  return lay_out(config, limits, thread_count, nullptr).bytes;
}

kv::KvShape Decoder::kv_shape(const ModelConfig& config, kernel::KvType type) {
  return {.layer_count = config.layer_count,
          .kv_head_count = config.kv_head_count,
          .head_width = config.head_width,
          .type = type};
}

void Decoder::forward(std::span<const ForwardPiece> pieces) {
  const int layer_count = config().layer_count;
  const auto is_whole = [&](const ForwardPiece& piece) {
    return piece.layers.begin == 0 && piece.layers.end >= layer_count;
  };
  const auto carried = std::ranges::find_if_not(pieces, is_whole);
  const auto whole_count = as_size(static_cast<int>(carried - pieces.begin()));
  Range carried_layers{0, layer_count};
  if (whole_count < pieces.size()) {
    carried_layers = {carried->layers.begin, std::min(carried->layers.end, layer_count)};
    for (const ForwardPiece& piece : pieces.subspan(whole_count)) {
      CHECK(piece.layers.begin == carried->layers.begin && piece.layers.end == carried->layers.end,
            "layers {} to {} beside {} to {}", piece.layers.begin, piece.layers.end,
            carried->layers.begin, carried->layers.end);
    }
  }
  cut_into_segments(pieces);
  begin(all_, pieces);
  if (whole_count < pieces.size()) begin(whole_, pieces.first(whole_count));
  layer_ = &all_;
  compute_angles();
  embed(pieces);
  for (int layer = 0; layer < layer_count; ++layer) {
    layer_ = layer >= carried_layers.begin && layer < carried_layers.end ? &all_ : &whole_;
    if (layer_->row_count == 0) continue;
    attention_block(layer, pieces);
    ffn_block(layer);
  }
  layer_ = &all_;
  if (carried_layers.end < layer_count) keep_carried(pieces.subspan(whole_count));
}

void Decoder::cut_into_segments(std::span<const ForwardPiece> pieces) {
  segments_.clear();
  int row = 0;
  for (size_t piece = 0; piece < pieces.size(); ++piece) {
    int left = static_cast<int>(pieces[piece].tokens.size());
    int position = pieces[piece].first_position;
    CHECK(left <= limits_.batch_tokens - row, "{} more tokens than {} in a batch of {}", left, row,
          limits_.batch_tokens);
    while (left > 0) {
      const int room = kernel::kPagePositions - position % kernel::kPagePositions;
      const int count = std::min(left, room);
      segments_.push_back(
          {.piece = static_cast<int>(piece), .row = row, .count = count, .position = position});
      row += count;
      position += count;
      left -= count;
    }
  }
}

// Makes a batch of the first pieces.
void Decoder::begin(Batch& batch, std::span<const ForwardPiece> pieces) {
  batch.row_count = 0;
  for (const ForwardPiece& piece : pieces)
    batch.row_count += static_cast<int>(piece.tokens.size());
  const auto end = std::ranges::find_if(
      segments_, [&](const Segment& segment) { return segment.row >= batch.row_count; });
  batch.segments = {segments_.begin(), end};
  batch.plan_global.begin(pieces);
  if (config().sliding_window > 0) batch.plan_local.begin(pieces);
}

// Tokens become rows; those of carried pieces that have come some way are rows already.
void Decoder::embed(std::span<const ForwardPiece> pieces) {
  pool_.parallel_for(static_cast<int>(segments_.size()), 1, [&](Range range, int) {
    for (int i = range.begin; i < range.end; ++i) {
      const Segment& segment = segments_[as_size(i)];
      embed(segment, pieces[as_size(segment.piece)]);
    }
  });
}

void Decoder::embed(const Segment& segment, const ForwardPiece& piece) {
  const size_t width = as_size(config().width);
  float* const rows = hidden_ + as_size(segment.row) * width;
  const int index = segment.position - piece.first_position;
  if (piece.layers.begin > 0) {
    const float* const kept = carried_ + as_size(piece.carry_row + index) * width;
    std::copy_n(kept, as_size(segment.count) * width, rows);
    return;
  }
  for (int r = 0; r < segment.count; ++r) {
    float* const row = rows + as_size(r) * width;
    weights_.embed(piece.tokens[as_size(index + r)], row);
    if (config().embedding_scale != 1.0f) {
      table_.multiply_scalar(row, config().embedding_scale, config().width);
    }
  }
}

// Keeps the rows of the carried pieces, the last ones of the batch, for the next call.
void Decoder::keep_carried(std::span<const ForwardPiece> pieces) {
  const size_t width = as_size(config().width);
  const float* rows = hidden_ + as_size(whole_.row_count) * width;
  for (const ForwardPiece& piece : pieces) {
    const auto count = static_cast<int>(piece.tokens.size());
    CHECK(piece.carry_row >= 0 && piece.carry_row <= limits_.carry_rows - count,
          "rows {} and {} more of {}", piece.carry_row, count, limits_.carry_rows);
    std::copy_n(rows, as_size(count) * width, carried_ + as_size(piece.carry_row) * width);
    rows += as_size(count) * width;
  }
}

void Decoder::compute_angles() {
  const size_t pairs = as_size(rope_global_.pair_count());
  const bool has_local = config().sliding_window > 0;
  pool_.parallel_for(static_cast<int>(segments_.size()), 1, [&](Range range, int) {
    for (int i = range.begin; i < range.end; ++i) {
      const Segment& segment = segments_[as_size(i)];
      for (int r = 0; r < segment.count; ++r) {
        float* angles = angles_ + as_size(segment.row + r) * 4 * pairs;
        rope_global_.angles(segment.position + r, angles, angles + pairs);
        if (has_local) {
          rope_local_.angles(segment.position + r, angles + 2 * pairs, angles + 3 * pairs);
        }
      }
    }
  });
}

void Decoder::attention_block(int layer, std::span<const ForwardPiece> pieces) {
  const LayerWeights& w = weights_.layer(layer);
  const size_t query_width = as_size(w.q.outputs());
  const size_t kv_width = as_size(w.k.outputs());
  const size_t stride = query_width + 2 * kv_width;
  const Linear* const consumers[] = {&w.q, &w.k, &w.v};
  norm_input(hidden_, w.attention_norm, layer_->row_count, consumers);
  const Product products[] = {
      {.linear = &w.q, .y = qkv_, .stride = stride, .accumulate = false},
      {.linear = &w.k, .y = qkv_ + query_width, .stride = stride, .accumulate = false},
      {.linear = &w.v, .y = qkv_ + query_width + kv_width, .stride = stride, .accumulate = false}};
  multiply(products, layer_->row_count);
  rotate_and_store(layer, pieces);
  attend(layer, pieces);
  const Linear* const output[] = {&w.output};
  prepare_input(attended_, layer_->row_count, output);
  project_residual(w.output, w.post_attention_norm);
}

void Decoder::rotate_and_store(int layer, std::span<const ForwardPiece> pieces) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layer(layer);
  const size_t width = as_size(c.head_width);
  const size_t query_width = as_size(c.head_count) * width;
  const size_t kv_width = as_size(c.kv_head_count) * width;
  const size_t stride = query_width + 2 * kv_width;
  const size_t pairs = as_size(rope_global_.pair_count());
  const auto rotate =
      c.rope_layout == RopeLayout::kInterleaved ? table_.rope_interleaved : table_.rope_neox;
  pool_.parallel_for(static_cast<int>(layer_->segments.size()), 1, [&](Range range, int) {
    for (int i = range.begin; i < range.end; ++i) {
      const Segment& segment = layer_->segments[as_size(i)];
      for (int r = 0; r < segment.count; ++r) {
        float* row = qkv_ + as_size(segment.row + r) * stride;
        const float* cos =
            angles_ + as_size(segment.row + r) * 4 * pairs + (c.is_local(layer) ? 2 * pairs : 0);
        for (int head = 0; head < c.head_count + c.kv_head_count; ++head) {
          float* values = row + as_size(head) * width;
          const std::vector<float>& norm = head < c.head_count ? w.q_norm : w.k_norm;
          if (!norm.empty()) {
            table_.rms_norm(values, norm.data(), c.rms_norm_eps, c.head_width, values);
          }
          rotate(values, cos, cos + pairs, c.rope_width);
        }
      }
      const float* keys = qkv_ + as_size(segment.row) * stride + query_width;
      for (int head = 0; head < c.kv_head_count; ++head) {
        table_.store_kv({keys + as_size(head) * width, keys + kv_width + as_size(head) * width,
                         stride, segment.count, segment.position, c.head_width, store_.shape().type,
                         store_.base(layer, head), store_.page_stride(),
                         pieces[as_size(segment.piece)].pages.data()});
      }
    }
  });
}

AttentionPlan& Decoder::attention_plan(int layer) {
  return config().is_local(layer) ? layer_->plan_local : layer_->plan_global;
}

kernel::AttentionInput Decoder::attention_input(int layer, const AttentionPlan::Item& item,
                                                const ForwardPiece& piece) const {
  const ModelConfig& c = config();
  const size_t query_width = as_size(c.head_count) * as_size(c.head_width);
  const size_t stride = query_width + 2 * as_size(c.kv_head_count) * as_size(c.head_width);
  const int group = c.head_count / c.kv_head_count;
  const std::vector<float>& sinks = weights_.layer(layer).sinks;
  return {.q = qkv_ + as_size(item.row) * stride,
          .q_row_stride = stride,
          .out = attended_ + as_size(item.row) * query_width,
          .out_row_stride = query_width,
          .rows = item.count,
          .first_position = item.position,
          .head_begin = item.head * group,
          .group = group,
          .head_width = c.head_width,
          .scale = c.attention_scale,
          .softcap = c.attention_softcap,
          .window = c.is_local(layer) ? c.sliding_window : 0,
          .sinks = sinks.empty() ? nullptr : sinks.data() + as_size(item.head * group),
          .kv_type = store_.shape().type,
          .kv_base = store_.base(layer, item.head),
          .page_stride = store_.page_stride(),
          .page_table = piece.pages.data()};
}

void Decoder::attend(int layer, std::span<const ForwardPiece> pieces) {
  AttentionPlan& plan = attention_plan(layer);
  plan.restart();
  pool_.parallel_for(pool_.size(), 1, [&](Range, int worker) {
    uint8_t* scratch = scratch_ + as_size(worker) * kScratchBytes;
    while (const AttentionPlan::Item* item = plan.take()) {
      const auto input = attention_input(layer, *item, pieces[as_size(item->piece)]);
      if (!item->group) {
        table_.attend(input, scratch);
        continue;
      }
      const AttentionPlan::Group& group = plan.group(*item->group);
      const size_t state = as_size(config().head_width + kernel::kStateHeaderFloats);
      float* states = states_ + as_size(group.first_state) * state;
      const size_t span = as_size(input.rows) * as_size(input.group) * state;
      table_.attend_spans(input, item->spans,
                          states + as_size(item->spans.begin - group.spans.begin) * span, scratch);
      if (plan.finish(*item)) table_.merge_spans(input, group.spans, states, scratch);
    }
  });
}

void Decoder::ffn_block(int layer) {
  const LayerWeights& w = weights_.layer(layer);
  if (config().has_experts(layer)) return expert_block(w);
  const size_t width = as_size(w.gate.outputs());
  const Linear* const consumers[] = {&w.gate, &w.up};
  norm_input(hidden_, w.ffn_norm, layer_->row_count, consumers);
  const Product gate{.linear = &w.gate, .y = gate_, .stride = width, .accumulate = false};
  const Product up{.linear = &w.up, .y = up_, .stride = width, .accumulate = false};
  const int grain = are_arranged(table_, w.gate, layer_->row_count)
                        ? grain_of_few_pieces(w.gate.panel_count(), pool_.size())
                        : kPanelPair;
  pool_.parallel_for(w.gate.panel_count(), grain, [&](Range panels, int worker) {
    multiply_panels(gate, layer_->row_count, panels, worker);
    multiply_panels(up, layer_->row_count, panels, worker);
    const int begin = panels.begin * 16;
    const int end = std::min(panels.end * 16, w.gate.outputs());
    for (int row = 0; row < layer_->row_count; ++row) {
      const size_t offset = as_size(row) * width + as_size(begin);
      activate(table_, config(),
               {.gate = gate_ + offset, .up = up_ + offset, .count = end - begin});
    }
  });
  const Linear* const down[] = {&w.down};
  prepare_input(gate_, layer_->row_count, down);
  project_residual(w.down, w.post_ffn_norm);
}

void Decoder::expert_block(const LayerWeights& w) {
  norm_input(hidden_, w.ffn_norm, layer_->row_count, w.expert_inputs);
  const Product router{.linear = &w.router,
                       .y = experts_->logits(),
                       .stride = as_size(w.router.outputs()),
                       .accumulate = false};
  multiply({&router, 1}, layer_->row_count);
  const ActivationRows input{
      .floats = input_floats_, .rounded = rounded_, .block32 = rows32_, .block256 = rows256_};
  experts_->add(w, input, layer_->row_count, hidden_);
}

// hidden += x W^T, through a norm where the model has one there.
void Decoder::project_residual(const Linear& linear, const std::vector<float>& post_norm) {
  const size_t width = as_size(config().width);
  if (post_norm.empty()) {
    const Product product{.linear = &linear, .y = hidden_, .stride = width, .accumulate = true};
    multiply({&product, 1}, layer_->row_count);
    return;
  }
  const Product product{.linear = &linear, .y = projected_, .stride = width, .accumulate = false};
  multiply({&product, 1}, layer_->row_count);
  pool_.parallel_for(layer_->row_count, 1, [&](Range rows, int) {
    for (int row = rows.begin; row < rows.end; ++row) {
      float* values = projected_ + as_size(row) * width;
      table_.rms_norm(values, post_norm.data(), config().rms_norm_eps, config().width, values);
      table_.add(hidden_ + as_size(row) * width, values, config().width);
    }
  });
}

void Decoder::norm_input(const float* x, const std::vector<float>& weight, int rows,
                         std::span<const Linear* const> consumers) {
  const InputKinds wanted = begin_input(normed_, rows, consumers);
  const size_t width = as_size(config().width);
  pool_.parallel_for(rows, 1, [&](Range range, int) {
    for (int row = range.begin; row < range.end; ++row) {
      table_.rms_norm(x + as_size(row) * width, weight.data(), config().rms_norm_eps,
                      config().width, normed_ + as_size(row) * width);
    }
    convert_input(wanted, range);
  });
}

// Prepares x [rows, k] for the products with `consumers`: as floats, and rounded or quantized as
// they want it.
void Decoder::prepare_input(const float* x, int rows, std::span<const Linear* const> consumers) {
  const InputKinds wanted = begin_input(x, rows, consumers);
  if (!wanted.rounded && !wanted.block32 && !wanted.block256) return;
  pool_.parallel_for(rows, 1, [&](Range range, int) { convert_input(wanted, range); });
}

Decoder::InputKinds Decoder::begin_input(const float* x, int rows,
                                         std::span<const Linear* const> consumers) {
  InputKinds wanted;
  for (const Linear* linear : consumers) {
    const auto kind = kernel::activation_kind(linear->matrix.format);
    wanted.rounded |= kind == kernel::ActivationKind::kRounded;
    wanted.block32 |= kind == kernel::ActivationKind::kBlock32;
    wanted.block256 |= kind == kernel::ActivationKind::kBlock256;
  }
  input_floats_ = x;
  rounded_.k = rows32_.k = rows256_.k = consumers.front()->inputs();
  rounded_.rows = rows32_.rows = rows256_.rows = rows;
  return wanted;
}

void Decoder::convert_input(InputKinds wanted, Range rows) {
  const size_t stride = as_size(rows32_.k);
  if (wanted.rounded) {
    table_.round_rows(input_floats_, stride, rows.begin, rows.end, rounded_);
  }
  if (wanted.block32) {
    table_.quantize_rows(input_floats_, stride, rows.begin, rows.end, rows32_);
  }
  if (wanted.block256) {
    table_.quantize_rows(input_floats_, stride, rows.begin, rows.end, rows256_);
  }
}

kernel::MatmulInput Decoder::input_of(const Linear& linear, int rows) const {
  const auto kind = kernel::activation_kind(linear.matrix.format);
  return {.floats = input_floats_,
          .rounded = &rounded_,
          .quantized = kind == kernel::ActivationKind::kBlock256 ? &rows256_ : &rows32_,
          .rows = rows,
          .prefetch_bytes = prefetch_bytes_};
}

void Decoder::multiply(std::span<const Product> products, int rows) {
  int panel_count = 0;
  for (const Product& product : products)
    panel_count += product.linear->panel_count();
  const bool are_rows_arranged = std::ranges::any_of(products, [&](const Product& product) {
    return are_arranged(table_, *product.linear, rows);
  });
  const int grain = are_rows_arranged ? grain_of_few_pieces(panel_count, pool_.size()) : kPanelPair;
  pool_.parallel_for(panel_count, grain, [&](Range range, int worker) {
    int first = 0;  // panel of the whole group at which this product begins
    for (const Product& product : products) {
      const int count = product.linear->panel_count();
      const Range own{std::max(range.begin - first, 0), std::min(range.end - first, count)};
      if (own.begin < own.end) multiply_panels(product, rows, own, worker);
      first += count;
    }
  });
}

void Decoder::multiply_panels(const Product& product, int rows, Range panels, int worker) {
  const Linear& linear = *product.linear;
  table_.matmul(linear.matrix, input_of(linear, rows),
                {.y = product.y,
                 .stride = product.stride,
                 .panel_begin = panels.begin,
                 .panel_end = panels.end,
                 .accumulate = product.accumulate},
                scratch_ + as_size(worker) * kScratchBytes);
  if (linear.bias.empty()) return;
  const int begin = panels.begin * 16;
  const int end = std::min(panels.end * 16, linear.outputs());
  for (int row = 0; row < rows; ++row) {
    table_.add(product.y + as_size(row) * product.stride + begin, linear.bias.data() + begin,
               end - begin);
  }
}

void Decoder::logits(std::span<const int> rows, float* out) {
  const auto count = static_cast<int>(rows.size());
  CHECK(count <= limits_.logit_rows, "{} rows of logits, room for {}", count, limits_.logit_rows);
  if (count == 0) return;
  const size_t width = as_size(config().width);
  for (int i = 0; i < count; ++i) {
    CHECK(rows[as_size(i)] >= 0 && rows[as_size(i)] < layer_->row_count, "row {} of {}",
          rows[as_size(i)], layer_->row_count);
    table_.rms_norm(hidden_ + as_size(rows[as_size(i)]) * width, weights_.output_norm().data(),
                    config().rms_norm_eps, config().width, normed_ + as_size(i) * width);
  }
  const Linear& head = weights_.head();
  const Linear* const consumers[] = {&head};
  prepare_input(normed_, count, consumers);
  const Product product{
      .linear = &head, .y = out, .stride = as_size(head.outputs()), .accumulate = false};
  multiply({&product, 1}, count);
  if (config().final_softcap > 0.0f) {
    pool_.parallel_for(count, 1, [&](Range range, int) {
      for (int row = range.begin; row < range.end; ++row) {
        table_.softcap(out + as_size(row) * as_size(head.outputs()), config().final_softcap,
                       head.outputs());
      }
    });
  }
}

}  // namespace inferno::model
