#!/usr/bin/env python3
"""Inferno against llama.cpp on this machine: prefill and decode of one GGUF file, in one run.

Installs llama.cpp (through llama-cpp-python, built from source for this machine) into a Python
environment of its own, then measures in rounds: each round runs every contender once, in an order
that turns, so that a slow minute of the machine falls on all of them. Every measurement is a fresh
process. llama.cpp runs with flash attention on and off; its better median counts.

Both sides do the same: `ppN` is N prompt tokens in batches of up to 512 with logits for the last
one only, `tgN` is N single-token steps into an empty cache, each with logits; same file, same
thread count, one warm-up of each before the first measurement, time of the steps alone.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEER = "llama-cpp-python==0.3.36"
BATCH_TOKENS = 512
# Options of llama.cpp's own build: everything this CPU has, no GPU.
BUILD_OPTIONS = "-DGGML_NATIVE=ON -DLLAMA_CURL=OFF"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model",
        nargs="?",
        default="smollm2-135m",
        help="a GGUF file, or a name from the cache (default: %(default)s)",
    )
    parser.add_argument("--pp", type=int, default=512, help="prompt tokens (default: %(default)s)")
    parser.add_argument("--tg", type=int, default=64, help="decoded tokens (default: %(default)s)")
    parser.add_argument(
        "--threads",
        type=int,
        default=available_cores(),
        help="threads of both sides (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument(
        "--reps",
        type=int,
        default=2,
        help="measurements of each test in a round (default: %(default)s)",
    )
    parser.add_argument(
        "--binary",
        type=pathlib.Path,
        default=os.environ.get("INFERNO_BINARY", ROOT / "build/release/inferno"),
        help="the inferno program (default: %(default)s)",
    )
    parser.add_argument(
        "--venv",
        type=pathlib.Path,
        default=ROOT / "build/venv-peers",
        help="environment for llama.cpp, made when absent (default: %(default)s)",
    )
    parser.add_argument(
        "--decode-ratio",
        type=float,
        default=None,
        metavar="R",
        help="exit 1 when decode is under R times llama.cpp's",
    )
    parser.add_argument(
        "--prefill-ratio",
        type=float,
        default=None,
        metavar="R",
        help="exit 1 when prefill is under R times llama.cpp's",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--peer", choices=["fa-on", "fa-off"], help=argparse.SUPPRESS)
    return parser.parse_args()


def available_cores():
    return len(os.sched_getaffinity(0))


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- llama.cpp's side: runs inside its environment, prints one JSON line


class Peer:
    """One llama.cpp context, driven by llama_decode."""

    def __init__(self, options):
        import llama_cpp

        self.api = llama_cpp
        llama_cpp.llama_backend_init()
        model_parameters = llama_cpp.llama_model_default_params()
        model_parameters.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(
            str(options.model).encode(), model_parameters
        )
        if not self.model:
            sys.exit(f"llama.cpp cannot load {options.model}")
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = max(options.pp, options.tg) + 32
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        parameters.n_threads = parameters.n_threads_batch = options.threads
        parameters.flash_attn_type = (
            llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if options.peer == "fa-on"
            else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        if not self.context:
            sys.exit("llama.cpp cannot make a context")
        vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        size = llama_cpp.llama_vocab_n_tokens(vocabulary)
        count = max(options.pp, options.tg)
        self.tokens = (llama_cpp.llama_token * count)(
            *[(i * 7919 + 17) % size for i in range(count)]
        )

    def clear(self):
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)

    def decode(self, first, count):
        """One llama_decode of these tokens; logits of the last one, which is its default."""
        token_type = self.api.llama_token
        part = (token_type * count).from_buffer(self.tokens, first * 4)
        if self.api.llama_decode(self.context, self.api.llama_batch_get_one(part, count)) != 0:
            sys.exit("llama_decode failed")

    def prefill(self, count):
        """Tokens a second of one prompt."""
        self.clear()
        begin = time.perf_counter()
        for first in range(0, count, BATCH_TOKENS):
            self.decode(first, min(BATCH_TOKENS, count - first))
        self.api.llama_synchronize(self.context)
        return count / (time.perf_counter() - begin)

    def generate(self, count):
        """Tokens a second of single-token steps."""
        self.clear()
        begin = time.perf_counter()
        for step in range(count):
            self.decode(step, 1)
            self.api.llama_synchronize(self.context)
        return count / (time.perf_counter() - begin)


def run_as_peer(options):
    peer = Peer(options)
    results = {}
    for test, measure, count in (
        ("pp", peer.prefill, options.pp),
        ("tg", peer.generate, options.tg),
    ):
        if count > 0:
            measure(count)  # warm-up
            results[test] = [measure(count) for _ in range(options.reps)]
    print("RESULT " + json.dumps(results))


# ---- the driver


def peer_python(venv):
    """The interpreter of an environment that has llama.cpp; makes it when needed."""
    python = venv / "bin" / "python"
    wanted = PEER.split("==")[1]
    check = "import llama_cpp, sys; sys.exit(llama_cpp.__version__ != sys.argv[1])"
    if (
        python.exists()
        and subprocess.run(
            [python, "-c", check, wanted], check=False, stderr=subprocess.DEVNULL
        ).returncode
        == 0
    ):
        return python
    say(f"building {PEER} in {venv}: about ten minutes on two cores")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    environment = {
        **os.environ,
        "CMAKE_ARGS": BUILD_OPTIONS,
        "CMAKE_BUILD_PARALLEL_LEVEL": str(available_cores()),
    }
    subprocess.run(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-binary",
            "llama-cpp-python",
            PEER,
        ],
        check=True,
        env=environment,
    )
    return python


def find_model(name):
    """The GGUF file that `name` means, as the program itself resolves it."""
    path = pathlib.Path(name)
    if path.is_file():
        return path
    known = json.loads((ROOT / "tools" / "models.json").read_text())
    target = known["models"].get(name, {}).get("target", name)
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    path = pathlib.Path(cache, "inferno", "models", target)
    if not path.is_file():
        sys.exit(f"no model {name}: ./dev model {name}")
    return path


def run_peer(python, options, attention):
    # -P: this file has the name of the module that it imports there.
    command = [
        python,
        "-P",
        __file__,
        options.model,
        "--peer",
        attention,
        "--pp",
        options.pp,
        "--tg",
        options.tg,
        "--threads",
        options.threads,
        "--reps",
        options.reps,
    ]
    output = run([str(part) for part in command])
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def run_inferno(options):
    output = run(
        [
            str(part)
            for part in [
                options.binary,
                "bench",
                options.model,
                "--pp",
                options.pp,
                "--tg",
                options.tg,
                "--threads",
                options.threads,
                "--reps",
                options.reps,
                "--json",
            ]
        ]
    )
    report = json.loads(output)
    return {result["test"][:2]: result["tokens_per_s"] for result in report["results"]}


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {result.returncode}:\n{result.stderr[-3000:]}")
    return result.stdout


def measure(options, python):
    """{contender: {"pp": [tokens a second, ...], "tg": [...]}} over all rounds."""
    contenders = {
        "inferno": lambda: run_inferno(options),
        "llama.cpp fa on": lambda: run_peer(python, options, "fa-on"),
        "llama.cpp fa off": lambda: run_peer(python, options, "fa-off"),
    }
    samples = {name: {} for name in contenders}
    names = list(contenders)
    for number in range(options.rounds):
        for name in names:
            say(f"round {number + 1} of {options.rounds}: {name}")
            for test, rates in contenders[name]().items():
                samples[name].setdefault(test, []).extend(rates)
        names = names[1:] + names[:1]
    return samples


def summary(samples):
    """Per test: each contender's median, least and most, and Inferno's ratio to the best peer."""
    tests = {}
    for test in samples["inferno"]:
        figures = {
            name: {
                "median": statistics.median(rates[test]),
                "min": min(rates[test]),
                "max": max(rates[test]),
                "count": len(rates[test]),
            }
            for name, rates in samples.items()
        }
        best = max(
            (name for name in figures if name != "inferno"),
            key=lambda name: figures[name]["median"],
        )
        tests[test] = {
            "contenders": figures,
            "best_peer": best,
            "ratio": figures["inferno"]["median"] / figures[best]["median"],
        }
    return tests


def print_table(tests, options):
    print(
        f"{options.model.name}, {options.threads} threads, {options.rounds} rounds of "
        f"{options.reps}; tokens a second"
    )
    print(f"{'test':<7} {'contender':<18} {'median':>9} {'min':>9} {'max':>9}   of best llama.cpp")
    for test, facts in tests.items():
        label = f"{test}{options.pp if test == 'pp' else options.tg}"
        best = facts["contenders"][facts["best_peer"]]["median"]
        for name, figures in facts["contenders"].items():
            print(
                f"{label:<7} {name:<18} {figures['median']:9.1f} {figures['min']:9.1f} "
                f"{figures['max']:9.1f}   {figures['median'] / best:5.2f}"
            )


def main():
    options = parse_arguments()
    if options.peer:
        run_as_peer(options)
        return 0
    if not pathlib.Path(options.binary).exists():
        sys.exit(f"{options.binary} does not exist: ./dev build")
    if os.getloadavg()[0] > 0.5:
        say(f"other programs run (load {os.getloadavg()[0]:.1f}): the figures will be noise")
    options.model = find_model(options.model)
    tests = summary(measure(options, peer_python(options.venv)))
    if options.json:
        print(json.dumps({"model": options.model.name, "threads": options.threads, "tests": tests}))
    else:
        print_table(tests, options)
    missed = [
        f"{test}: {tests[test]['ratio']:.2f} times llama.cpp, wanted {wanted}"
        for test, wanted in (("tg", options.decode_ratio), ("pp", options.prefill_ratio))
        if wanted is not None and test in tests and tests[test]["ratio"] < wanted
    ]
    for line in missed:
        say(line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
