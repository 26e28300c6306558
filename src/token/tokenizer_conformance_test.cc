// Real vocabularies against the ids that Hugging Face's tokenizers make of the same texts.
#include <gmock/gmock.h>

#include <cstdlib>
#include <sstream>

#include "token/detokenizer.h"
#include "token/tokenizer.h"
#include "token/tokenizer_testing.h"

namespace inferno::token {
namespace {

using ::testing::ElementsAreArray;

std::vector<std::string> split_texts(const std::string& joined) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  size_t begin = 0;
  for (size_t end; (end = joined.find(kSeparator, begin)) != std::string::npos;
       begin = end + kSeparator.size()) {
    texts.push_back(joined.substr(begin, end - begin));
  }
  if (begin < joined.size()) texts.push_back(joined.substr(begin));
  return texts;
}

struct Case {
  std::string name;
  Vocabulary vocabulary;
  std::string stem;  // of the files .inp and .out
};

void expect_reference_ids(Case reference) {
  const auto folder = *testing::reference_folder();
  const auto tokenizer = testing::make_tokenizer(std::move(reference.vocabulary));
  const auto texts = split_texts(testing::read_file(folder / (reference.stem + ".inp")));
  std::istringstream lines(testing::read_file(folder / (reference.stem + ".out")));
  ASSERT_GE(texts.size(), 40u);
  for (const std::string& text : texts) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    std::istringstream numbers(line);
    const std::vector<TokenId> expected{std::istream_iterator<TokenId>(numbers), {}};
    EXPECT_THAT(tokenizer->encode(text, {.add_special = false}), ElementsAreArray(expected))
        << reference.name << ": \"" << text << '"';
    if (tokenizer->vocabulary().kind == VocabularyKind::kWordPiece) continue;
    EXPECT_EQ(tokenizer->decode(expected), text) << reference.name;
  }
  EXPECT_EQ(tokenizer->degraded_splits(), 0u);
}

void expect_gguf_conforms(const std::string& name) {
  const auto folder = testing::reference_folder();
  if (!folder) GTEST_SKIP() << "no ../shared/tokenizers beside the source";
  expect_reference_ids(
      {name, testing::read_gguf_vocabulary(*folder / (name + ".gguf")), name + ".gguf"});
}

TEST(TokenizerConformance, LlamaSentencePiece) {
  expect_gguf_conforms("llama-spm");
}
TEST(TokenizerConformance, Phi3) {
  expect_gguf_conforms("phi-3");
}
TEST(TokenizerConformance, Gpt2) {
  expect_gguf_conforms("gpt-2");
}
TEST(TokenizerConformance, StarCoder) {
  expect_gguf_conforms("starcoder");
}
TEST(TokenizerConformance, DeepSeekLlm) {
  expect_gguf_conforms("deepseek-llm");
}

TEST(TokenizerConformance, BertBge) {
  expect_gguf_conforms("bert-bge");
}

TEST(TokenizerConformance, Llama3FromTiktoken) {
  const auto folder = testing::reference_folder();
  if (!folder) GTEST_SKIP() << "no ../shared/tokenizers beside the source";
  Vocabulary vocabulary = testing::read_tiktoken_vocabulary(*folder / "llama-bpe.tiktoken");
  vocabulary.pre_tokenizer = "llama-bpe";
  set_implied_flags(vocabulary);
  EXPECT_TRUE(vocabulary.ignore_merges);
  expect_reference_ids({"llama-bpe", std::move(vocabulary), "llama-bpe"});
}

TEST(TokenizerConformance, Qwen2FromJson) {
  const auto folder = testing::reference_folder();
  if (!folder) GTEST_SKIP() << "no ../shared/tokenizers beside the source";
  Vocabulary vocabulary =
      testing::read_json_vocabulary(*folder / "qwen2.vocab.json", *folder / "qwen2.merges.txt");
  vocabulary.pre_tokenizer = "qwen2";
  expect_reference_ids({"qwen2", std::move(vocabulary), "qwen2"});
}

}  // namespace
}  // namespace inferno::token
