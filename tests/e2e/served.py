"""A running `inferno serve`, and where tests find the program and the models."""

import os
import pathlib
import re
import signal
import subprocess
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED_MODELS = ROOT / ".." / "shared" / "models"
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60

# Short name -> file in the cache, as `./dev model` leaves it.
CACHED_FILES = {
    "smollm2-135m": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "qwen2.5-coder-1.5b": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    "gemma3-270m": "gemma-3-270m-q4_k_m.gguf",
}


def binary():
    """The program under test: INFERNO_BINARY, else the release build. It may not exist."""
    return pathlib.Path(os.environ.get("INFERNO_BINARY") or ROOT / "build" / "release" / "inferno")


def cached_model(name):
    """The path of a real model in the cache, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    path = pathlib.Path(cache, "inferno", "models", CACHED_FILES[name])
    return path if path.exists() else None


def shared_model(name):
    """The path of a conformance model ("llama/model-f32.gguf", "llama/hf"), or None."""
    path = (SHARED_MODELS / name).resolve()
    return path if path.exists() else None


def run_command(*arguments, stdin=None, timeout_s=120, environment=None):
    """Runs `inferno ARGUMENTS` to its end; stdout and stderr are bytes."""
    return subprocess.run(
        [str(binary()), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=timeout_s,
        env={**os.environ, **(environment or {})},
        check=False,
    )


def metrics_of(text):
    """Prometheus text -> {(name, frozenset of label pairs): value}; raises ValueError on a bad
    line.
    """
    values = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        found = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
        if not found:
            raise ValueError(f"not a sample: {line!r}")
        labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)",?', found[2] or "")
        key = (found[1], frozenset(labels))
        if key in values:
            raise ValueError(f"twice: {line!r}")
        values[key] = float(found[3])
    return values


def total_of(metrics, name, **labels):
    """The sum over all samples of `name` that carry these labels; KeyError when there is none."""
    wanted = set(labels.items())
    found = [
        value for (sample, pairs), value in metrics.items() if sample == name and wanted <= pairs
    ]
    if not found:
        raise KeyError(f"no sample {name} {labels}")
    return sum(found)


class Served:
    """One server process on 127.0.0.1 with a port of the system's choice, ready when made.

    `under` is a command that runs it: ["nice", "-n", "19"]. Without `name` models have their own
    names; then flags may hold further models.
    """

    def __init__(self, folder, model, *flags, name="test-model", under=()):
        self.name = name
        self.log_path = pathlib.Path(folder, "server.log")
        self.port_file = pathlib.Path(folder, "port")
        self._log = open(self.log_path, "wb")
        command = [
            *under,
            str(binary()),
            "serve",
            str(model),
            "--port",
            "0",
            "--port-file",
            str(self.port_file),
            *(["--served-model-name", name] if name else []),
            *map(str, flags),
        ]
        environment = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith("INFERNO_") or k == "INFERNO_BINARY"
        }
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            self.port = self._wait_for_port()
            self.url = f"http://127.0.0.1:{self.port}"
            self._wait_for_health()
        except BaseException:
            self.stop()
            raise

    def log(self):
        return self.log_path.read_text(errors="replace")

    def _alive(self, deadline):
        if self.process.poll() is not None:
            raise RuntimeError(f"server ended with {self.process.returncode}:\n{self.log()}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"server not ready after {START_TIMEOUT_S} s:\n{self.log()}")

    def _wait_for_port(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self.port_file.exists() and self.port_file.read_text().strip()):
            self._alive(deadline)
            time.sleep(0.02)
        return int(self.port_file.read_text())

    def _wait_for_health(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            self._alive(deadline)
            try:
                if requests.get(f"{self.url}/health", timeout=5).status_code == 200:
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.02)

    def is_healthy(self):
        if self.process.poll() is not None:
            return False
        return requests.get(f"{self.url}/health", timeout=10).status_code == 200

    def post(self, path, body, **options):
        return requests.post(
            self.url + path, json=body, timeout=options.pop("timeout", 300), **options
        )

    def metrics(self):
        answer = requests.get(f"{self.url}/metrics", timeout=10)
        answer.raise_for_status()
        return metrics_of(answer.text)

    def memory_bytes(self, field):
        """A size of the process: VmSize, VmRSS, VmHWM."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB$", status, re.M)[1]) * 1024

    def wait_until_idle(self, timeout_s=10):
        """Waits until nothing runs or waits and no KV page is in use; AssertionError otherwise."""
        deadline = time.monotonic() + timeout_s
        while True:
            metrics = self.metrics()
            state = {
                gauge: total_of(metrics, f"vllm:{gauge}")
                for gauge in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
            }
            if not any(state.values()):
                return
            assert time.monotonic() < deadline, f"still busy after {timeout_s} s: {state}"
            time.sleep(0.05)

    def stop(self):
        """Asks it to end and returns its exit code; kills it when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()
        return self.process.returncode
