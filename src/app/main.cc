// inferno: the one program. Picks the command and hands over.
#include <fmt/format.h>

#include <cstring>
#include <string_view>

#include "app/command.h"

namespace {

void print_usage(std::FILE* to) {
  fmt::print(to, "usage: inferno COMMAND [ARGUMENTS]\n\ncommands:\n");
  for (const auto& command : inferno::app::commands()) {
    fmt::print(to, "  {:<10} {}\n", command.name, command.summary);
  }
  fmt::print(to, "\n`inferno COMMAND --help` says more.\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name.empty() || name == "--help" || name == "-h" || name == "help") {
    print_usage(name.empty() ? stderr : stdout);
    return name.empty() ? 2 : 0;
  }
  if (name == "--version") return inferno::app::run_version(argc - 1, argv + 1);
  for (const auto& command : inferno::app::commands()) {
    if (name == command.name) return command.run(argc - 1, argv + 1);
  }
  fmt::print(stderr, "inferno: there is no command '{}'\n\n", name);
  print_usage(stderr);
  return 2;
}
