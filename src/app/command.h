// The program's commands: `inferno COMMAND ...`. One file each, wiring only.
//
// A command gets its own arguments (argv[0] is its name) and returns the process's exit code: 0
// done, 1 something failed (said on stderr), 2 the command line is wrong.
#pragma once

#include <span>

namespace inferno::app {

struct Command {
  const char* name;
  const char* summary;
  int (*run)(int argc, char** argv);
};

std::span<const Command> commands();

int run_serve(int argc, char** argv);
int run_run(int argc, char** argv);
int run_chat(int argc, char** argv);
int run_tokenize(int argc, char** argv);
int run_template(int argc, char** argv);
int run_info(int argc, char** argv);
int run_bench(int argc, char** argv);
int run_simulate(int argc, char** argv);
int run_version(int argc, char** argv);

}  // namespace inferno::app
