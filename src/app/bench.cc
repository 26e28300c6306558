// inferno bench MODEL: prefill and decode speed of a model on this machine, the engine and the
// server left out.
//
//   ppN   N prompt tokens in chunks of --max-num-batched-tokens
//   tgN   N steps of one token for each of --batch sequences, after --depth positions
//
// Beside tokens a second each result says what share of the machine it used: the weights' bytes a
// second over the memory read rate, or 8-bit operations a second over the peak of this instruction
// set. Both are measured before and after each repetition; the share is the median of theirs.
//
// `inferno bench serve ...` is a command of its own: app/bench_serve.h.
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstring>
#include <numeric>

#include "app/bench_serve.h"
#include "app/command.h"
#include "app/local_model.h"
#include "app/machine_peak.h"
#include "app/model_names.h"
#include "app/prefetch_probe.h"

namespace inferno::app {
namespace {

struct BenchOptions {
  EngineOptions engine;
  int prompt_tokens = 512;
  int generated_tokens = 64;
  int depth = 0;
  int batch = 1;
  int repetitions = 3;
  int prefetch_bytes = 0;  // 0: measured
  bool prints_json = false;
};

struct Repetition {
  double tokens_per_s = 0.0;
  MachinePeak peak;  // means of before and after
  double share_of_memory = 0.0;
  double share_of_int8 = 0.0;
};

struct Measurement {
  std::string test;
  double gb_per_token = 0.0;   // weights read
  double gop_per_token = 0.0;  // products with weights
  std::vector<Repetition> repetitions;

  double median(double Repetition::* field) const {
    return median_of([field](const Repetition& repetition) { return repetition.*field; });
  }
  double median(double MachinePeak::* field) const {
    return median_of([field](const Repetition& repetition) { return repetition.peak.*field; });
  }
  double tokens_per_s() const { return median(&Repetition::tokens_per_s); }

 private:
  double median_of(const auto& value) const {
    std::vector<double> sorted;
    for (const Repetition& repetition : repetitions)
      sorted.push_back(value(repetition));
    std::ranges::sort(sorted);
    const size_t half = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2.0;
  }
};

// The model with pages of its own for each sequence, driven step by step.
class ModelBench {
 public:
  static Result<std::unique_ptr<ModelBench>> create(const BenchOptions& options) {
    auto bench = std::unique_ptr<ModelBench>(new ModelBench(options));
    if (auto done = bench->load(); !done) return std::unexpected(done.error());
    return bench;
  }

  Measurement prefill() {
    const int tokens = options_.prompt_tokens;
    const double chunk = std::min(tokens, options_.engine.max_num_batched_tokens);
    return measure({.test = fmt::format("pp{}", tokens),
                    .gb_per_token = weights_gb() / chunk,
                    .gop_per_token = layers_gop(),
                    .repetitions = {}},
                   tokens, [&] { run_prompt(0, options_.depth, tokens); });
  }

  Measurement decode() {
    for (int sequence = 0; sequence < options_.batch; ++sequence)
      run_prompt(sequence, 0, options_.depth);
    return measure({.test = fmt::format("tg{}", options_.generated_tokens),
                    .gb_per_token = weights_gb() / options_.batch,
                    .gop_per_token = layers_gop() + head_gop(),
                    .repetitions = {}},
                   static_cast<double>(options_.generated_tokens) * options_.batch, [&] {
                     for (int step = 0; step < options_.generated_tokens; ++step)
                       run_decode_step(options_.depth + step);
                   });
  }

  int threads() const { return pool_->size(); }
  const kernel::KernelTable& table() const { return *table_; }
  const PrefetchChoice& prefetch() const { return prefetch_; }
  std::string name() const { return checkpoint_->name(); }

 private:
  using Clock = std::chrono::steady_clock;

  explicit ModelBench(const BenchOptions& options) : options_(options) {}

  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  Result<void> load() {
    auto table = table_of(options_.engine.isa);
    if (!table) return std::unexpected(table.error());
    table_ = *table;
    auto path = find_model(options_.engine.model);
    if (!path) return std::unexpected(path.error());
    auto checkpoint = model::Checkpoint::open(*path);
    if (!checkpoint) return std::unexpected(checkpoint.error());
    checkpoint_ = std::move(*checkpoint);
    const int threads = options_.engine.threads;
    pool_ = std::make_unique<ThreadPool>(threads > 0 ? threads : available_cores());
    prefetch_ = options_.prefetch_bytes > 0 ? PrefetchChoice{options_.prefetch_bytes, {}}
                                            : probe_prefetch(*table_, *pool_);
    auto weights = load_weights(checkpoint_, *pool_, LocalModel::Progress::kSilent,
                                weight_options(options_.engine));
    if (!weights) return std::unexpected(weights.error());
    weights_ = std::move(*weights);
    return allocate();
  }

  Result<void> allocate() {
    const int positions =
        options_.depth + std::max(options_.prompt_tokens, options_.generated_tokens);
    if (positions > checkpoint_->config().context_length) {
      return fail_field("depth", "{} positions are more than the {} that {} is made for", positions,
                        checkpoint_->config().context_length, checkpoint_->name());
    }
    pages_per_sequence_ = kv::pages_for(positions);
    const kernel::KvType type = kv_type_of(options_.engine.kv_cache_dtype);
    auto store = kv::PageStore::create(model::Decoder::kv_shape(checkpoint_->config(), type),
                                       pages_per_sequence_ * options_.batch);
    if (!store) return std::unexpected(store.error());
    store_ = std::move(*store);
    pages_.resize(static_cast<size_t>(pages_per_sequence_ * options_.batch));
    std::iota(pages_.begin(), pages_.end(), 0U);
    const int rows = std::max(options_.engine.max_num_batched_tokens, options_.batch);
    auto decoder = model::Decoder::create({.weights = *weights_,
                                           .table = *table_,
                                           .pool = *pool_,
                                           .store = *store_,
                                           .prefetch_bytes = prefetch_.chosen_bytes},
                                          {.batch_tokens = rows, .logit_rows = options_.batch});
    if (!decoder) return std::unexpected(decoder.error());
    decoder_ = std::move(*decoder);
    const auto vocabulary = static_cast<size_t>(decoder_->vocab_size());
    logits_.resize(vocabulary * static_cast<size_t>(options_.batch));
    // Any tokens do: the time does not depend on what they say.
    tokens_.resize(static_cast<size_t>(positions));
    for (size_t i = 0; i < tokens_.size(); ++i) {
      tokens_[i] = static_cast<TokenId>((i * 7919 + 17) % vocabulary);
    }
    return {};
  }

  std::span<const uint32_t> pages_of(int sequence) const {
    const auto count = static_cast<size_t>(pages_per_sequence_);
    return std::span(pages_).subspan(static_cast<size_t>(sequence) * count, count);
  }

  void run_prompt(int sequence, int first, int count) {
    for (int begin = 0; begin < count; begin += options_.engine.max_num_batched_tokens) {
      const int size = std::min(options_.engine.max_num_batched_tokens, count - begin);
      const model::ForwardPiece piece{
          .tokens = std::span(tokens_).subspan(static_cast<size_t>(first + begin),
                                               static_cast<size_t>(size)),
          .first_position = first + begin,
          .pages = pages_of(sequence)};
      decoder_->forward({&piece, 1});
      const int last = size - 1;
      if (begin + size == count) decoder_->logits({&last, 1}, logits_.data());
    }
  }

  void run_decode_step(int position) {
    pieces_.clear();
    rows_.clear();
    for (int sequence = 0; sequence < options_.batch; ++sequence) {
      const size_t token = static_cast<size_t>(position + sequence) % tokens_.size();
      pieces_.push_back({.tokens = std::span(tokens_).subspan(token, 1),
                         .first_position = position,
                         .pages = pages_of(sequence)});
      rows_.push_back(sequence);
    }
    decoder_->forward(pieces_);
    decoder_->logits(rows_, logits_.data());
  }

  // Completes `result` with repetitions of `work`, each of so many tokens. They begin with caches
  // that hold what was measured last, not the model.
  Measurement measure(Measurement result, double tokens, const auto& work) {
    work();  // the first one warms up
    MachinePeak before = measure_peak(*table_, *pool_);
    for (int i = 0; i < options_.repetitions; ++i) {
      const auto start = Clock::now();
      work();
      const double tokens_per_s = tokens / seconds_since(start);
      const MachinePeak after = measure_peak(*table_, *pool_);
      const MachinePeak peak{
          .read_gb_per_s = (before.read_gb_per_s + after.read_gb_per_s) / 2.0,
          .int8_gop_per_s = (before.int8_gop_per_s + after.int8_gop_per_s) / 2.0};
      result.repetitions.push_back(
          {.tokens_per_s = tokens_per_s,
           .peak = peak,
           .share_of_memory = tokens_per_s * result.gb_per_token / peak.read_gb_per_s,
           .share_of_int8 = tokens_per_s * result.gop_per_token / peak.int8_gop_per_s});
      before = after;
    }
    return result;
  }

  double weights_gb() const { return static_cast<double>(weights_->packed_bytes()) / 1e9; }
  double layers_gop() const {
    const model::ModelConfig& c = checkpoint_->config();
    const double attention = double{2} * c.width * c.head_width * (c.head_count + c.kv_head_count);
    return 2.0 * c.layer_count * (attention + 3.0 * c.width * c.feed_forward_width) / 1e9;
  }
  double head_gop() const {
    const model::ModelConfig& c = checkpoint_->config();
    return 2.0 * c.width * c.vocab_size / 1e9;
  }

  BenchOptions options_;
  const kernel::KernelTable* table_ = nullptr;
  std::shared_ptr<const model::Checkpoint> checkpoint_;
  std::unique_ptr<ThreadPool> pool_;
  PrefetchChoice prefetch_;
  std::unique_ptr<model::Weights> weights_;
  std::optional<kv::PageStore> store_;
  std::unique_ptr<model::Decoder> decoder_;
  std::vector<float> logits_;
  std::vector<TokenId> tokens_;
  std::vector<uint32_t> pages_;
  std::vector<model::ForwardPiece> pieces_;
  std::vector<int> rows_;
  int pages_per_sequence_ = 0;
};

void print_json(const ModelBench& bench, const std::vector<Measurement>& results) {
  boost::json::array list;
  for (const Measurement& result : results) {
    boost::json::array rates;
    for (const Repetition& repetition : result.repetitions)
      rates.emplace_back(repetition.tokens_per_s);
    const double rate = result.tokens_per_s();
    list.push_back({{"test", result.test},
                    {"tokens_per_s", std::move(rates)},
                    {"median", rate},
                    {"weights_gb_per_s", rate * result.gb_per_token},
                    {"read_peak_gb_per_s", result.median(&MachinePeak::read_gb_per_s)},
                    {"read_peak_percent", 100.0 * result.median(&Repetition::share_of_memory)},
                    {"gop_per_s", rate * result.gop_per_token},
                    {"int8_peak_gop_per_s", result.median(&MachinePeak::int8_gop_per_s)},
                    {"int8_peak_percent", 100.0 * result.median(&Repetition::share_of_int8)}});
  }
  const boost::json::object out{{"model", bench.name()},
                                {"threads", bench.threads()},
                                {"isa", kernel::name_of(bench.table().isa)},
                                {"prefetch_bytes", bench.prefetch().chosen_bytes},
                                {"results", std::move(list)}};
  fmt::print("{}\n", boost::json::serialize(out));
}

void print_table(const ModelBench& bench, const std::vector<Measurement>& results) {
  fmt::print("{}, {} threads, {}\n", bench.name(), bench.threads(),
             kernel::name_of(bench.table().isa));
  fmt::print("weights fetched {} bytes ahead{}\n", bench.prefetch().chosen_bytes,
             describe(bench.prefetch()));
  for (const Measurement& result : results) {
    const auto [least, most] =
        std::ranges::minmax(result.repetitions, {}, &Repetition::tokens_per_s);
    const double rate = result.tokens_per_s();
    fmt::print(
        "{:<8} {:9.2f} tokens/s ({:.2f} to {:.2f})  {:6.1f} GB/s of weights, {:.0f} % of "
        "memory's {:.1f};  {:7.1f} GOP/s, {:.0f} % of int8's {:.0f}\n",
        result.test, rate, least.tokens_per_s, most.tokens_per_s, rate * result.gb_per_token,
        100.0 * result.median(&Repetition::share_of_memory),
        result.median(&MachinePeak::read_gb_per_s), rate * result.gop_per_token,
        100.0 * result.median(&Repetition::share_of_int8),
        result.median(&MachinePeak::int8_gop_per_s));
  }
}

}  // namespace

int run_bench(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "serve") return run_bench_serve(argc - 1, argv + 1);
  CLI::App app;
  BenchOptions options;
  prepare(app, "bench", "Measures prefill and decode of a model on this machine.");
  add_engine_options(app, options.engine);
  add_option(app, "--pp", options.prompt_tokens, "prompt tokens to prefill; 0: skip")
      ->check(CLI::Range(0, 1 << 24));
  add_option(app, "--tg", options.generated_tokens, "tokens to decode; 0: skip")
      ->check(CLI::Range(0, 1 << 24));
  add_option(app, "--depth", options.depth, "positions already in the KV cache")
      ->check(CLI::Range(0, 1 << 24));
  add_option(app, "--batch", options.batch, "sequences decoded together")
      ->check(CLI::Range(1, 4096));
  add_option(app, "--prefetch-bytes", options.prefetch_bytes,
             "how far ahead of their use weights are fetched for few rows; 0: measured at start")
      ->check(CLI::Range(0, 1 << 20));
  add_option(app, "--reps", options.repetitions, "repetitions")->check(CLI::Range(1, 1000));
  app.add_flag("--json", options.prints_json, "as JSON");
  if (const auto code = parse(app, argc, argv)) return *code;
  auto bench = ModelBench::create(options);
  if (!bench) return report("bench", bench.error());
  std::vector<Measurement> results;
  if (options.prompt_tokens > 0) results.push_back((*bench)->prefill());
  if (options.generated_tokens > 0) results.push_back((*bench)->decode());
  if (options.prints_json) {
    print_json(**bench, results);
  } else {
    print_table(**bench, results);
  }
  return 0;
}

}  // namespace inferno::app
