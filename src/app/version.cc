// inferno version: what this binary is and what this CPU can run of it.
#include "app/command.h"
#include "app/options.h"

namespace inferno::app {

int run_version(int, char**) {
  fmt::print("inferno {}\ncompiler {}\nkernels", INFERNO_VERSION, __VERSION__);
  for (const auto isa : kernel::kIsas) {
    fmt::print(" {}{}", kernel::name_of(isa),
               kernel::table(isa) != nullptr ? "" : " (not on this CPU)");
  }
  fmt::print("; best: {}\n", kernel::name_of(kernel::best_table().isa));
  return 0;
}

}  // namespace inferno::app
