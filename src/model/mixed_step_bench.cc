// What prompt tokens cost beside decode rows: the seconds of a step by how many there are and how
// deep they lie. The scheduler sizes chunks by what it learns of this (schedule/step_time_model.h).
//
// Arguments: decode rows, prompt tokens, position of the first of these. The decode rows have 400
// positions each. The model is the SmolLM2 of the cache, or INFERNO_BENCH_MODEL, a GGUF file.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <numeric>
#include <thread>

#include "model/decoder.h"
#include "model/model_cache.h"

namespace inferno::model {
namespace {

constexpr int kDecodePosition = 400;
constexpr int kMostDecodes = 32;
constexpr int kMostPositions = 4096;

std::string model_path() {
  if (const char* path = std::getenv("INFERNO_BENCH_MODEL")) return path;
  return model_cache() / "SmolLM2-135M-Instruct.Q4_1.gguf";
}

// A decoder of that model with pages for a prompt and the decode rows; null when it does not load.
struct World {
  static World* get() {
    static World world;
    return world.decoder ? &world : nullptr;
  }

  World() : pool(static_cast<int>(std::thread::hardware_concurrency())) {
    auto opened = Checkpoint::open(model_path());
    if (!opened) return;
    checkpoint = std::move(*opened);
    auto loaded = Weights::load(checkpoint, pool, {});
    if (!loaded) return;
    weights = std::move(*loaded);
    const int decode_pages = kDecodePosition / kernel::kPagePositions + 1;
    const int prompt_pages = kMostPositions / kernel::kPagePositions;
    auto made = kv::PageStore::create(Decoder::kv_shape(checkpoint->config(), kernel::KvType::kF16),
                                      prompt_pages + kMostDecodes * decode_pages);
    if (!made) return;
    store = std::make_unique<kv::PageStore>(std::move(*made));
    prompt_page_list.resize(static_cast<size_t>(prompt_pages));
    std::iota(prompt_page_list.begin(), prompt_page_list.end(), 0U);
    for (int i = 0; i < kMostDecodes; ++i) {
      auto& pages = decode_page_lists.emplace_back(static_cast<size_t>(decode_pages));
      std::iota(pages.begin(), pages.end(), static_cast<uint32_t>(prompt_pages + i * decode_pages));
    }
    auto created = Decoder::create(
        {.weights = *weights, .table = kernel::best_table(), .pool = pool, .store = *store}, {});
    if (!created) return;
    decoder = std::move(*created);
    logits.resize(static_cast<size_t>(decoder->vocab_size()) * kMostDecodes);
  }

  ThreadPool pool;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<const Weights> weights;
  std::unique_ptr<kv::PageStore> store;
  std::vector<uint32_t> prompt_page_list;
  std::vector<std::vector<uint32_t>> decode_page_lists;
  std::unique_ptr<Decoder> decoder;
  std::vector<float> logits;
};

void mixed_step(benchmark::State& state) {
  World* const world = World::get();
  if (world == nullptr) return state.SkipWithError("the model does not load");
  const auto decode_count = static_cast<int>(state.range(0));
  const std::vector<TokenId> tokens(512, TokenId{17});
  std::vector<ForwardPiece> pieces;
  std::vector<int> rows;
  for (int i = 0; i < decode_count; ++i) {
    pieces.push_back({.tokens = {tokens.data(), 1},
                      .first_position = kDecodePosition,
                      .pages = world->decode_page_lists[static_cast<size_t>(i)]});
    rows.push_back(i);
  }
  const auto prompt_count = static_cast<size_t>(state.range(1));
  if (prompt_count > 0) {
    pieces.push_back({.tokens = {tokens.data(), prompt_count},
                      .first_position = static_cast<int>(state.range(2)),
                      .pages = world->prompt_page_list});
  }
  for (auto _ : state) {
    world->decoder->forward(pieces);
    world->decoder->logits(rows, world->logits.data());
  }
}

BENCHMARK(mixed_step)
    ->ArgNames({"decodes", "prompt", "position"})
    ->ArgsProduct({{8}, {0, 1, 2, 4, 8, 16, 24, 32, 64, 128}, {0, 2000, 3900}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace inferno::model
