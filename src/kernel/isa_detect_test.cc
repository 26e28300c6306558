// Which tables there are on this CPU.
#include "kernel/isa_detect.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "kernel/isa/table.h"

namespace inferno::kernel {
namespace {

TEST(IsaDetect, AgreesWithTheFlagsOfTheKernel) {
  std::ifstream file("/proc/cpuinfo");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text.find("flags") == std::string::npos) GTEST_SKIP() << "no flags in /proc/cpuinfo";
  const auto has = [&](const char* flag) {
    return text.find(std::string(" ") + flag + " ") != std::string::npos;
  };
  const bool avx2 = has("avx2") && has("fma") && has("f16c") && has("bmi2");
  EXPECT_EQ(is_supported(Isa::kAvx2), avx2);
  EXPECT_EQ(is_supported(Isa::kAvx512), avx2 && has("avx512f") && has("avx512bw") &&
                                            has("avx512vl") && has("avx512dq") &&
                                            has("avx512_vnni"));
}

TEST(IsaDetect, AmxIsSupportedOrSaysWhyNot) {
  EXPECT_EQ(is_supported(Isa::kAmx), amx_obstacle().empty());
  EXPECT_EQ(amx_obstacle(), amx_obstacle()) << "asking again changes nothing";
  std::ifstream file("/proc/cpuinfo");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text.find("flags") == std::string::npos) GTEST_SKIP() << "no flags in /proc/cpuinfo";
  if (text.find(" amx_int8") == std::string::npos || text.find(" amx_bf16") == std::string::npos) {
    EXPECT_EQ(amx_obstacle(), "this CPU has no AMX");
    EXPECT_EQ(amx_refusal(), "");
  }
}

TEST(KernelTable, EveryEntryIsFilledAndKnowsItsName) {
  for (const KernelTable* kernels :
       {&plain::kTable, &avx2::kTable, &avx512::kTable, &amx_table()}) {
    EXPECT_NE(kernels->matmul, nullptr);
    EXPECT_NE(kernels->quantize_rows, nullptr);
    EXPECT_NE(kernels->round_rows, nullptr);
    EXPECT_NE(kernels->attend, nullptr);
    EXPECT_NE(kernels->sum_exp, nullptr);
  }
  EXPECT_STREQ(name_of(plain::kTable.isa), "plain");
  EXPECT_STREQ(name_of(avx2::kTable.isa), "avx2");
  EXPECT_STREQ(name_of(avx512::kTable.isa), "avx512");
  EXPECT_STREQ(name_of(amx_table().isa), "amx");
  EXPECT_EQ(amx_table().attend, avx512::kTable.attend);
}

TEST(KernelTable, BestIsTheWidestThereIs) {
  EXPECT_EQ(table(Isa::kPlain), &plain::kTable);
  const KernelTable* widest = &plain::kTable;
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (table(isa) != nullptr) widest = table(isa);
    EXPECT_EQ(table(isa) != nullptr, is_supported(isa));
  }
  EXPECT_EQ(&best_table(), widest);
}

}  // namespace
}  // namespace inferno::kernel
