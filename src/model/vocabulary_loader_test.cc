#include "model/vocabulary_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <tuple>
#include <unordered_map>

#include "base/conformance_data.h"
#include "model/gguf_test_writer.h"
#include "model/json_file.h"
#include "token/tokenizer.h"

namespace inferno::model {
namespace {

namespace json = boost::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using token::TokenType;
using token::Vocabulary;
using token::VocabularyKind;

// --- GGUF ---------------------------------------------------------------------------------------

GgufTestWriter sample_gguf(std::string_view model = "gpt2") {
  GgufTestWriter writer;
  writer.text("tokenizer.ggml.model", model)
      .texts("tokenizer.ggml.tokens", {"a", "b", "ab", "<s>", "</s>"})
      .texts("tokenizer.ggml.merges", {"a b"});
  return writer;
}

Result<Vocabulary> from_gguf(const GgufTestWriter& writer) {
  const std::vector<uint8_t> bytes = writer.finish();
  const Result<Gguf> file = Gguf::parse(bytes, "file");
  if (!file) return std::unexpected(file.error());
  return vocabulary_from_gguf(*file);
}

TEST(VocabularyFromGguf, ReadsEveryKey) {
  const Result<Vocabulary> vocabulary =
      from_gguf(sample_gguf("llama")
                    .text("tokenizer.ggml.pre", "default")
                    .numbers<float>("tokenizer.ggml.scores", GgufType::kF32, {1, 2, 3, 4, 5})
                    .numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kI32, {1, 1, 1, 3, 3})
                    .u32("tokenizer.ggml.bos_token_id", 3)
                    .u32("tokenizer.ggml.eos_token_id", 4)
                    .u32("tokenizer.ggml.eot_token_id", 2)
                    .u32("tokenizer.ggml.padding_token_id", 0xFFFFFFFF)
                    .u32("tokenizer.ggml.seperator_token_id", 1)
                    .flag("tokenizer.ggml.add_bos_token", 0)
                    .flag("tokenizer.ggml.add_eos_token", 1)
                    .flag("tokenizer.ggml.add_space_prefix", 0));
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->kind, VocabularyKind::kSentencePieceBpe);
  EXPECT_THAT(vocabulary->tokens, ElementsAre("a", "b", "ab", "<s>", "</s>"));
  EXPECT_THAT(vocabulary->scores, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(vocabulary->types[3], TokenType::kControl);
  ASSERT_EQ(vocabulary->merges.size(), 1u);
  EXPECT_EQ(vocabulary->merges[0].right, "b");
  EXPECT_EQ(vocabulary->bos, 3);
  EXPECT_EQ(vocabulary->eos, 4);
  EXPECT_EQ(vocabulary->eot, 2);
  EXPECT_EQ(vocabulary->sep, 1);
  EXPECT_EQ(vocabulary->unk, 0);  // SentencePiece's own
  EXPECT_EQ(vocabulary->pad, std::nullopt);
  EXPECT_FALSE(vocabulary->add_bos);
  EXPECT_TRUE(vocabulary->add_eos);
  EXPECT_FALSE(vocabulary->add_space_prefix);
}

TEST(VocabularyFromGguf, AbsentFlagsFollowFromTheKind) {
  const Result<Vocabulary> sentence_piece = from_gguf(sample_gguf("llama"));
  ASSERT_TRUE(sentence_piece) << sentence_piece.error().message;
  EXPECT_TRUE(sentence_piece->add_bos);
  const Result<Vocabulary> llama3 =
      from_gguf(sample_gguf().text("tokenizer.ggml.pre", "llama-bpe"));
  ASSERT_TRUE(llama3) << llama3.error().message;
  EXPECT_TRUE(llama3->add_bos);
  EXPECT_TRUE(llama3->ignore_merges);
  EXPECT_EQ(llama3->unk, std::nullopt);
  const Result<Vocabulary> gpt2 = from_gguf(sample_gguf().text("tokenizer.ggml.pre", "gpt-2"));
  ASSERT_TRUE(gpt2) << gpt2.error().message;
  EXPECT_FALSE(gpt2->add_bos);
}

TEST(VocabularyFromGguf, NamesTheKeyThatIsWrong) {
  const auto message = [](const GgufTestWriter& writer) {
    const Result<Vocabulary> vocabulary = from_gguf(writer);
    return vocabulary ? std::string("accepted") : vocabulary.error().message;
  };
  const auto with_model = [](std::string_view model) {
    return GgufTestWriter().text("tokenizer.ggml.model", model);
  };
  EXPECT_THAT(message(GgufTestWriter()), HasSubstr("tokenizer.ggml.model"));
  EXPECT_THAT(message(with_model("rwkv")), HasSubstr("'rwkv'"));
  EXPECT_EQ(from_gguf(with_model("none")).error().fault, Fault::kNotFound);
  EXPECT_THAT(message(with_model("gpt2")), HasSubstr("tokenizer.ggml.tokens"));
  EXPECT_THAT(message(with_model("gpt2").texts("tokenizer.ggml.tokens", {})),
              HasSubstr("0 entries"));
  EXPECT_THAT(message(with_model("gpt2").u32("tokenizer.ggml.tokens", 1)), HasSubstr("array"));
  EXPECT_THAT(message(sample_gguf().numbers<float>("tokenizer.ggml.scores", GgufType::kF32, {1})),
              HasSubstr("1 entries, must be 5"));
  EXPECT_THAT(
      message(sample_gguf().numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kI32, {1, 2})),
      HasSubstr("2 entries, must be 5"));
  EXPECT_THAT(message(sample_gguf().numbers<int32_t>("tokenizer.ggml.token_type", GgufType::kI32,
                                                     {1, 1, 1, 1, 7})),
              HasSubstr("entry 7"));
  EXPECT_THAT(message(with_model("gpt2")
                          .texts("tokenizer.ggml.tokens", {"a"})
                          .texts("tokenizer.ggml.merges", {"a b", "ab"})),
              HasSubstr("element 1"));
  EXPECT_THAT(message(sample_gguf().u32("tokenizer.ggml.eos_token_id", 5)),
              HasSubstr("eos_token_id"));
  EXPECT_THAT(
      message(sample_gguf().number<int32_t>("tokenizer.ggml.eos_token_id", GgufType::kI32, -2)),
      HasSubstr("-2"));
  EXPECT_THAT(message(sample_gguf().u32("tokenizer.ggml.add_bos_token", 1)), HasSubstr("bool"));
}

TEST(VocabularyFromGguf, ATemplateThatIsAbsentIsEmpty) {
  const std::vector<uint8_t> without = sample_gguf().finish();
  EXPECT_EQ(chat_template_from_gguf(*Gguf::parse(without, "file")), "");
  const std::vector<uint8_t> with = sample_gguf().text("tokenizer.chat_template", "{{x}}").finish();
  EXPECT_EQ(chat_template_from_gguf(*Gguf::parse(with, "file")), "{{x}}");
}

// --- folders ------------------------------------------------------------------------------------

constexpr std::string_view kByteLevel = R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},
  "merges":["a b"]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
  "added_tokens":[{"id":4,"content":"<s>","special":true,"rstrip":true},
  {"id":5,"content":"<t>"}]})";

std::string changed(std::string_view changes) {
  json::object object = parse_json_object(kByteLevel, "base").value();
  const json::object over = parse_json_object(changes, "changes").value();
  for (const auto& member : over)
    object[member.key()] = member.value();
  return json::serialize(object);
}

class VocabularyFromFolder : public ::testing::Test {
 protected:
  Result<Vocabulary> read(std::string_view tokenizer) {
    folder_.write("tokenizer.json", tokenizer);
    return vocabulary_from_folder(folder_.path());
  }
  std::string message(std::string_view changes) {
    const Result<Vocabulary> vocabulary = read(changed(changes));
    return vocabulary ? std::string("accepted") : vocabulary.error().message;
  }

  TemporaryFolder folder_;
};

TEST_F(VocabularyFromFolder, ReadsByteLevelBpe) {
  const Result<Vocabulary> vocabulary = read(kByteLevel);
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->kind, VocabularyKind::kByteLevelBpe);
  EXPECT_THAT(vocabulary->tokens, ElementsAre("a", "b", "ab", "[PAD3]", "<s>", "<t>"));
  EXPECT_THAT(vocabulary->types,
              ElementsAre(TokenType::kNormal, TokenType::kNormal, TokenType::kNormal,
                          TokenType::kUnused, TokenType::kControl, TokenType::kUserDefined));
  EXPECT_THAT(vocabulary->strip_right, ElementsAre(4));
  EXPECT_THAT(vocabulary->strip_left, IsEmpty());
  EXPECT_EQ(vocabulary->pre_tokenizer_regexes.size(), 1u);
  EXPECT_FALSE(vocabulary->add_bos);
  EXPECT_FALSE(vocabulary->normalize_nfc);
}

TEST_F(VocabularyFromFolder, ReadsMergesAsPairsAndPipelinesAsSequences) {
  const Result<Vocabulary> vocabulary = read(changed(R"({
    "model":{"vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]],"ignore_merges":true},
    "normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"}]},
    "pre_tokenizer":{"type":"Sequence","pretokenizers":[
      {"type":"Digits","individual_digits":true},
      {"type":"Split","pattern":{"String":"."},"behavior":"Isolated"},
      {"type":"Split","pattern":{"Regex":"x+"},"behavior":"Removed","invert":true},
      {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},
    "post_processor":{"type":"Sequence","processors":[{"type":"ByteLevel"},
      {"type":"TemplateProcessing",
       "single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}},
                 {"SpecialToken":{"id":"<t>"}}],
       "special_tokens":{"<s>":{"ids":[4]},"<t>":{"ids":[5]}}}]}})"));
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  ASSERT_EQ(vocabulary->merges.size(), 1u);
  EXPECT_EQ(vocabulary->merges[0].left, "a");
  EXPECT_TRUE(vocabulary->ignore_merges);
  EXPECT_TRUE(vocabulary->normalize_nfc);
  EXPECT_THAT(vocabulary->pre_tokenizer_regexes, ElementsAre(R"(\p{N})", R"(\.)", "x+"));
  EXPECT_TRUE(vocabulary->add_bos);
  EXPECT_TRUE(vocabulary->add_eos);
  EXPECT_EQ(vocabulary->bos, 4);
  EXPECT_EQ(vocabulary->eos, 5);
}

TEST_F(VocabularyFromFolder, TextThatNothingSplitsStaysWhole) {
  Result<Vocabulary> vocabulary = read(changed(
      R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},
      "model":{"type":"BPE","vocab":{"a":0,"\u0120":1,"a\u0120":2,"a\u0120a":3},
      "merges":["a \u0120","a\u0120 a"]}})"));
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  const auto tokenizer = token::Tokenizer::create(std::move(*vocabulary));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT((*tokenizer)->encode("a a"), ElementsAre(3));
}

TEST_F(VocabularyFromFolder, SpecialTokensComeFromTheOtherFiles) {
  folder_.write("tokenizer_config.json",
                R"({"bos_token":{"content":"<s>"},"eos_token":"<t>","pad_token":null})");
  folder_.write("generation_config.json", R"({"eos_token_id":[5,4,99,-1]})");
  folder_.write("config.json", R"({"eos_token_id":2,"text_config":{"eos_token_id":1}})");
  const Result<Vocabulary> vocabulary = read(kByteLevel);
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->bos, 4);
  EXPECT_EQ(vocabulary->eos, 5);
  EXPECT_EQ(vocabulary->pad, std::nullopt);
  EXPECT_THAT(vocabulary->end_of_generation, ElementsAre(5, 4, 2, 1));
}

TEST_F(VocabularyFromFolder, ABosOfNullIsNone) {
  folder_.write("config.json", R"({"bos_token_id":4,"eos_token_id":5})");
  folder_.write("tokenizer_config.json", R"({"bos_token":null})");
  EXPECT_EQ(read(kByteLevel)->bos, std::nullopt);
  EXPECT_EQ(read(kByteLevel)->eos, 5);
  std::filesystem::remove(folder_.path() / "tokenizer_config.json");
  EXPECT_EQ(read(kByteLevel)->bos, 4);
}

TEST_F(VocabularyFromFolder, NamesWhatItCannotExpress) {
  const auto model = [this](std::string_view fields) {
    return message(fmt::format(R"({{"model":{{{}}}}})", fields));
  };
  const std::string vocab = R"("vocab":{"a":0,"b":1},"type":"BPE")";
  EXPECT_EQ(message("{}"), "accepted");
  EXPECT_THAT(message(R"({"model":null})"), HasSubstr("'model'"));
  EXPECT_THAT(model(R"("type":"Unigram")"), HasSubstr("Unigram"));
  EXPECT_THAT(model(R"("type":"WordLevel")"), HasSubstr("WordLevel"));
  EXPECT_THAT(model(R"("type":"BPE")"), HasSubstr("vocab"));
  EXPECT_THAT(model(R"("type":"BPE","vocab":{"a":-1})"), HasSubstr("'a'"));
  EXPECT_THAT(model(R"("type":"BPE","vocab":{"a":4194304})"), HasSubstr("4194304"));
  EXPECT_THAT(model(R"("type":"BPE","vocab":{"a":1e3})"), HasSubstr("'a'"));
  EXPECT_THAT(model(R"("type":"BPE","vocab":{"a":0,"b":0})"), HasSubstr("id 0"));
  EXPECT_THAT(model(vocab + R"(,"merges":["ab"])"), HasSubstr("element 0"));
  EXPECT_THAT(model(vocab + R"(,"merges":[["a"]])"), HasSubstr("element 0"));
  EXPECT_THAT(model(vocab + R"(,"merges":[["a",""]])"), HasSubstr("element 0"));
  EXPECT_THAT(model(vocab + R"(,"dropout":0.1)"), HasSubstr("dropout"));
  EXPECT_THAT(model(vocab + R"(,"end_of_word_suffix":"</w>")"), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(model(vocab + R"(,"ignore_merges":"yes")"), HasSubstr("ignore_merges"));
  EXPECT_THAT(message(R"({"normalizer":{"type":"NFKC"}})"), HasSubstr("normalizer: type 'NFKC'"));
  EXPECT_THAT(message(R"({"normalizer":{}})"), HasSubstr("normalizer"));
  const auto splits = [this](std::string_view step) {
    return message(fmt::format(
        R"({{"pre_tokenizer":{{"type":"Sequence","pretokenizers":[{},{{"type":"ByteLevel"}}]}}}})",
        step));
  };
  EXPECT_THAT(splits(R"({"type":"WhitespaceSplit"})"), HasSubstr("WhitespaceSplit"));
  EXPECT_THAT(splits(R"({"type":"Split","pattern":{"Regex":"a"},"behavior":"MergedWithNext"})"),
              HasSubstr("MergedWithNext"));
  EXPECT_THAT(splits(R"({"type":"Split","behavior":"Isolated"})"), HasSubstr("Split"));
  EXPECT_THAT(splits(R"({"type":"Metaspace","replacement":"_"})"), HasSubstr("Metaspace"));
  EXPECT_THAT(message(R"({"added_tokens":[{"id":9}]})"), HasSubstr("added_tokens[0].content"));
  EXPECT_THAT(message(R"({"added_tokens":[1]})"), HasSubstr("added_tokens[0]"));
  EXPECT_THAT(message(R"({"added_tokens":[{"content":"x","id":"9"}]})"), HasSubstr("'x'"));
  EXPECT_THAT(message(R"({"added_tokens":[{"content":"x","id":0}]})"), HasSubstr("id 0"));
  EXPECT_THAT(message(R"({"added_tokens":[{"content":"x","id":9,"single_word":true}]})"),
              HasSubstr("single_word"));
}

TEST_F(VocabularyFromFolder, RefusesTemplatesOfMoreThanOneTokenASide) {
  const auto processor = [this](std::string_view single, std::string_view tokens) {
    return message(fmt::format(
        R"({{"post_processor":{{"type":"TemplateProcessing","single":{},"special_tokens":{}}}}})",
        single, tokens));
  };
  const std::string known = R"({"<s>":{"ids":[4]}})";
  const std::string text = R"({"Sequence":{"id":"A"}})";
  const std::string special = R"({"SpecialToken":{"id":"<s>"}})";
  EXPECT_EQ(processor("[" + special + "," + text + "]", known), "accepted");
  EXPECT_EQ(processor("[" + text + "]", "{}"), "accepted");
  EXPECT_THAT(processor("[" + special + "," + special + "," + text + "]", known),
              HasSubstr("at most one"));
  EXPECT_THAT(processor("[" + text + "," + text + "]", known), HasSubstr("at most one"));
  EXPECT_THAT(processor("[" + special + "]", known), HasSubstr("without the text"));
  EXPECT_THAT(processor("[" + special + "," + text + "]", "{}"), HasSubstr("'<s>'"));
  EXPECT_THAT(processor("[" + special + "," + text + "]", R"({"<s>":{"ids":[4,5]}})"),
              HasSubstr("several"));
  EXPECT_THAT(processor("[" + special + "," + text + "]", R"({"<s>":{"ids":[6]}})"),
              HasSubstr("below 6"));
  EXPECT_THAT(processor("[1]", known), HasSubstr("at most one"));
  EXPECT_THAT(processor("{}", known), HasSubstr("single"));
  EXPECT_THAT(message(R"({"post_processor":{"type":"BertProcessing","cls":["<s>",4]}})"),
              HasSubstr("sep"));
  EXPECT_THAT(message(R"({"post_processor":{"type":"Other"}})"), HasSubstr("Other"));
}

TEST_F(VocabularyFromFolder, IsNotFoundWithoutTokenizerJson) {
  EXPECT_EQ(vocabulary_from_folder(folder_.path()).error().fault, Fault::kNotFound);
}

TEST_F(VocabularyFromFolder, ChatTemplatesHaveAnOrder) {
  EXPECT_EQ(chat_template_from_folder(folder_.path()), "");
  folder_.write("chat_template.json", R"({"chat_template":"from json"})");
  EXPECT_EQ(chat_template_from_folder(folder_.path()), "from json");
  folder_.write("tokenizer_config.json", R"({"chat_template":[{"name":"tool_use","template":"t"},
    {"name":"default","template":"from list"}]})");
  EXPECT_EQ(chat_template_from_folder(folder_.path()), "from list");
  folder_.write("tokenizer_config.json", R"({"chat_template":"from config"})");
  EXPECT_EQ(chat_template_from_folder(folder_.path()), "from config");
  folder_.write("chat_template.jinja", std::string_view("from jinja"));
  EXPECT_EQ(chat_template_from_folder(folder_.path()), "from jinja");
}

// The tokenizer.json that Hugging Face's converter makes of a SentencePiece vocabulary: merges
// instead of scores, ranked by the score of what they make.
std::string converted(const Vocabulary& source) {
  std::unordered_map<std::string, size_t> ids;
  json::object vocab;
  json::array added;
  for (size_t i = 0; i < source.tokens.size(); ++i) {
    ids.emplace(source.tokens[i], i);
    vocab[source.tokens[i]] = i;
    if (source.types[i] == TokenType::kControl || source.types[i] == TokenType::kUnknown) {
      added.push_back({{"id", i}, {"content", source.tokens[i]}, {"special", true}});
    }
  }
  struct Rule {
    float score;  // of the piece it makes
    size_t piece, left, right;
  };
  std::vector<Rule> rules;
  for (size_t i = 0; i < source.tokens.size(); ++i) {
    if (source.types[i] != TokenType::kNormal) continue;
    const std::string& piece = source.tokens[i];
    for (size_t cut = 1; cut < piece.size(); ++cut) {
      const auto left = ids.find(piece.substr(0, cut));
      const auto right = ids.find(piece.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      rules.push_back({source.scores[i], i, left->second, right->second});
    }
  }
  std::ranges::sort(rules, {}, [](const Rule& rule) {
    return std::tuple(-rule.score, rule.piece, rule.left, rule.right);
  });
  json::array merges;
  for (const Rule& rule : rules) {
    merges.push_back(json::array{source.tokens[rule.left], source.tokens[rule.right]});
  }
  json::object root = parse_json_object(R"({"normalizer":{"type":"Sequence","normalizers":[
      {"type":"Prepend","prepend":"\u2581"},
      {"type":"Replace","pattern":{"String":" "},"content":"\u2581"}]},
      "pre_tokenizer":null,"post_processor":{"type":"TemplateProcessing",
      "single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],
      "special_tokens":{"<s>":{"ids":[1]}}}})",
                                        "text")
                          .value();
  root["added_tokens"] = added;
  root["model"] = {{"type", "BPE"},        {"byte_fallback", true}, {"fuse_unk", true},
                   {"unk_token", "<unk>"}, {"vocab", vocab},        {"merges", merges}};
  return json::serialize(root);
}

TEST_F(VocabularyFromFolder, SentencePieceByMergesEncodesAsByScores) {
  const std::filesystem::path path = conformance_data("tokenizers") / "llama-spm.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no vocabulary at " << path;
  const Result<Gguf> file = Gguf::open(path);
  ASSERT_TRUE(file) << file.error().message;
  Result<Vocabulary> by_scores = vocabulary_from_gguf(*file);
  ASSERT_TRUE(by_scores) << by_scores.error().message;
  Result<Vocabulary> by_merges = read(converted(*by_scores));
  ASSERT_TRUE(by_merges) << by_merges.error().message;
  EXPECT_EQ(by_merges->kind, VocabularyKind::kSentencePieceBpe);
  EXPECT_TRUE(by_merges->add_space_prefix);
  EXPECT_EQ(by_merges->unk, 0);
  EXPECT_EQ(by_merges->bos, 1);
  EXPECT_EQ(by_merges->types[3], TokenType::kByte);
  const auto expected = token::Tokenizer::create(std::move(*by_scores));
  ASSERT_TRUE(expected) << expected.error().message;
  const auto actual = token::Tokenizer::create(std::move(*by_merges));
  ASSERT_TRUE(actual) << actual.error().message;
  std::ifstream texts(path.string() + ".inp");
  int count = 0;
  for (std::string line; std::getline(texts, line); ++count) {
    EXPECT_EQ((*actual)->encode(line), (*expected)->encode(line)) << line;
  }
  EXPECT_GT(count, 40);
}

}  // namespace
}  // namespace inferno::model
