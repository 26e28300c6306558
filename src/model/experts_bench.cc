// What grouping rows by expert gives: a batch at once against the same rows one after the other, in
// one run, on a layer of the shape of a 30-billion model with 128 experts (width 2048, 768 in each
// expert, 8 for a row), of which half the experts are there.
#include <benchmark/benchmark.h>

#include <chrono>

#include "model/experts_test_data.h"

namespace inferno::model {
namespace {

constexpr ExpertShape kShape = {
    .experts = 64, .used = 8, .width = 2048, .hidden = 768, .type = kernel::TensorType::kQ4_K};

const ExpertLayer& layer() {
  static std::mt19937 random(1);
  static const ExpertLayer kLayer(kShape, random);
  return kLayer;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Time is that of the grouped rows; `times` is how much longer one row at a time takes.
void experts_grouped(benchmark::State& state) {
  const int rows = static_cast<int>(state.range(0));
  static ThreadPool pool(available_cores());
  std::mt19937 random(2);
  ExpertRig rig(layer(), kernel::best_table(), pool, rows);
  const auto width = static_cast<size_t>(kShape.width);
  const auto experts = static_cast<size_t>(kShape.experts);
  const std::vector<float> x = kernel::random_floats(static_cast<size_t>(rows) * width, random);
  const std::vector<float> logits =
      kernel::random_floats(static_cast<size_t>(rows) * experts, random);
  std::vector<float> hidden(x.size());
  rig.prepare(x, rows);
  double grouped = 0.0, one_by_one = 0.0;
  for (auto _ : state) {
    auto begin = std::chrono::steady_clock::now();
    rig.add(logits.data(), {0, rows}, hidden.data());
    const double elapsed = seconds_since(begin);
    grouped += elapsed;
    begin = std::chrono::steady_clock::now();
    for (int row = 0; row < rows; ++row) {
      rig.add(logits.data() + static_cast<size_t>(row) * experts, {row, row + 1},
              hidden.data() + static_cast<size_t>(row) * width);
    }
    one_by_one += seconds_since(begin);
    state.SetIterationTime(elapsed);
  }
  const double products = 2.0 * 3.0 * kShape.used * kShape.width * kShape.hidden * rows;
  state.counters["times"] = one_by_one / grouped;
  state.counters["GOPS"] = products * static_cast<double>(state.iterations()) / grouped * 1e-9;
  state.SetLabel(kernel::name_of(kernel::best_table().isa));
}
BENCHMARK(experts_grouped)->Arg(1)->Arg(8)->Arg(32)->Arg(128)->Arg(512)->UseManualTime();

}  // namespace
}  // namespace inferno::model
