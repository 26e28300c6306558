#include "app/local_model.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>

#include "app/model_names.h"
#include "app/prefetch_probe.h"
#include "base/memory.h"
#include "base/placement.h"

namespace inferno::app {
namespace {

// So that page numbers and position counts stay far from the limits of an int.
constexpr size_t kMostPages = size_t{1} << 26;

// Left out of what a share of free memory means: stacks, connections, requests in the queue.
constexpr size_t kHeapReserve = size_t{64} << 20;

int thread_count(const EngineOptions& options) {
  return options.threads > 0 ? options.threads : available_cores();
}

}  // namespace

model::WeightOptions weight_options(const EngineOptions& options) {
  return {.quantization =
              model::quantization_named(options.quantization).value_or(model::Quantization::kNone)};
}

std::string bytes_text(size_t bytes) {
  const double value = static_cast<double>(bytes);
  if (value >= 1073741824.0) return fmt::format("{:.2f} GiB", value / 1073741824.0);
  if (value >= 1048576.0) return fmt::format("{:.1f} MiB", value / 1048576.0);
  return value >= 1024.0 ? fmt::format("{:.1f} KiB", value / 1024.0) : fmt::format("{} B", bytes);
}

Result<ModelText> open_text(const std::string& model, model::Checkpoint::Need need,
                            std::string& warning) {
  auto path = find_model(model);
  if (!path) return std::unexpected(path.error());
  auto checkpoint = model::Checkpoint::open(*path, need);
  if (!checkpoint) return std::unexpected(checkpoint.error());
  ModelText text;
  text.checkpoint = std::move(*checkpoint);
  auto vocabulary = text.checkpoint->vocabulary();
  if (!vocabulary) return std::unexpected(vocabulary.error());
  auto tokenizer = token::Tokenizer::create(std::move(*vocabulary));
  if (!tokenizer) return std::unexpected(tokenizer.error());
  text.tokenizer = std::move(*tokenizer);
  // Ids within the vocabulary now: create() checked them.
  const token::Vocabulary& known = text.tokenizer->vocabulary();
  const auto spelled = [&](std::optional<TokenId> id) {
    return id ? known.tokens[static_cast<size_t>(*id)] : std::string();
  };
  const std::string bos = spelled(known.bos);
  const std::string eos = spelled(known.eos);
  const std::string source = text.checkpoint->chat_template();
  if (!source.empty()) {
    auto parsed = token::ChatTemplate::parse(source, bos, eos);
    if (parsed) {
      text.chat_template = std::move(*parsed);
    } else {
      warning = fmt::format("the model's chat template cannot be used: {}", parsed.error().message);
    }
  }
  return text;
}

Result<std::unique_ptr<model::Weights>> load_weights(
    std::shared_ptr<const model::Checkpoint> checkpoint, ThreadPool& pool,
    LocalModel::Progress progress, model::WeightOptions options) {
  const auto start = std::chrono::steady_clock::now();
  const bool is_shown = progress == LocalModel::Progress::kShown;
  const bool redraws = is_shown && isatty(STDERR_FILENO) != 0;
  int shown_percent = -1;
  const std::string name = checkpoint->name();
  auto weights = model::Weights::load(
      std::move(checkpoint), pool,
      [&](size_t done, size_t total) {
        const int percent = total == 0 ? 100 : static_cast<int>(done * 100 / total);
        if (!redraws || percent == shown_percent) return;
        shown_percent = percent;
        fmt::print(stderr, "\rloading {}  {:3} %", name, percent);
        std::fflush(stderr);
      },
      options);
  if (!weights) return weights;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (is_shown) {
    fmt::print(stderr, "{}loaded {}: {} of weights in {:.2f} s\n", redraws ? "\r" : "", name,
               bytes_text((*weights)->packed_bytes()), seconds);
  }
  return weights;
}

Result<std::unique_ptr<LocalModel>> LocalModel::load(const EngineOptions& options,
                                                     MetricRegistry& metrics, Progress progress) {
  if (auto limits = schedule::check_limits(scheduler_config(options)); !limits) {
    return std::unexpected(limits.error());
  }
  auto local = std::unique_ptr<LocalModel>(new LocalModel());
  auto table = table_of(options.isa);
  if (!table) return std::unexpected(table.error());
  local->table_ = *table;
  std::string warning;
  auto text = open_text(options.model, model::Checkpoint::Need::kModel, warning);
  if (!text) return std::unexpected(text.error());
  if (!warning.empty()) fmt::print(stderr, "warning: {}\n", warning);
  local->text_ = std::move(*text);
  local->kv_type_ = kv_type_of(options.kv_cache_dtype);
  const int threads = thread_count(options);
  try {
    local->pool_ = std::make_unique<ThreadPool>(threads);
  } catch (const std::system_error& refused) {
    return fail(Fault::kOverloaded, "threads: the system refused {}: {}", threads, refused.what());
  }
  if (auto done = local->place(options); !done) return std::unexpected(done.error());
  auto draft = open_draft(options, *local->text_.checkpoint);
  if (!draft) return std::unexpected(draft.error());
  local->prefetch_bytes_ = probe_prefetch(*local->table_, *local->pool_).chosen_bytes;
  if (auto done = local->load_weights(options, progress); !done)
    return std::unexpected(done.error());
  std::unique_ptr<model::Weights> draft_weights;
  if (*draft) {
    auto loaded = app::load_weights(*draft, *local->pool_, progress, weight_options(options));
    if (!loaded) return std::unexpected(loaded.error());
    draft_weights = std::move(*loaded);
  }
  auto plan = plan_context(options, {.model = local->text_.checkpoint, .draft = *draft}, 0);
  if (!plan) return std::unexpected(plan.error());
  local->plan_ = *plan;
  try {
    if (draft_weights) {
      auto done = local->start_draft(options, std::move(draft_weights));
      if (!done) return std::unexpected(done.error());
    }
    if (auto done = local->start_engine(options, metrics); !done)
      return std::unexpected(done.error());
  } catch (const std::bad_alloc&) {
    return fail(Fault::kOverloaded,
                "there is no memory for the tables of {} pages and {} sequences", plan->page_count,
                options.max_num_seqs);
  }
  return local;
}

// Threads and memory to their nodes, before anything large is allocated. Where the system refuses
// (containers often do), it goes on without.
Result<void> LocalModel::place(const EngineOptions& options) {
  auto policy = parse_numa_policy(options.numa);
  if (!policy) return std::unexpected(policy.error());
  if (policy->kind == NumaPolicy::Kind::kOff) return {};
  auto topology = read_topology(UsablePlaces::of_this_process());
  if (!topology) return std::unexpected(topology.error());
  auto placement = plan_placement(*topology, pool_->size(), *policy);
  if (!placement) return std::unexpected(placement.error());
  if (auto placed = set_memory_placement(placement->memory); !placed) {
    fmt::print(stderr, "warning: memory is not placed: {}\n", placed.error().message);
  }
  if (auto pinned = pool_->pin_workers(placement->worker_cpus); !pinned) {
    fmt::print(stderr, "warning: threads are not pinned: {}\n", pinned.error().message);
  }
  return {};
}

Result<void> LocalModel::load_weights(const EngineOptions& options, Progress progress) {
  auto weights = app::load_weights(text_.checkpoint, *pool_, progress, weight_options(options));
  if (!weights) return std::unexpected(weights.error());
  weights_ = std::move(*weights);
  return {};
}

Result<LocalModel::ContextPlan> LocalModel::plan_context(const EngineOptions& options,
                                                         const Files& files,
                                                         size_t unloaded_bytes) {
  const model::ModelConfig& config = files.model->config();
  const kernel::KvType kv_type = kv_type_of(options.kv_cache_dtype);
  const size_t page_bytes = model::Decoder::kv_shape(config, kv_type).page_bytes();
  const size_t draft_page_bytes =
      files.draft ? model::Decoder::kv_shape(files.draft->config(), kv_type).page_bytes() : 0;
  const size_t both_bytes = page_bytes + draft_page_bytes;
  const size_t available = available_memory_bytes();
  const size_t left = available - std::min(available, unloaded_bytes);
  if (left <= kHeapReserve) {
    return fail(Fault::kOverloaded, "kv-cache-memory: {} are left, {} of them for everything else",
                bytes_text(left), bytes_text(kHeapReserve));
  }
  auto memory = parse_memory(options.kv_cache_memory,
                             std::min(left - kHeapReserve, options.memory_limit_bytes));
  if (!memory) return std::unexpected(memory.error());
  const int wanted_len = options.max_model_len > 0 ? options.max_model_len : config.context_length;
  const auto useful_pages =
      static_cast<size_t>(kv::pages_for(wanted_len)) * static_cast<size_t>(options.max_num_seqs);
  const size_t pages = std::min({*memory / both_bytes, useful_pages, kMostPages});
  if (options.max_model_len > config.context_length) {
    return fail_field("max-model-len", "{} is more than the {} positions that {} is made for",
                      options.max_model_len, config.context_length, files.model->name());
  }
  const size_t positions = pages * kernel::kPagePositions;
  if (options.max_model_len > 0 && positions < static_cast<size_t>(options.max_model_len)) {
    return fail_field(
        "kv-cache-memory", "{} hold {} positions, max-model-len {} needs {}", bytes_text(*memory),
        positions, options.max_model_len,
        bytes_text(static_cast<size_t>(kv::pages_for(options.max_model_len)) * both_bytes));
  }
  if (pages < 1) {
    return fail_field("kv-cache-memory", "{} hold no page: one takes {}", bytes_text(*memory),
                      bytes_text(both_bytes));
  }
  if (wanted_len < 2) {
    return fail_field("max-model-len",
                      "{} leaves no room for a prompt and an answer of 1 token each", wanted_len);
  }
  return ContextPlan{
      .page_count = static_cast<int>(pages),
      .page_bytes = page_bytes,
      .draft_page_bytes = draft_page_bytes,
      .max_model_len = static_cast<int>(std::min(static_cast<size_t>(wanted_len), positions))};
}

model::DecoderLimits LocalModel::decoder_limits(const EngineOptions& options,
                                                const ContextPlan& plan) {
  const auto batch_tokens =
      static_cast<int>(std::min(int64_t{options.max_num_batched_tokens},
                                int64_t{plan.max_model_len} * int64_t{options.max_num_seqs}));
  return {.batch_tokens = batch_tokens,
          .logit_rows = std::min(32, batch_tokens),
          .carry_rows = batch_tokens};
}

model::DecoderLimits LocalModel::draft_decoder_limits(const EngineOptions& options,
                                                      const ContextPlan& plan) {
  model::DecoderLimits limits = decoder_limits(options, plan);
  limits.carry_rows = 0;  // what it reads is read in whole pieces
  return limits;
}

Result<MemoryNeed> LocalModel::estimate_memory(const EngineOptions& options) {
  auto path = find_model(options.model);
  if (!path) return std::unexpected(path.error());
  auto opened = model::Checkpoint::open(*path, model::Checkpoint::Need::kModel);
  if (!opened) return std::unexpected(opened.error());
  const std::shared_ptr<const model::Checkpoint> checkpoint = std::move(*opened);
  const auto weight_bytes = model::Weights::estimate_bytes(checkpoint, weight_options(options));
  if (!weight_bytes) return std::unexpected(weight_bytes.error());
  const auto draft = open_draft(options, *checkpoint);
  if (!draft) return std::unexpected(draft.error());
  Result<size_t> draft_bytes = 0;
  if (*draft) draft_bytes = model::Weights::estimate_bytes(*draft, weight_options(options));
  if (!draft_bytes) return std::unexpected(draft_bytes.error());
  const auto plan =
      plan_context(options, {.model = checkpoint, .draft = *draft}, *weight_bytes + *draft_bytes);
  if (!plan) return std::unexpected(plan.error());
  const model::DecoderLimits limits = decoder_limits(options, *plan);
  const auto pages = static_cast<size_t>(plan->page_count);
  size_t all_draft_bytes = 0;
  if (*draft) {
    all_draft_bytes =
        Buffer::taken_bytes(*draft_bytes) + Buffer::taken_bytes(pages * plan->draft_page_bytes) +
        Buffer::taken_bytes(model::Decoder::activation_bytes_for(
            (*draft)->config(), draft_decoder_limits(options, *plan), thread_count(options)));
  }
  return MemoryNeed{.weight_bytes = Buffer::taken_bytes(*weight_bytes),
                    .kv_bytes = Buffer::taken_bytes(pages * plan->page_bytes),
                    .activation_bytes = Buffer::taken_bytes(model::Decoder::activation_bytes_for(
                        checkpoint->config(), limits, thread_count(options))),
                    .draft_bytes = all_draft_bytes};
}

MemoryNeed LocalModel::memory() const {
  return {.weight_bytes = Buffer::taken_bytes(weights_->packed_bytes()),
          .kv_bytes = store_->bytes(),
          .activation_bytes = decoder_->activation_bytes(),
          .draft_bytes = draft_ ? Buffer::taken_bytes(draft_->weight_bytes()) + draft_->kv_bytes() +
                                      draft_->activation_bytes()
                                : 0};
}

Result<void> LocalModel::start_draft(const EngineOptions& options,
                                     std::unique_ptr<model::Weights> weights) {
  const model::ModelConfig& config = weights->config();
  const LocalDraft::Limits limits{
      .kv_shape = model::Decoder::kv_shape(config, kv_type_),
      .page_count = plan_.page_count,
      .decoder = draft_decoder_limits(options, plan_),
      .model = {.max_sequences = options.max_num_seqs,
                .max_tokens = std::min(plan_.max_model_len, config.context_length),
                .guessable_tokens = weights_->head().outputs(),
                .prefix_caching = options.prefix_caching}};
  auto draft = LocalDraft::create(
      std::move(weights),
      {.table = *table_, .pool = *pool_, .clock = clock_, .prefetch_bytes = prefetch_bytes_},
      limits);
  if (!draft) return std::unexpected(draft.error());
  draft_ = std::move(*draft);
  return {};
}

Result<void> LocalModel::start_engine(const EngineOptions& options, MetricRegistry& metrics) {
  const auto shape = model::Decoder::kv_shape(text_.checkpoint->config(), kv_type_);
  auto store = kv::PageStore::create(shape, plan_.page_count);
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  const model::DecoderLimits limits = decoder_limits(options, plan_);
  auto decoder = model::Decoder::create({.weights = *weights_,
                                         .table = *table_,
                                         .pool = *pool_,
                                         .store = *store_,
                                         .prefetch_bytes = prefetch_bytes_},
                                        limits);
  if (!decoder) return std::unexpected(decoder.error());
  decoder_ = std::move(*decoder);
  metrics_ = std::make_unique<engine::EngineMetrics>(
      metrics, options.served_name.empty() ? text_.checkpoint->name() : options.served_name);
  engine::EngineConfig config;
  config.core.scheduler = scheduler_config(options);
  config.core.scheduler.max_num_batched_tokens = limits.batch_tokens;
  auto eviction = kv::eviction_policy_named(options.scheduling.kv_eviction_policy);
  if (!eviction) return std::unexpected(eviction.error());
  config.core.eviction = *eviction;
  config.core.max_model_len = plan_.max_model_len;
  config.core.kv_page_count = plan_.page_count;
  auto speculation = parse_speculative_config(options.speculative_config);
  if (!speculation) return std::unexpected(speculation.error());
  config.core.speculation = *speculation;
  config.max_queued = options.scheduling.max_queued;
  config.batch_timeout_s = options.scheduling.batch_timeout_s;
  engine_ = std::make_unique<engine::Engine>(
      engine::EngineCore::Parts{.model = *decoder_,
                                .tokenizer = *text_.tokenizer,
                                .table = *table_,
                                .pool = *pool_,
                                .metrics = *metrics_,
                                .clock = clock_,
                                .proposer = draft_ ? &draft_->proposer() : nullptr},
      config);
  return {};
}

std::string LocalModel::summary() const {
  std::string text = fmt::format(
      "weights {}, KV cache {} for {} positions, activations {}; max-model-len {}; {} threads, {}, "
      "weights fetched {} bytes ahead",
      bytes_text(weights_->packed_bytes()), bytes_text(store_->bytes()),
      plan_.page_count * kernel::kPagePositions, bytes_text(decoder_->activation_bytes()),
      plan_.max_model_len, pool_->size(), kernel::name_of(table_->isa), prefetch_bytes_);
  if (draft_) {
    text += fmt::format("; draft model: weights {}, KV cache {}, activations {}",
                        bytes_text(draft_->weight_bytes()), bytes_text(draft_->kv_bytes()),
                        bytes_text(draft_->activation_bytes()));
  }
  return text;
}

}  // namespace inferno::app
