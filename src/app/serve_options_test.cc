#include "app/serve_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/gguf_test_writer.h"

namespace inferno::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ServeOptionsTest : public ::testing::Test {
 protected:
  // Parses arguments as the command would; throws the exit code.
  ServeOptions parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "serve");
    std::vector<char*> argv;
    for (std::string& argument : arguments)
      argv.push_back(argument.data());
    ServeOptions options;
    if (const auto code =
            parse_serve_options(static_cast<int>(argv.size()), argv.data(), options)) {
      throw *code;
    }
    return options;
  }
  std::string file(const std::string& name, std::string_view text = "x") {
    return folder_.write(name, text).string();
  }

  model::TemporaryFolder folder_;
};

TEST_F(ServeOptionsTest, SeveralModelsHaveNamesOfTheirOwn) {
  const std::string a = file("a.gguf");
  const std::string b = file("b=c.gguf");
  const auto specs = model_specs(parse({a, "named=" + a, b, "--port", "0"}));
  ASSERT_TRUE(specs) << specs.error().message;
  ASSERT_EQ(specs->size(), 3u);
  EXPECT_THAT((*specs)[0].names, ElementsAre("a"));
  EXPECT_THAT((*specs)[1].names, ElementsAre("named"));
  EXPECT_EQ((*specs)[1].source, a);
  EXPECT_THAT((*specs)[2].names, ElementsAre("b=c")) << "a path that exists is no NAME=MODEL";
}

TEST_F(ServeOptionsTest, ServedModelNamesAreForOneModel) {
  const std::string a = file("a.gguf");
  const auto specs =
      model_specs(parse({a, "--served-model-name", "x", "--served-model-name", "y"}));
  ASSERT_TRUE(specs);
  EXPECT_THAT(specs->front().names, ElementsAre("x", "y"));
  const auto refused = model_specs(parse({a, a, "--served-model-name", "x"}));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("NAME=MODEL"));
  EXPECT_EQ(model_specs(parse({"no-such-model"})).error().fault, Fault::kNotFound);
}

TEST_F(ServeOptionsTest, TheConfigurationFileHasTheKeysOfTheFlags) {
  const std::string config = file(
      "serve.toml",
      "model = [\"a\", \"x=b\"]\napi-key = [\"k1\", \"k2\"]\nadmin-key = \"root\"\n"
      "lazy = true\nidle-unload = 60\ninteractive-ttft = 0.5\nbatch-tpot = inf\n"
      "scheduling-policy = \"priority\"\nkv-eviction-policy = \"cost\"\nmodel-memory = \"1GiB\"\n"
      "deduplicate-requests = true\n");
  const ServeOptions options =
      parse({"--config", config, "--ageing", "7", "--max-queued", "9", "--max-itl-stretch", "3"});
  EXPECT_THAT(options.models, ElementsAre("a", "x=b"));
  EXPECT_THAT(options.api_keys, ElementsAre("k1", "k2"));
  EXPECT_EQ(options.admin_key, "root");
  EXPECT_TRUE(options.is_lazy);
  EXPECT_TRUE(options.deduplicate_requests);
  EXPECT_EQ(options.idle_unload_s, 60.0);
  const schedule::SchedulerConfig scheduler = scheduler_config(options.engine);
  EXPECT_EQ(scheduler.policy, schedule::Policy::kPriority);
  EXPECT_EQ(scheduler.targets[0].ttft_s, 0.5);
  EXPECT_EQ(scheduler.targets[2].tpot_s, schedule::kNoTarget);
  EXPECT_EQ(scheduler.targets[1].ttft_s, schedule::SchedulerConfig{}.targets[1].ttft_s);
  EXPECT_EQ(scheduler.ageing_s, 7.0);
  EXPECT_EQ(scheduler.max_itl_stretch, 3.0);
  EXPECT_EQ(options.engine.scheduling.max_queued, 9);
}

TEST_F(ServeOptionsTest, WrongValuesAreRefused) {
  for (const auto& wrong :
       std::vector<std::vector<std::string>>{{},
                                             {"m", "--interactive-ttft", "0"},
                                             {"m", "--ageing", "-1"},
                                             {"m", "--ageing", "soon"},
                                             {"m", "--max-itl-stretch", "-1"},
                                             {"m", "--scheduling-policy", "x"},
                                             {"m", "--model-memory", "lots"},
                                             {"m", "--model-dir", "/no/such"},
                                             {"m", "--idle-unload", "-1"},
                                             {"m", "--generation-config", "x"}}) {
    EXPECT_THROW(parse(wrong), int);
  }
}

TEST_F(ServeOptionsTest, AnErrorNamesTheOptionTheValueAndTheLimit) {
  const std::string typo = file("typo.toml", "portt = 0\n");
  const std::string section = file("section.toml", "[serve]\nthreads = 1\n");
  const std::string flag = file("flag.toml", "lazy = \"maybe\"\n");
  struct Case {
    std::vector<std::string> arguments;
    std::vector<std::string> said;
  };
  for (const Case& wrong : std::vector<Case>{
           {{"m", "--port", "70000"}, {"--port", "70000", "65535"}},
           {{"m", "--port", "http"}, {"--port", "http", "65535"}},
           {{"m", "--max-num-seqs", "0"}, {"--max-num-seqs", "0", "1 to 4096"}},
           {{"m", "--kv-cache-memory", "lots"}, {"serve: --kv-cache-memory: 'lots'", "512MiB"}},
           {{"m", "--lazy=maybe"}, {"--lazy", "'maybe'", "true or false"}},
           {{"m", "--config", typo}, {"--config", "'portt'"}},
           {{"m", "--config", section}, {"--config", "section [serve]"}},
           {{"m", "--config", flag}, {"--lazy", "'maybe'"}},
           {{"m", "--config", "/no/such.toml"}, {"/no/such.toml"}}}) {
    ::testing::internal::CaptureStderr();
    EXPECT_THROW(parse(wrong.arguments), int);
    const std::string message = ::testing::internal::GetCapturedStderr();
    for (const std::string& part : wrong.said)
      EXPECT_THAT(message, HasSubstr(part));
  }
}

TEST_F(ServeOptionsTest, OnlyKeysAndTheDrainTimeoutChangeWhileItRuns) {
  ServeOptions present = parse({"m", "--port", "1", "--api-key", "a"});
  EXPECT_THAT(take_changes(parse({"m", "--port", "2", "--api-key", "a"}), present), IsEmpty());
  EXPECT_EQ(present.port, 1);
  const ServeOptions next =
      parse({"m", "--api-key", "a", "--api-key", "b", "--drain-timeout", "5"});
  EXPECT_THAT(take_changes(next, present), ElementsAre("api-key", "drain-timeout"));
  EXPECT_THAT(present.api_keys, ElementsAre("a", "b"));
  EXPECT_EQ(present.drain_timeout_s, 5.0);
}

}  // namespace
}  // namespace inferno::app
