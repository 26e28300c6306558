// The commands that need a model's text but not its weights: tokenize and template.
#include <boost/json.hpp>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <sstream>

#include "app/command.h"
#include "app/local_model.h"

namespace inferno::app {
namespace {

std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Result<boost::json::value> parse_json(const std::string& text) {
  boost::system::error_code trouble;
  boost::json::value value = boost::json::parse(text, trouble, {}, {.max_depth = 128});
  if (trouble) return fail(Fault::kInvalid, "stdin is not JSON: {}", trouble.message());
  return value;
}

Result<std::string> decode_ids(const token::Tokenizer& tokenizer, const std::string& text,
                               token::DecodeOptions options) {
  auto value = parse_json(text);
  if (!value) return std::unexpected(value.error());
  if (!value->is_array()) return fail(Fault::kInvalid, "stdin is not an array of token ids");
  std::vector<TokenId> ids;
  for (const boost::json::value& item : value->get_array()) {
    boost::system::error_code trouble;
    const auto id = item.to_number<TokenId>(trouble);
    if (trouble || id < 0 || id >= tokenizer.vocab_size()) {
      return fail(Fault::kInvalid, "'{}' is not a token id; the vocabulary has {}",
                  boost::json::serialize(item), tokenizer.vocab_size());
    }
    ids.push_back(id);
  }
  return tokenizer.decode(ids, options);
}

// "2026-11-23T09:05:07" in the process's time zone, as templates that print the date are tested.
Result<std::chrono::system_clock::time_point> time_of(const std::string& text) {
  std::tm fields{};
  std::istringstream in(text);
  in >> std::get_time(&fields,
                      text.find('T') != std::string::npos ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d");
  fields.tm_isdst = -1;
  if (in.fail()) {
    return fail_field("date", "date is '{}', expected YYYY-MM-DD or YYYY-MM-DDThh:mm:ss", text);
  }
  return std::chrono::system_clock::from_time_t(std::mktime(&fields));
}

std::string text_or_empty(const boost::json::object& object, std::string_view key) {
  const boost::json::value* found = object.if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

Result<std::string> render(const std::string& source_or_model, boost::json::object input) {
  std::optional<token::ChatTemplate> chat_template;
  std::error_code trouble;
  const std::filesystem::path path = source_or_model;
  const bool is_template_file =
      std::filesystem::is_regular_file(path, trouble) && path.extension() != ".gguf";
  if (is_template_file) {
    std::ifstream file(path, std::ios::binary);
    auto parsed = token::ChatTemplate::parse(read_all(file), text_or_empty(input, "bos_token"),
                                             text_or_empty(input, "eos_token"));
    if (!parsed) return std::unexpected(parsed.error());
    chat_template = std::move(*parsed);
  } else {
    std::string warning;
    auto text = open_text(source_or_model, model::Checkpoint::Need::kVocabulary, warning);
    if (!text) return std::unexpected(text.error());
    if (!warning.empty()) return fail(Fault::kInvalid, "{}", warning);
    if (!text->chat_template) {
      return fail(Fault::kNotFound, "{} has no chat template", text->checkpoint->name());
    }
    chat_template = std::move(*text->chat_template);
  }
  token::ChatTemplate::Input request;
  request.now = std::chrono::system_clock::now();
  request.add_generation_prompt = false;
  for (auto& [key, value] : input) {
    if (key == "messages") {
      if (!value.is_array()) return fail_field("messages", "messages is not an array");
      request.messages = value.get_array();
    } else if (key == "tools") {
      request.tools = value;
    } else if (key == "add_generation_prompt") {
      request.add_generation_prompt = value.is_bool() && value.get_bool();
    } else if (key == "date" && value.is_string()) {
      auto time = time_of(std::string(value.get_string()));
      if (!time) return std::unexpected(time.error());
      request.now = *time;
    } else if (key != "bos_token" && key != "eos_token") {
      request.extra[key] = value;
    }
  }
  return chat_template->render(request);
}

}  // namespace

int run_tokenize(int argc, char** argv) {
  CLI::App app;
  std::string model;
  bool decodes = false;
  bool adds_special = false;
  bool parses_special = false;
  prepare(app, "tokenize",
          "Reads text on stdin and prints its token ids as a JSON array; or the other way round.");
  app.add_option("model", model, "a model, or a GGUF file that holds only a vocabulary")
      ->required();
  app.add_flag("--decode", decodes, "read a JSON array of ids and print the text");
  app.add_flag("--add-special", adds_special, "add BOS and EOS as the model's own encoding does");
  app.add_flag("--parse-special", parses_special,
               "read control tokens that the text spells, and show them with --decode");
  if (const auto code = parse(app, argc, argv)) return *code;
  std::string warning;
  auto text = open_text(model, model::Checkpoint::Need::kVocabulary, warning);
  if (!text) return report("tokenize", text.error());
  const std::string input = read_all(std::cin);
  if (decodes) {
    auto decoded = decode_ids(*text->tokenizer, input, {.skip_special = !parses_special});
    if (!decoded) return report("tokenize", decoded.error());
    std::fwrite(decoded->data(), 1, decoded->size(), stdout);
    return 0;
  }
  const auto ids = text->tokenizer->encode(
      input, {.add_special = adds_special, .parse_special = parses_special});
  boost::json::array array;
  for (const TokenId id : ids)
    array.emplace_back(id);
  fmt::print("{}\n", boost::json::serialize(array));
  return 0;
}

int run_template(int argc, char** argv) {
  CLI::App app;
  std::string source;
  prepare(app, "template",
          "Reads JSON on stdin (messages, tools, add_generation_prompt, anything else the template "
          "uses) and prints "
          "the text that the chat template makes of it.");
  app.add_option("template", source, "a template file, or a model that holds one")->required();
  if (const auto code = parse(app, argc, argv)) return *code;
  auto input = parse_json(read_all(std::cin));
  if (!input) return report("template", input.error());
  if (!input->is_object()) {
    return report("template", Error{Fault::kInvalid, "stdin is not a JSON object", {}});
  }
  auto text = render(source, input->get_object());
  if (!text) return report("template", text.error());
  std::fwrite(text->data(), 1, text->size(), stdout);
  return 0;
}

}  // namespace inferno::app
