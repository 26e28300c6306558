#include "kernel/table_proof.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernel/matmul_test_data.h"

namespace inferno::kernel {
namespace {

TEST(TableProof, FindsNoDifferenceInAnyTableOfThisCpu) {
  for (const KernelTable* fast : fast_tables()) {
    EXPECT_EQ(find_difference(*fast, *table(Isa::kPlain)), "") << name_of(fast->isa);
  }
}

// Tables with one operation that is off by the least there is.
void matmul_off_by_a_bit(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                         uint8_t* scratch) {
  table(Isa::kPlain)->matmul(w, x, out, scratch);
  if (w.format == PackedFormat::kQ6K && x.rows > 30) {
    float& last = out.y[static_cast<size_t>(x.rows - 1) * out.stride + 39];
    last = std::nextafter(last, 1e9f);
  }
}

void matmul_of_one_row_off_by_a_bit(const PackedMatrix& w, const MatmulInput& x,
                                    const MatmulOutput& out, uint8_t* scratch) {
  table(Isa::kPlain)->matmul(w, x, out, scratch);
  if (x.rows == 1) out.y[7] = std::nextafter(out.y[7], 1e9f);
}

void matmul_of_a_row_too_many(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                              uint8_t* scratch) {
  table(Isa::kPlain)->matmul(w, x, out, scratch);
  out.y[static_cast<size_t>(x.rows) * out.stride] += 1.0f;
}

void matmul_that_keeps_nothing(const PackedMatrix& w, const MatmulInput& x, const MatmulOutput& out,
                               uint8_t* scratch) {
  MatmulOutput anew = out;
  anew.accumulate = false;
  table(Isa::kPlain)->matmul(w, x, anew, scratch);
}

void attend_off_by_a_bit(const AttentionInput& in, uint8_t* scratch) {
  table(Isa::kPlain)->attend(in, scratch);
  if (in.kv_type == KvType::kF16) in.out[5] = std::nextafter(in.out[5], 1e9f);
}

void quantize_nothing(const float*, size_t, int, int, const QuantizedRows&) {}

void round_nothing(const float*, size_t, int, int, const RoundedRows&) {}

float sum_of_nothing(const float*, int, float) {
  return 0.0f;
}

TEST(TableProof, NamesTheOperationThatDiffers) {
  const KernelTable& plain = *table(Isa::kPlain);
  KernelTable broken = plain;
  broken.matmul = matmul_off_by_a_bit;
  EXPECT_EQ(find_difference(broken, plain), "matmul Q6_K");
  for (const auto matmul :
       {matmul_of_one_row_off_by_a_bit, matmul_of_a_row_too_many, matmul_that_keeps_nothing}) {
    broken.matmul = matmul;
    EXPECT_EQ(find_difference(broken, plain), "matmul F32");
  }
  broken = plain;
  broken.attend = attend_off_by_a_bit;
  EXPECT_EQ(find_difference(broken, plain), "attend f16");
  broken = plain;
  broken.quantize_rows = quantize_nothing;
  EXPECT_EQ(find_difference(broken, plain), "quantize_rows");
  broken = plain;
  broken.round_rows = round_nothing;
  EXPECT_EQ(find_difference(broken, plain), "round_rows");
  broken = plain;
  broken.sum_exp = sum_of_nothing;
  EXPECT_EQ(find_difference(broken, plain), "argmax, block_maxima or sum_exp");
}

TEST(TableProof, ChoosesTheBestTableAndSaysNothingWhenItIsRight) {
  std::string warning;
  EXPECT_EQ(&best_proven_table(warning), &best_table());
  EXPECT_EQ(warning, "");
}

}  // namespace
}  // namespace inferno::kernel
