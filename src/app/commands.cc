// The list of commands, in the order in which `inferno --help` shows them.
#include <array>

#include "app/command.h"

namespace inferno::app {

std::span<const Command> commands() {
  static constexpr std::array kCommands = {
      Command{"serve", "serve a model over HTTP: OpenAI's API and a chat page", run_serve},
      Command{"run", "answer one prompt and exit", run_run},
      Command{"chat", "talk to a model in the terminal", run_chat},
      Command{"tokenize", "text on stdin to token ids as JSON, or back", run_tokenize},
      Command{"template", "render a conversation (JSON on stdin) with a chat template",
              run_template},
      Command{"info", "architecture, types, sizes and memory of a model", run_info},
      Command{"bench", "measure prefill and decode of a model on this machine", run_bench},
      Command{"simulate", "replay traffic through the scheduler in virtual time", run_simulate},
      Command{"version", "version, compiler and instruction sets", run_version},
  };
  return kCommands;
}

}  // namespace inferno::app
