"""What is compared: files, cases, the rows of the table and the ratios that are wanted.

A row is one case with the file that each engine runs. Engines that read GGUF run the same file;
OpenVINO runs the same shape quantized to int4 by its own tool, vLLM the same shape in bf16. Wanted
ratios depend on whether the processor has AMX, as it moves every engine's limits.
"""

from dataclasses import dataclass, field, replace

LLAMA, OPENVINO, VLLM = "llama.cpp", "openvino", "vllm"
PEERS = (LLAMA, OPENVINO, VLLM)
US = "inferno"
BEST = "best peer"
MEMORY_KINDS = ("memory", "load")


@dataclass(frozen=True)
class CachedFile:
    """A real model that ./dev model fetches."""

    model: str


@dataclass(frozen=True)
class ShapeFile:
    """Random weights, made by tools/make_shape.py."""

    shape: str
    format: str


@dataclass(frozen=True)
class Int4Folder:
    """The hf folder of a shape, exported by OpenVINO's tools with int4 weights."""

    shape: str


@dataclass(frozen=True)
class Case:
    """One thing that is measured. kind: prefill, decode, start, memory, load or lookup."""

    kind: str
    tokens: int  # of the prompt, for decode and lookup steps
    depth: int = 0
    batch: int = 1

    @property
    def unit(self):
        units = {"start": "s", "memory": "GiB", "load": "times the file"}
        return units.get(self.kind, "tokens/s")

    @property
    def is_less_better(self):
        return self.kind in ("start", *MEMORY_KINDS)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    model: str  # what --models selects
    case: Case
    files: dict  # engine: file
    wanted: dict = field(default_factory=dict)  # peer or BEST: ratio, on a processor without AMX
    wanted_with_amx: dict = field(default_factory=dict)
    wanted_of_memory: float | None = None  # share of the memory rate measured in the run
    wanted_of_memory_with_amx: float | None = None
    wanted_of_int8: float | None = None  # share of the int8 peak measured in the run
    wanted_at_most: float | None = None  # our own figure
    is_long: bool = False  # takes minutes: only with --all, or when it is named
    long_engines: tuple = ()  # likewise: engines that load for minutes for this model
    left_out: tuple = ()  # those of them that the selection left out


PREFILL = Case("prefill", 512)
DECODE = Case("decode", 64)
DEEP = Case("decode", 16, depth=8192)
BATCH = Case("decode", 16, depth=128, batch=32)
START = Case("start", 16)
MEMORY = Case("memory", 3900)
LOAD = Case("load", 16)
LOOKUP = Case("lookup", 192)

QWEN, SMOLLM2 = CachedFile("qwen2.5-coder-1.5b"), CachedFile("smollm2-135m")
SHAPE_1B = ShapeFile("llama-1b", "q4_k_m")


def files(gguf, shape):
    return {
        US: gguf,
        LLAMA: gguf,
        OPENVINO: Int4Folder(shape),
        VLLM: ShapeFile(shape, "hf"),
    }


FILES_1B = files(SHAPE_1B, "llama-1b")
FILES_QWEN = files(QWEN, "qwen-1.5b")
FILES_SMOLLM2 = files(SMOLLM2, "smollm2-135m")
FILES_BF16 = {
    US: ShapeFile("qwen-1.5b", "hf"),
    LLAMA: ShapeFile("qwen-1.5b", "bf16"),
    VLLM: ShapeFile("qwen-1.5b", "hf"),
}
FILES_DEEP = {name: FILES_1B[name] for name in (US, LLAMA, OPENVINO)}
FILES_PROCESS = {US: QWEN, LLAMA: QWEN}

LOADS_LONG = {"long_engines": (VLLM,)}
QUANTIZED_PREFILL = {
    "wanted": {LLAMA: 2.5, OPENVINO: 1.6},
    "wanted_with_amx": {BEST: 8.0},
    "wanted_of_int8": 0.75,
}
QUANTIZED_DECODE = {
    "wanted": {LLAMA: 1.1},
    "wanted_with_amx": {BEST: 1.5},
    "wanted_of_memory": 0.9,
    "wanted_of_memory_with_amx": 0.85,
}
BATCHED = {"wanted": {LLAMA: 3.5, VLLM: 2.5}, "wanted_with_amx": {BEST: 6.0}}
SMALL = {"wanted": {LLAMA: 6.0, VLLM: 1.4}, "wanted_with_amx": {LLAMA: 8.0}}
FULL_PRECISION = {"wanted": {VLLM: 1.0}, "wanted_with_amx": {LLAMA: 10.0, VLLM: 1.2}}
DEEP_WANTED = {
    "wanted": {LLAMA: 2.3},
    "wanted_with_amx": {BEST: 3.0},
    "wanted_of_memory": 0.8,
}

# Rows of one model are neighbours: an engine stays loaded until no later row needs it.
ROWS = (
    Row("prefill-1b", "llama-1b", PREFILL, FILES_1B, **QUANTIZED_PREFILL, **LOADS_LONG),
    Row("decode-1b", "llama-1b", DECODE, FILES_1B, **QUANTIZED_DECODE, **LOADS_LONG),
    Row("deep-1b", "llama-1b", DEEP, FILES_DEEP, is_long=True, **DEEP_WANTED),
    Row("batch-1b", "llama-1b", BATCH, FILES_1B, is_long=True, **BATCHED),
    Row("prefill-qwen", "qwen-1.5b", PREFILL, FILES_QWEN, **QUANTIZED_PREFILL),
    Row("decode-qwen", "qwen-1.5b", DECODE, FILES_QWEN, **QUANTIZED_DECODE),
    Row("batch-qwen", "qwen-1.5b", BATCH, FILES_QWEN, **BATCHED),
    Row("prefill-bf16", "qwen-1.5b", PREFILL, FILES_BF16, **FULL_PRECISION),
    Row(
        "decode-bf16",
        "qwen-1.5b",
        DECODE,
        FILES_BF16,
        wanted={VLLM: 1.5},
        wanted_with_amx={BEST: 1.3},
    ),
    Row("prefill-smollm2", "smollm2-135m", PREFILL, FILES_SMOLLM2, **SMALL, **LOADS_LONG),
    Row(
        "decode-smollm2",
        "smollm2-135m",
        DECODE,
        FILES_SMOLLM2,
        wanted={LLAMA: 2.0},
        wanted_with_amx={LLAMA: 2.0},
        **LOADS_LONG,
    ),
    Row(
        "lookup-qwen",
        "qwen-1.5b",
        LOOKUP,
        {US: QWEN},
        wanted={"inferno plain": 2.0},
        wanted_with_amx={"inferno plain": 3.0},
    ),
    Row("start-qwen", "qwen-1.5b", START, FILES_PROCESS, wanted={LLAMA: 1.0}),
    Row("memory-qwen", "qwen-1.5b", MEMORY, FILES_PROCESS, wanted={LLAMA: 1.0}),
    Row("load-qwen", "qwen-1.5b", LOAD, FILES_PROCESS, wanted_at_most=1.1),
)


def wanted_of(row, has_amx):
    """{peer or BEST: ratio} of this kind of processor; without figures for AMX, the others'."""
    return (row.wanted_with_amx or row.wanted) if has_amx else row.wanted


@dataclass(frozen=True)
class Selection:
    """What the command line asks for; nothing said is all that does not take long."""

    names: tuple = ()  # of rows, or kinds of cases
    models: tuple = ()
    peers: tuple = ()
    with_long: bool = False

    def check(self):
        """ValueError names a row, model or peer that does not exist."""
        for asked, known, what in (
            (self.names, [row.name for row in ROWS] + [row.case.kind for row in ROWS], "case"),
            (self.models, [row.model for row in ROWS], "model"),
            (self.peers, PEERS, "peer"),
        ):
            unknown = sorted(set(asked) - set(known))
            if unknown:
                raise ValueError(f"no {what} '{unknown[0]}': {', '.join(dict.fromkeys(known))}")

    def has(self, row):
        if row.is_long and not self.with_long and row.name not in self.names:
            return False
        return (not self.names or row.name in self.names or row.case.kind in self.names) and (
            not self.models or row.model in self.models
        )

    def files_of(self, row):
        """The row's files by engine, less those of engines that take no part."""
        kept = {US, *(self.peers or PEERS)}
        if not self.with_long and not self.peers and row.name not in self.names:
            kept -= set(row.long_engines)
        return {name: file for name, file in row.files.items() if name in kept}

    def rows(self):
        self.check()
        return [self.narrowed(row) for row in ROWS if self.has(row)]

    def narrowed(self, row):
        files = self.files_of(row)
        asked = self.peers or PEERS
        left_out = tuple(e for e in row.long_engines if e in asked and e not in files)
        return replace(row, files=files, left_out=left_out)
