// What a page costs: from the free ones, and from the idle ones, of which the policy picks one and
// whose name is forgotten. A page of 16 positions has 368 KB (SmolLM2-135M, float16) and more, so a
// megabyte is three at the most.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kv/block_pool.h"

namespace inferno::kv {
namespace {

constexpr int kPages = 65536;

void BM_FreePage(benchmark::State& state) {
  BlockPool pool(kPages);
  for (auto _ : state) {
    const PageId page = *pool.acquire();
    benchmark::DoNotOptimize(page);
    pool.release(page);
  }
}
BENCHMARK(BM_FreePage);

// Every page is idle and named; the one taken gets a new name and becomes idle again. All continue
// the same root, so that the list of its children is as long as it can be.
void BM_IdlePage(benchmark::State& state) {
  const auto policy = static_cast<EvictionPolicyKind>(state.range(0));
  state.SetLabel(std::string(name_of(policy)));
  BlockPool pool(kPages, policy);
  uint64_t names = 0;
  const auto name_and_release = [&](PageId page) {
    pool.publish(page, {.high = ++names, .low = names * 0x9E3779B97F4A7C15});
    pool.release(page);
  };
  std::vector<PageId> pages;
  while (const auto page = pool.acquire())
    pages.push_back(*page);
  for (const PageId page : pages)
    name_and_release(page);
  for (auto _ : state)
    name_and_release(*pool.acquire());
}
BENCHMARK(BM_IdlePage)
    ->Arg(static_cast<int>(EvictionPolicyKind::kLru))
    ->Arg(static_cast<int>(EvictionPolicyKind::kLfu))
    ->Arg(static_cast<int>(EvictionPolicyKind::kCost));

}  // namespace
}  // namespace inferno::kv
