#include "app/options.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "app/model_names.h"
#include "app/prompt.h"
#include "model/model_cache.h"

namespace inferno::app {
namespace {

// Parses arguments as a command would.
EngineOptions parse_engine(std::vector<std::string> arguments) {
  CLI::App app;
  EngineOptions options;
  prepare(app, "test", "");
  add_engine_options(app, options);
  arguments.insert(arguments.begin(), "test");
  std::vector<char*> argv;
  for (std::string& argument : arguments)
    argv.push_back(argument.data());
  const auto code = parse(app, static_cast<int>(argv.size()), argv.data());
  if (code) throw CLI::RuntimeError(*code);
  return options;
}

TEST(Options, NamesTheTypeOfTheKvCache) {
  EXPECT_EQ(kv_type_of(parse_engine({"model"}).kv_cache_dtype), kernel::KvType::kF16);
  const std::pair<const char*, kernel::KvType> named[] = {{"auto", kernel::KvType::kF16},
                                                          {"f32", kernel::KvType::kF32},
                                                          {"f16", kernel::KvType::kF16},
                                                          {"bf16", kernel::KvType::kBF16},
                                                          {"int8", kernel::KvType::kInt8}};
  for (const auto& [name, type] : named) {
    const EngineOptions options = parse_engine({"model", "--kv-cache-dtype", name});
    EXPECT_EQ(kv_type_of(options.kv_cache_dtype), type) << name;
  }
  EXPECT_THROW(parse_engine({"model", "--kv-cache-dtype", "int4"}), CLI::Error);
}

TEST(Options, AFlagBeatsTheVariableAndTheVariableBeatsTheFile) {
  const std::string file = ::testing::TempDir() + "options_test.toml";
  std::ofstream(file) << "max-num-seqs = 3\nthreads = 5\nmodel = \"from-file\"\n";
  setenv("INFERNO_THREADS", "6", 1);
  const EngineOptions options = parse_engine({"--config", file, "--max-model-len", "100"});
  EXPECT_EQ(options.model, "from-file");
  EXPECT_EQ(options.max_num_seqs, 3);
  EXPECT_EQ(options.threads, 6);
  EXPECT_EQ(options.max_model_len, 100);
  EXPECT_EQ(parse_engine({"m", "--threads", "7"}).threads, 7);
  unsetenv("INFERNO_THREADS");
  setenv("INFERNO_ENABLE_PREFIX_CACHING", "false", 1);
  EXPECT_FALSE(parse_engine({"m"}).prefix_caching);
  EXPECT_TRUE(parse_engine({"m", "--enable-prefix-caching"}).prefix_caching);
  unsetenv("INFERNO_ENABLE_PREFIX_CACHING");
  std::remove(file.c_str());
}

TEST(Options, PrefixCachingIsOnUntilItIsTurnedOff) {
  EXPECT_TRUE(parse_engine({"m"}).prefix_caching);
  EXPECT_FALSE(parse_engine({"m", "--no-enable-prefix-caching"}).prefix_caching);
  setenv("INFERNO_NO_ENABLE_PREFIX_CACHING", "1", 1);
  EXPECT_FALSE(parse_engine({"m"}).prefix_caching);
  EXPECT_TRUE(parse_engine({"m", "--enable-prefix-caching"}).prefix_caching);
  setenv("INFERNO_NO_ENABLE_PREFIX_CACHING", "perhaps", 1);
  EXPECT_THROW(parse_engine({"m"}), CLI::Error);
  unsetenv("INFERNO_NO_ENABLE_PREFIX_CACHING");
  const std::string file = ::testing::TempDir() + "options_test_no.toml";
  std::ofstream(file) << "no-enable-prefix-caching = true\n";
  EXPECT_FALSE(parse_engine({"m", "--config", file}).prefix_caching);
  std::remove(file.c_str());
}

TEST(Options, WrongValuesAreRefused) {
  for (const auto& wrong : std::vector<std::vector<std::string>>{{"m", "--threads", "-1"},
                                                                 {"m", "--isa", "mmx"},
                                                                 {"m", "--kv-cache-memory", "lots"},
                                                                 {"m", "--max-num-seqs", "0"},
                                                                 {"m", "--no-such-flag"},
                                                                 {}}) {
    EXPECT_THROW(parse_engine(wrong), CLI::ParseError);
  }
}

TEST(Options, ASeedIsAWholeNumber) {
  const auto parse_seed = [](std::string text) {
    CLI::App app;
    SamplingOptions options;
    prepare(app, "test", "");
    add_sampling_options(app, options);
    std::vector<std::string> arguments{"test", "--seed", std::move(text)};
    std::vector<char*> argv;
    for (std::string& argument : arguments)
      argv.push_back(argument.data());
    if (const auto code = parse(app, static_cast<int>(argv.size()), argv.data()))
      throw CLI::RuntimeError(*code);
    return options.seed;
  };
  EXPECT_EQ(parse_seed("18446744073709551615"), UINT64_MAX);
  for (const char* wrong : {"-1", "1.5", "x", "18446744073709551616"}) {
    EXPECT_THROW(parse_seed(wrong), CLI::Error) << wrong;
  }
}

TEST(Options, VariablesFollowFromFlags) {
  EXPECT_EQ(variable_of("--max-num-seqs"), "INFERNO_MAX_NUM_SEQS");
}

TEST(Report, NamesTheFieldOnce) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(report("run", Error{Fault::kInvalid, "9 is too much", "max-model-len"}), 1);
  report("run", Error{Fault::kInvalid, "threads: no", "threads"});
  report("run", Error{Fault::kInvalid, "no", {}});
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "inferno run: max-model-len: 9 is too much\ninferno run: threads: no\n"
            "inferno run: no\n");
}

TEST(ParseMemory, UnderstandsUnitsAndShares) {
  constexpr size_t kFree = 1000;
  EXPECT_EQ(*parse_memory("512MiB", kFree), size_t{512} << 20);
  EXPECT_EQ(*parse_memory("4 GiB", kFree), size_t{4} << 30);
  EXPECT_EQ(*parse_memory("2GB", kFree), 2'000'000'000u);
  EXPECT_EQ(*parse_memory("4096", kFree), 4096u);
  EXPECT_EQ(*parse_memory("25%", kFree), 250u);
  EXPECT_EQ(*parse_memory("0.5", kFree), 500u);
}

TEST(ParseMemory, RefusesWhatIsNoAmount) {
  for (const char* wrong : {"", "lots", "-1GiB", "0", "101%", "5 parsecs", "nan", "1e300GiB"}) {
    const auto result = parse_memory(wrong, 1000);
    ASSERT_FALSE(result) << wrong;
    EXPECT_NE(result.error().message.find("kv-cache-memory"), std::string::npos);
  }
}

TEST(TableOf, KnowsEveryTableOfThisCpu) {
  EXPECT_EQ((*table_of("plain"))->isa, kernel::Isa::kPlain);
  EXPECT_EQ(*table_of("auto"), &kernel::best_table());
  EXPECT_FALSE(table_of("mmx"));
}

TEST(TableOf, SaysWhyThereIsNoAmx) {
  const auto found = table_of("amx");
  if (found) GTEST_SKIP() << "this CPU has AMX";
  const std::string& why = found.error().message;
  EXPECT_NE(why.find("this CPU has "), std::string::npos) << why;
  EXPECT_NE(why.find("AMX"), std::string::npos) << why;
}

TEST(FindModel, FindsPathsAndCachedNamesAndSaysWhereItLooked) {
  const std::filesystem::path cache =
      std::filesystem::path(::testing::TempDir()) / "find_model_test";
  std::filesystem::create_directories(cache / "inferno/models");
  std::ofstream(cache / "inferno/models/some-model.gguf") << "x";
  const char* before = std::getenv("XDG_CACHE_HOME");
  const std::string saved = before != nullptr ? before : "";
  setenv("XDG_CACHE_HOME", cache.c_str(), 1);
  EXPECT_EQ(model::model_cache(), cache / "inferno/models");
  EXPECT_EQ(*find_model("some-model"), cache / "inferno/models/some-model.gguf");
  EXPECT_EQ(*find_model(cache.string()), cache);
  const auto unknown = find_model("other-model");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().fault, Fault::kNotFound);
  EXPECT_NE(unknown.error().message.find("some-model.gguf"), std::string::npos);
  const auto known = find_model("qwen2.5-coder-1.5b");
  ASSERT_FALSE(known);
  EXPECT_NE(known.error().message.find("./dev model qwen2.5-coder-1.5b"), std::string::npos);
  EXPECT_FALSE(find_model("../some-model"));
  if (before != nullptr) {
    setenv("XDG_CACHE_HOME", saved.c_str(), 1);
  } else {
    unsetenv("XDG_CACHE_HOME");
  }
  std::filesystem::remove_all(cache);
}

TEST(SamplingOptions, ReachTheRequest) {
  CLI::App app;
  SamplingOptions options;
  add_sampling_options(app, options);
  std::vector<std::string> arguments = {"9", "--seed", "0.5", "--top-p", "7", "--max-tokens"};
  app.parse(arguments);
  const request::SamplingParams sampling = sampling_of(options, {});
  EXPECT_EQ(sampling.max_tokens, 7);
  EXPECT_EQ(sampling.top_p, 0.5f);
  EXPECT_EQ(sampling.seed, 9u);
  EXPECT_EQ(sampling.temperature, request::SamplingParams().temperature);
}

TEST(SamplingOptions, WhatIsNotGivenIsTheModelsDefault) {
  GenerationDefaults defaults;
  defaults.sampling.temperature = 0.7f;
  defaults.sampling.top_k = 20;
  defaults.sampling.repetition_penalty = 1.1f;
  SamplingOptions options;
  options.top_k = 0;
  request::SamplingParams sampling = sampling_of(options, defaults);
  EXPECT_EQ(sampling.temperature, 0.7f);
  EXPECT_EQ(sampling.top_k, 0);
  EXPECT_EQ(sampling.repetition_penalty, 1.1f);
  EXPECT_EQ(sampling.max_tokens, kDefaultMaxTokens);
  defaults.max_tokens = 2048;
  EXPECT_EQ(sampling_of(options, defaults).max_tokens, 2048);
  options.max_tokens = 3;
  EXPECT_EQ(sampling_of(options, defaults).max_tokens, 3);
}

TEST(SamplingOptions, ReadTheModelsFilesUnlessToldNotTo) {
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / "sampling_options_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "generation_config.json") << R"({"temperature": 0.25, "top_p": 9})";
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(generation_defaults({}, folder.string()).sampling.temperature, 0.25f);
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("top_p is 9"), std::string::npos);
  SamplingOptions none;
  none.generation_config = "vllm";
  EXPECT_EQ(generation_defaults(none, folder.string()).sampling.temperature, 1.0f);
  std::filesystem::remove_all(folder);
}

TEST(BytesText, HasAUnitThatFits) {
  EXPECT_EQ(bytes_text(144), "144 B");
  EXPECT_EQ(bytes_text(23040), "22.5 KiB");
  EXPECT_EQ(bytes_text(size_t{512} << 20), "512.0 MiB");
  EXPECT_EQ(bytes_text(size_t{3} << 29), "1.50 GiB");
}

}  // namespace
}  // namespace inferno::app
