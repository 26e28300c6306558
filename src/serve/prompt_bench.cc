// Where the time of a long request goes before it reaches a generator: parsing, comparing,
// template, tokens. Decides what may run on an I/O thread (off_strand.h, share_key.h).
//
//   serve_bench --benchmark_filter=Prompt
//
// The text is English-like: words of a small list, each of which the vocabulary merges into one
// token. Bytes a second are those of the request's body.
#include <benchmark/benchmark.h>

#include <array>
#include <boost/json.hpp>
#include <set>

#include "serve/fake_generator.h"
#include "serve/fields.h"
#include "serve/prompt.h"
#include "serve/share_key.h"
#include "token/chat_template.h"

namespace inferno::serve {
namespace {

constexpr std::array kWords = {" the",    " quick", " brown", " server", " schedules", " tokens",
                               " of",     " many",  " and",   " never",  " waits",     " for",
                               " memory", " pages", " that",  " stream", " answers",   " to"};

// Bytes, and merges that build each word from its left.
token::Vocabulary word_vocabulary() {
  token::Vocabulary out;
  out.pre_tokenizer = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    out.tokens.push_back(token::piece_of_bytes({&c, 1}));
  }
  std::set<std::string> known;
  for (const std::string_view word : kWords) {
    for (size_t length = 2; length <= word.size(); ++length) {
      std::string whole = token::piece_of_bytes(word.substr(0, length));
      if (!known.insert(whole).second) continue;
      out.merges.push_back({token::piece_of_bytes(word.substr(0, length - 1)),
                            token::piece_of_bytes(word.substr(length - 1, 1))});
      out.tokens.push_back(std::move(whole));
    }
  }
  return out;
}

// A chat request whose one message has about as many bytes.
std::string chat_body(int64_t text_bytes) {
  std::string text;
  for (size_t i = 0; text.size() < static_cast<size_t>(text_bytes); ++i)
    text += kWords[(i * 7 + i / 5) % kWords.size()];
  return R"({"messages": [{"role": "user", "content": ")" + text +
         R"("}], "temperature": 0, "max_tokens": 1})";
}

// A model whose context takes any of the texts.
class Parts {
 public:
  Parts()
      : tokenizer_(std::move(*token::Tokenizer::create(word_vocabulary()))),
        template_(std::move(*token::ChatTemplate::parse(
            "{% for message in messages %}{{ message.role }}\n{{ message.content }}\n{% endfor %}",
            "", ""))) {
    ServedModel model;
    model.names = {"m"};
    model.tokenizer = tokenizer_.get();
    model.chat_template = &template_;
    model.generator = &generator_;
    entry_ = std::make_shared<ModelEntry>(std::move(model), registry_);
    entry_->limits.max_model_len = 4 << 20;
  }
  const ModelEntry& entry() const { return *entry_; }

 private:
  std::unique_ptr<token::Tokenizer> tokenizer_;
  token::ChatTemplate template_;
  FakeGenerator generator_;
  MetricRegistry registry_;
  std::shared_ptr<ModelEntry> entry_;
};

void count_bytes(benchmark::State& state, const std::string& body) {
  state.SetBytesProcessed(static_cast<int64_t>(body.size()) * state.iterations());
}

void PromptParse(benchmark::State& state) {
  const std::string body = chat_body(state.range(0));
  for (auto _ : state)
    benchmark::DoNotOptimize(parse_json_object(body));
  count_bytes(state, body);
}
BENCHMARK(PromptParse)->Range(2 << 10, 1 << 20);

void PromptCompare(benchmark::State& state) {
  net::HttpRequest request;
  request.method = "POST";
  request.path = "/v1/chat/completions";
  request.body = chat_body(state.range(0));
  for (auto _ : state)
    benchmark::DoNotOptimize(share_key_of(request, ShareScope::kIdentical));
  count_bytes(state, request.body);
}
BENCHMARK(PromptCompare)->Range(2 << 10, kMaxIdenticalBodyBytes / 2);

void PromptTemplate(benchmark::State& state) {
  const Parts parts;
  const std::string body = chat_body(state.range(0));
  const auto chat = read_chat_call(*parse_json_object(body), parts.entry().limits);
  for (auto _ : state)
    benchmark::DoNotOptimize(chat_text(parts.entry(), *chat));
  count_bytes(state, body);
}
BENCHMARK(PromptTemplate)->Range(2 << 10, 1 << 20);

void PromptWhole(benchmark::State& state) {
  const Parts parts;
  const std::string body = chat_body(state.range(0));
  for (auto _ : state) {
    const auto object = parse_json_object(body);
    const auto chat = read_chat_call(*object, parts.entry().limits);
    benchmark::DoNotOptimize(chat_prompt(parts.entry(), *chat));
  }
  count_bytes(state, body);
}
BENCHMARK(PromptWhole)->Range(2 << 10, 1 << 20);

}  // namespace
}  // namespace inferno::serve
