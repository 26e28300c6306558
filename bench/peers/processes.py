"""Cases that are whole processes: start to first token, peak memory, speculation.

start   seconds from the process's start to the first byte of its answer, file in the page cache
memory  most memory the process ever held (VmHWM), a prompt that nearly fills a context of 4,096
load    the same over the size of the model's file, with so short a context that it hardly counts
lookup  Inferno against itself: the same greedy answer with and without prompt lookup
"""

import json
import os
import pathlib
import select
import subprocess
import tempfile
import time

from bench.peers.cases import LLAMA, MEMORY_KINDS, US
from bench.peers.contenders import Failed, run_program

CONTEXT = 4096
SHORT_CONTEXT = 256
POLL_SECONDS = 0.02
LIMIT_SECONDS = 600
PLAIN, LOOKUP = "inferno plain", US
WORDS = ("value", "index", "count", "total", "row", "column", "name", "offset", "length", "state")


def prompt_text(tokens):
    """English-like text of about `tokens` tokens, one a word."""
    return " ".join(WORDS[(index * 7 + index // 10) % 10] for index in range(tokens))


def edit_prompt(functions=12):
    """A request to change code: most of the answer is in the prompt."""
    code = "\n\n".join(
        f"def {WORDS[i % 10]}_of_{WORDS[(i + 3) % 10]}_{i}(items):\n"
        f'    """Adds up the {WORDS[i % 10]} of all items."""\n'
        f"    total = 0\n    for item in items:\n        total += item.{WORDS[i % 10]}\n"
        f"    return total"
        for i in range(functions)
    )
    return (
        "Rename the variable `total` to `result` in this Python code. Answer with the whole "
        f"changed code and nothing else.\n\n```python\n{code}\n```"
    )


def peak_kib(status):
    """VmHWM of a /proc/PID/status text; 0 when it has none."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def watch(command, environment=None):
    """Runs to the end: {"first": seconds to the first byte of output, "peak": GiB, "text"}."""
    command = [str(part) for part in command]
    begin = time.perf_counter()
    first, peak, output = None, 0, b""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **(environment or {})},
        )
        while True:
            if select.select([process.stdout], [], [], POLL_SECONDS)[0]:
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    break
                first = first or time.perf_counter() - begin
                output += part
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                peak = max(peak, peak_kib(status))
            except OSError:
                pass
            if time.perf_counter() - begin > LIMIT_SECONDS:
                process.kill()
                break
        process.stdout.close()
        code = process.wait()
        if code != 0 or first is None:
            errors.seek(0)
            tail = errors.read()[-300:].decode(errors="replace").strip()
            raise Failed(f"{' '.join(command[:2])} ended with {code}: {tail}")
    return {"first": first, "peak": peak / 2**20, "text": output}


class ProcessSide:
    """One engine as a command line."""

    def __init__(self, name, make_command, read):
        self.name, self.make_command, self.read = name, make_command, read

    def sample(self, case):
        try:
            return self.read(watch(self.make_command(case)))
        except OSError as error:
            raise Failed(str(error)) from error  # a program that is not there ends no other row


def context_of(case):
    return SHORT_CONTEXT if case.kind == "load" else CONTEXT


def answer_of(case):
    return 1 if case.kind in MEMORY_KINDS else 8


def inferno_run(binary, model, threads):
    def command(case):
        return [binary, "run", model, prompt_text(case.tokens), "--raw", "--threads", threads,
                "--max-model-len", context_of(case), "--temperature", 0,
                "--max-tokens", answer_of(case)]

    return command


def llama_run(program, model, threads):
    def command(case):
        return [program, "-m", model, "-p", prompt_text(case.tokens), "-n", answer_of(case),
                "-c", context_of(case), "-t", threads, "-tb", threads, "--temp", 0, "-no-cnv",
                "--no-display-prompt", "--ignore-eos", "--no-perf"]

    return command


def process_sides(home, binary, model):
    """Makers of the sides of start, memory and load, by engine."""
    file_gib = pathlib.Path(model).stat().st_size / 2**30
    readers = {
        "start": lambda seen: seen["first"],
        "memory": lambda seen: seen["peak"],
        "load": lambda seen: seen["peak"] / file_gib,
    }

    def side(name, make_command):
        def make(case):
            read = readers[case.kind]
            return ProcessSide(name, make_command, lambda seen: {"value": read(seen)})

        return make

    program = home.llama_program("llama-completion")
    return {
        US: side(US, inferno_run(binary, model, home.threads)),
        LLAMA: side(LLAMA, llama_run(program, model, home.threads)),
    }


class LookupSide:
    """`inferno run` on a code-editing prompt, speculation on or off; remembers the answer."""

    def __init__(self, name, command):
        self.name, self.command = name, command
        self.ids = None

    def sample(self, case):
        report = json.loads(run_program([*self.command, "--max-tokens", str(case.tokens)]))
        if self.ids not in (None, report["ids"]):
            raise Failed("the same request gave two different answers")
        self.ids = report["ids"]
        return {"value": decode_rate(report)}


def decode_rate(report):
    """Tokens a second after the first one, of `inferno run --json`."""
    timings = report["timings"]
    if timings["generated_tokens"] < 2 or timings["decode_s"] <= 0:
        raise Failed("the answer has fewer than two tokens")
    return (timings["generated_tokens"] - 1) / timings["decode_s"]


def lookup_sides(binary, model, threads):
    """Speculation on and off; Failed when this program has no speculation."""
    if "--speculative-config" not in run_program([binary, "run", "--help"]):
        raise Failed("this program has no --speculative-config")
    base = [binary, "run", model, edit_prompt(), "--temperature", "0", "--json", "--threads",
            str(threads)]
    return [
        LookupSide(LOOKUP, [*base, "--speculative-config", '{"method": "ngram"}']),
        LookupSide(PLAIN, [*base, "--speculative-config", '{"method": "off"}']),
    ]
