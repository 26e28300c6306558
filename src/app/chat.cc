// inferno chat MODEL: a conversation in the terminal, with line editing and history. Ctrl-C stops
// an answer; Ctrl-D or /exit leaves.
#include <editline/readline.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/json.hpp>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <iostream>

#include "app/answer.h"
#include "app/command.h"
#include "app/local_model.h"
#include "app/prompt.h"

namespace inferno::app {
namespace {

std::atomic<bool> interrupted{false};

void on_interrupt(int) {
  interrupted.store(true);
}

void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a Ctrl-C at the prompt ends the read
  sigaction(SIGINT, &action, nullptr);
}

// ${XDG_STATE_HOME:-~/.local/state}/inferno/history
std::string history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder = state != nullptr && *state != '\0' ? std::filesystem::path(state)
                                 : home != nullptr ? std::filesystem::path(home) / ".local/state"
                                                   : std::filesystem::path();
  if (folder.empty()) return {};
  folder /= "inferno";
  std::error_code trouble;
  std::filesystem::create_directories(folder, trouble);
  return trouble ? std::string() : (folder / "history").string();
}

// The next line of the user; none at the end of input. Without a terminal lines are read as they
// are.
class Lines {
 public:
  Lines() : file_(history_file()), is_terminal_(isatty(STDIN_FILENO) != 0) {
    if (!is_terminal_) return;
    std::setlocale(LC_CTYPE, "");
    rl_initialize();
    using_history();
    if (!file_.empty()) read_history(file_.c_str());
  }

  ~Lines() {
    if (!is_terminal_ || file_.empty()) return;
    stifle_history(1000);
    write_history(file_.c_str());
    chmod(file_.c_str(), S_IRUSR | S_IWUSR);
  }

  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  std::optional<std::string> next() {
    std::string line;
    if (!is_terminal_) {
      if (!std::getline(std::cin, line)) return std::nullopt;
      return line;
    }
    for (;;) {
      interrupted.store(false);
      char* raw = readline("> ");
      if (raw != nullptr) {
        line = raw;
        std::free(raw);
        if (!line.empty()) add_history(line.c_str());
        return line;
      }
      fmt::print("\n");
      if (!interrupted.load()) return std::nullopt;
    }
  }

 private:
  std::string file_;
  bool is_terminal_;
};

// Answers the conversation so far; appends what was said, also when it was stopped.
Result<void> answer_turn(LocalModel& model, const request::SamplingParams& sampling,
                         boost::json::array& messages) {
  auto prompt = chat_prompt(model, messages);
  if (!prompt) return std::unexpected(prompt.error());
  request::Request request;
  request.prompt = std::move(*prompt);
  request.sampling = sampling;
  const int room = model.engine().max_model_len() - static_cast<int>(request.prompt.size());
  if (room < 1) {
    return fail(Fault::kTooLong,
                "the conversation has {} tokens, the limit is {}: /reset starts anew",
                request.prompt.size(), model.engine().max_model_len());
  }
  interrupted.store(false);
  auto answer = generate(model.engine(), std::move(request), [](const std::string& piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
    return !interrupted.load();
  });
  if (!answer) return std::unexpected(answer.error());
  fmt::print("{}\n", interrupted.load() ? " [stopped]" : "");
  messages.push_back({{"role", "assistant"}, {"content", answer->text}});
  return {};
}

}  // namespace

int run_chat(int argc, char** argv) {
  CLI::App app;
  EngineOptions engine;
  engine.max_num_seqs = 1;
  SamplingOptions sampling;
  std::string system_prompt;
  prepare(app, "chat", "A conversation in the terminal. Ctrl-C stops an answer, Ctrl-D leaves.");
  add_engine_options(app, engine);
  add_sampling_options(app, sampling);
  add_option(app, "--system", system_prompt, "system prompt");
  if (const auto code = parse(app, argc, argv)) return *code;
  MetricRegistry metrics;
  auto model = LocalModel::load(engine, metrics, LocalModel::Progress::kShown);
  if (!model) return report("chat", model.error());
  if ((*model)->chat_template() == nullptr) {
    return report(
        "chat",
        Error{Fault::kInvalid, "the model has no chat template; use `inferno run --raw`", {}});
  }
  const request::SamplingParams params =
      sampling_of(sampling, generation_defaults(sampling, engine.model));
  catch_interrupts();
  fmt::print("/reset starts anew, /exit leaves\n");
  boost::json::array messages;
  const auto start_anew = [&] {
    messages.clear();
    if (!system_prompt.empty())
      messages.push_back({{"role", "system"}, {"content", system_prompt}});
  };
  start_anew();
  Lines lines;
  while (auto line = lines.next()) {
    if (line->empty()) continue;
    if (*line == "/exit" || *line == "/quit") break;
    if (*line == "/reset") {
      start_anew();
      continue;
    }
    messages.push_back({{"role", "user"}, {"content", *line}});
    if (auto done = answer_turn(**model, params, messages); !done) {
      report("chat", done.error());
      messages.pop_back();
    }
  }
  return 0;
}

}  // namespace inferno::app
