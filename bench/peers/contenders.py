"""The sides of a comparison: each opens a case, takes samples of it in its turns, closes.

Peers are workers that load once and answer over pipes; between their turns all their processes are
stopped by signal, so that a spinning thread of one does not slow another. Inferno runs afresh for
every sample, as `inferno bench` does warm-up and case in one process.
"""

import json
import os
import pathlib
import select
import signal
import subprocess
import time

from bench.peers.cases import LLAMA, OPENVINO, US, VLLM
from bench.peers.install import Absent, cpu_flags

WORKERS = pathlib.Path(__file__).resolve().parent / "workers"
START_SECONDS = 600  # vLLM compiles for two minutes at its first start
ANSWER_SECONDS = 600
STOP_SECONDS = 10


class Failed(Exception):
    """A contender that was there and could not do the case."""


def tokens_of(case):
    return case.tokens * (case.batch if case.kind == "decode" else 1)


class Worker:
    """A peer's process group and its conversation (workers/protocol.py)."""

    def __init__(self, command, environment, log):
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self.pending = b""
        try:
            self.version = self.answer(START_SECONDS)["version"]
        except BaseException:
            self.stop()
            raise
        self.pause()

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)  # its own session: its children are in the group
        except ProcessLookupError:
            pass

    def pause(self):
        self.signal(signal.SIGSTOP)

    def ask(self, **request):
        """One request; the worker runs only until it has answered."""
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            return self.answer(ANSWER_SECONDS)
        except OSError as error:
            raise Failed(f"its process ended ({error}); see {self.log}") from error
        finally:
            self.pause()

    def answer(self, seconds):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed(f"no answer within {seconds} s; see {self.log}")
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                raise Failed(f"ended with {self.process.wait()}; see {self.log}")
            self.pending += part
        line, self.pending = self.pending.split(b"\n", 1)
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def stop(self):
        """Ends the process and its children: asked by the end of its input, then killed."""
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.close()
            self.process.wait(STOP_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            pass
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class Peer:
    """A worker as a side of a comparison."""

    def __init__(self, name, worker):
        self.name, self.worker, self.version = name, worker, worker.version

    def open(self, case, rounds):
        room = case.tokens * (rounds + 2) if case.kind == "decode" else case.tokens + 8
        self.worker.ask(op="open", depth=case.depth, batch=case.batch, room=room)
        self.sample(case)  # warm-up

    def sample(self, case):
        if case.kind == "prefill":
            answer = self.worker.ask(op="prefill", tokens=case.tokens)
        else:
            answer = self.worker.ask(op="decode", steps=case.tokens)
        return {"value": tokens_of(case) / answer["seconds"]}

    def close(self):
        self.worker.ask(op="close")

    def stop(self):
        self.worker.stop()


class Inferno:
    """This tree's program: `inferno bench`, a process for each sample."""

    name = US

    def __init__(self, binary, model, threads):
        self.binary, self.model, self.threads = binary, model, threads
        self.version = run_program([binary, "version"]).splitlines()[0]
        info = json.loads(run_program([binary, "info", model, "--json"]))
        self.kv_bytes_per_token = info.get("memory", {}).get("kv_bytes_per_token", 0)

    def command(self, case):
        sizes = {"--pp": 0, "--tg": 0, "--depth": case.depth, "--batch": case.batch}
        sizes["--pp" if case.kind == "prefill" else "--tg"] = case.tokens
        flags = [str(part) for pair in sizes.items() for part in pair]
        threads = ["--threads", str(self.threads)]
        return [self.binary, "bench", self.model, *flags, *threads, "--reps", "1", "--json"]

    def open(self, case, rounds):
        pass

    def sample(self, case):
        return self.read(json.loads(run_program(self.command(case))), case)

    def read(self, report, case):
        """The rate, and what share of the peaks measured around it it used."""
        result = report["results"][0]
        steps_per_s = result["median"] / case.batch
        kv_gb = self.kv_bytes_per_token * (case.depth + case.tokens / 2) * case.batch / 1e9
        of_memory = result["read_peak_percent"] / 100
        if case.kind == "decode":
            of_memory *= 1 + steps_per_s * kv_gb / result["weights_gb_per_s"]
        return {
            "value": result["median"],
            "of_memory": of_memory,
            "of_int8": result["int8_peak_percent"] / 100,
            "read_gb_per_s": result["read_peak_gb_per_s"],
            "int8_gop_per_s": result["int8_peak_gop_per_s"],
        }

    def close(self):
        pass

    def stop(self):
        pass


def run_program(command, seconds=ANSWER_SECONDS):
    command = [str(part) for part in command]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{' '.join(command[:3])}: {error}") from error
    if result.returncode != 0:
        raise Failed(
            f"{' '.join(command[:3])} ended with {result.returncode}: "
            f"{result.stderr.strip()[-300:]}"
        )
    return result.stdout


class Stable:
    """Contenders that are loaded, by engine and file: made when first asked for, then kept."""

    def __init__(self, home, binary):
        self.home, self.binary = home, binary
        self.loaded = {}
        self.absent = {}  # engine or (engine, file): why

    def get(self, engine, file):
        """The contenders of an engine with a file (llama.cpp has two); Absent says why not."""
        key = (engine, file)
        for cause in (engine, key):
            if cause in self.absent:
                raise Absent(self.absent[cause])
        if key not in self.loaded:
            self.loaded[key] = self.load(engine, file)
        return self.loaded[key]

    def load(self, engine, file):
        try:
            if engine != US:
                self.home.need(engine)
        except Absent as error:
            self.absent[engine] = str(error)
            raise
        made = []
        try:
            path = self.home.path_of(file)
            if engine == US:
                return [Inferno(self.binary, path, self.home.threads)]
            for name, command, environment in peer_commands(self.home, engine, path):
                log = self.home.log(name.replace(" ", "-"))
                made.append(Peer(name, Worker(command, environment, log)))
            return made
        except BaseException as error:
            for contender in made:
                contender.stop()
            if not isinstance(error, (Absent, Failed, OSError)):
                raise
            self.absent[(engine, file)] = str(error)
            raise Absent(str(error)) from error

    def keep(self, wanted):
        """Stops what is not in `wanted`, a set of (engine, file)."""
        for key in [key for key in self.loaded if key not in wanted]:
            for contender in self.loaded.pop(key):
                contender.stop()

    def absent_engines(self):
        """{engine: why} of those that could not be installed."""
        return {name: why for name, why in self.absent.items() if isinstance(name, str)}

    def stop(self):
        self.keep(set())


def peer_commands(home, engine, path):
    """[(contender's name, command, environment)] of an engine's workers for one model."""
    threads = str(home.threads)
    common = {"PYTHONPATH": "", "HF_HUB_OFFLINE": "1"}
    if engine == LLAMA:
        bindings = {
            **common,
            "PYTHONPATH": str(home.llama_source),
            "LLAMA_CPP_LIB_PATH": str(home.llama_build / "bin"),
        }
        python = home.folder / "llama" / "bin" / "python"
        return [
            (f"llama.cpp fa {attention}",
             [python, WORKERS / "run_llama.py", path, threads, attention], bindings)
            for attention in ("on", "off")
        ]
    if engine == OPENVINO:
        python = home.folder / "openvino" / "bin" / "python"
        return [(OPENVINO, [python, WORKERS / "run_openvino.py", path, threads], common)]
    cores = sorted(os.sched_getaffinity(0))[: home.threads]
    settings = {
        **common,
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores)),
        "VLLM_CPU_KVCACHE_SPACE": "3",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    settings |= preloaded(home.folder / "vllm")
    python = home.folder / "vllm" / "bin" / "python"
    return [(VLLM, [python, WORKERS / "run_vllm.py", path, threads], settings)]


def preloaded(environment):
    """vLLM's installation page has Intel's OpenMP loaded first."""
    library = next(environment.glob("lib/libiomp5.so"), None)
    return {"LD_PRELOAD": str(library)} if library else {}


def machine(threads):
    """What the figures depend on."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = next((line.partition(":")[2].strip() for line in text.splitlines()
                 if line.startswith("model name")), "unknown")
    marks = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
    memory = next(line for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
                  if line.startswith("MemTotal"))
    return {
        "processor": name,
        "instructions": [mark for mark in marks if mark in cpu_flags(text)],
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "memory_gib": round(int(memory.split()[1]) / 2**20, 1),
        "load": os.getloadavg()[0],
    }
