// inferno bench serve: load for any OpenAI-compatible server, and what came back.
//
// Threads: main, which runs one event loop for all connections.
#pragma once

namespace inferno::app {

// argv[0] is "serve". Exit code 1 when no request succeeded, 2 for a wrong command line.
int run_bench_serve(int argc, char** argv);

}  // namespace inferno::app
