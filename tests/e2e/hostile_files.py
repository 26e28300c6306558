"""Model files that no program should load, made out of a good one.

GgufMap says where each part of a good GGUF file lies (specification: ggml/docs/gguf.md), so that
single numbers can be made wrong in place. gguf_files() and safetensors_folders() write the hostile
ones and yield (name, path).
"""

import json
import pathlib
import random
import shutil
import struct

WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
HUGE = 2**64 - 1


class GgufMap:
    """Byte positions in a GGUF file: `fields` of the metadata by key, `tensors` by name."""

    def __init__(self, data):
        self.data = data
        self.at = 8
        self.fields = {}
        self.tensors = {}
        tensor_count, field_count = self._take("QQ")
        for _ in range(field_count):
            start = self.at
            key = self._string()
            kind_at = self.at
            kind = self._take("I")[0]
            value_at = self.at
            self._skip(kind)
            self.fields[key] = {"start": start, "kind": kind_at, "value": value_at, "end": self.at}
        for _ in range(tensor_count):
            start = self.at
            name = self._string()
            rank_at = self.at
            rank = self._take("I")[0]
            shape_at = self.at
            self.at += 8 * rank
            self.tensors[name] = {
                "start": start,
                "rank": rank_at,
                "shape": shape_at,
                "type": self.at,
                "offset": self.at + 4,
                "end": self.at + 12,
            }
            self.at += 12
        self.header_end = self.at

    def _take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def _string(self):
        length = self._take("Q")[0]
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def _skip(self, kind):
        if kind == STRING:
            self._string()
        elif kind == ARRAY:
            inner, count = self._take("IQ")
            for _ in range(count):
                self._skip(inner)
        else:
            self.at += WIDTHS[kind]


def patched(data, at, layout, *values):
    out = bytearray(data)
    struct.pack_into("<" + layout, out, at, *values)
    return bytes(out)


def gguf_contents(good, seed):
    """(name, bytes) of hostile GGUF files made from the bytes of a good one."""
    source = random.Random(seed)
    layout = GgufMap(good)
    field = layout.fields
    tensor = next(place for name, place in layout.tensors.items() if "attn_q.weight" in name)
    norm = layout.tensors["output_norm.weight"]
    architecture = next(key.split(".")[0] for key in field if key.endswith(".block_count"))
    tokens = field["tokenizer.ggml.tokens"]["value"]

    yield "empty", b""
    yield "one byte", b"G"
    yield "wrong magic", b"GGUX" + good[4:]
    yield "magic only", good[:4]
    yield "text", b"this is a letter, not a model\n" * 100
    yield "noise after the magic", good[:4] + source.randbytes(4096)
    for version in (0, 1, 99, 2**32 - 1):
        yield f"version {version}", patched(good, 4, "I", version)
    for count in (HUGE, 2**63, 2**40, 10**6):
        yield f"{count} tensors", patched(good, 8, "Q", count)
        yield f"{count} metadata fields", patched(good, 16, "Q", count)
    for share in (0.01, 0.3, 0.7, 0.99):
        cut = int(layout.header_end * share)
        yield f"cut in the header at {cut}", good[:cut]
    for share in (0.0, 0.2, 0.9):
        cut = layout.header_end + int((len(good) - layout.header_end) * share)
        yield f"cut in the tensors at {cut}", good[:cut]
    for length in (HUGE, 2**63 - 1, len(good), 2**31):
        yield (
            f"key of {length} bytes",
            patched(good, field["general.architecture"]["start"], "Q", length),
        )
        yield (
            f"string of {length} bytes",
            patched(good, field["general.architecture"]["value"], "Q", length),
        )
    yield "unknown value type", patched(good, field["general.architecture"]["kind"], "I", 77)
    yield "array of unknown type", patched(good, tokens, "I", 77)
    yield "array of arrays", patched(good, tokens, "I", ARRAY)
    for count in (HUGE, 2**61, len(good)):
        yield f"array of {count}", patched(good, tokens + 4, "Q", count)
    yield (
        "key that is no UTF-8",
        patched(good, field["general.architecture"]["start"] + 8, "4B", 255, 254, 0xC0, 0x80),
    )
    for rank in (0, 5, 99, 2**32 - 1):
        yield f"tensor of rank {rank}", patched(good, tensor["rank"], "I", rank)
    for size in (0, 2**63, HUGE, 2**32, 7):
        yield f"tensor of width {size}", patched(good, tensor["shape"], "Q", size)
    yield "shape whose product overflows", patched(good, tensor["shape"], "QQ", 2**33, 2**33)
    for kind in (4, 5, 200, 2**32 - 1):
        yield f"tensor type {kind}", patched(good, tensor["type"], "I", kind)
    for offset in (HUGE, 2**63, len(good), 1, len(good) - layout.header_end - 32):
        yield f"tensor at {offset}", patched(good, tensor["offset"], "Q", offset)
    yield (
        "norm at the end of the file",
        patched(good, norm["offset"], "Q", (len(good) - layout.header_end) // 32 * 32),
    )
    for key, values in hostile_numbers(architecture).items():
        if key not in field:
            continue
        for value in values:
            yield f"{key} = {value}", patched(good, field[key]["value"], "I", value)
    for key in (
        f"{architecture}.block_count",
        f"{architecture}.embedding_length",
        "general.architecture",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.model",
    ):
        place = field[key]["start"]
        yield f"no {key}", patched(good, place + 8, "1B", ord("~"))
    name_at = tensor["start"] + 8
    yield "no attn_q", patched(good, name_at, "1B", ord("~"))
    twin = good[norm["start"] : norm["end"]]
    yield (
        "a tensor twice",
        patched(good[: norm["end"]] + twin + good[norm["end"] :], 8, "Q", len(layout.tensors) + 1),
    )


def hostile_numbers(architecture):
    return {
        f"{architecture}.block_count": [0, 99, 2**31, 2**32 - 1],
        f"{architecture}.embedding_length": [0, 1, 2**31, 2**32 - 1],
        f"{architecture}.attention.head_count": [0, 3, 2**31],
        f"{architecture}.attention.head_count_kv": [3, 2**31],
        f"{architecture}.feed_forward_length": [0, 2**32 - 1],
        f"{architecture}.attention.key_length": [0, 2**31],
        "general.alignment": [0, 3, 2**31 + 1],
    }


def gguf_files(good_path, folder, seed=1):
    good = pathlib.Path(good_path).read_bytes()
    for number, (name, data) in enumerate(gguf_contents(good, seed)):
        path = pathlib.Path(folder, f"hostile-{number}.gguf")
        path.write_bytes(data)
        yield name, path


def with_header(good, change):
    """The bytes of a safetensors file whose header was changed by `change(header)`."""
    length = struct.unpack_from("<Q", good)[0]
    header = json.loads(good[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + good[8 + length :]


def first_tensor(header):
    return header[sorted(name for name in header if name.endswith("q_proj.weight"))[0]]


def safetensors_contents(good):
    """(name, bytes) of hostile model.safetensors files made from a good one."""
    yield "empty", b""
    yield "length only", good[:8]
    for length in (0, 1, HUGE, 2**63, len(good)):
        yield f"header of {length}", patched(good, 0, "Q", length)
    yield "header is no JSON", good[:8] + b"x" * (len(good) - 8)
    yield "cut", good[: len(good) // 2]
    yield "deep header", struct.pack("<Q", 100_000) + b"[" * 100_000
    for name, change in {
        "end before begin": {"data_offsets": [100, 50]},
        "end beyond the file": {"data_offsets": [0, 2**62]},
        "negative begin": {"data_offsets": [-4, 0]},
        "one offset": {"data_offsets": [0]},
        "offsets of letters": {"data_offsets": ["0", "4"]},
        "unknown type": {"dtype": "F7"},
        "type is a number": {"dtype": 5},
        "shape of zero": {"shape": [0, 0]},
        "negative shape": {"shape": [-1, -1]},
        "huge shape": {"shape": [2**40, 2**40]},
        "shape that is not its bytes": {"shape": [3, 5]},
    }.items():
        yield (
            name,
            with_header(good, lambda header, change=change: first_tensor(header).update(change)),
        )
    yield "no tensors", with_header(good, lambda header: header.clear())
    yield (
        "tensor is a list",
        with_header(good, lambda header: header.update({"model.norm.weight": []})),
    )


CONFIGS = {
    "is a list": "[]",
    "is no JSON": "{",
    "is empty": "",
    "has no architecture": {"architectures": None, "model_type": None},
    "architecture unknown": {"architectures": ["Perpetuum"], "model_type": "perpetuum"},
    "no layers": {"num_hidden_layers": 0},
    "many layers": {"num_hidden_layers": 2**31},
    "negative width": {"hidden_size": -64},
    "width of letters": {"hidden_size": "wide"},
    "no heads": {"num_attention_heads": 0},
    "heads do not divide": {"num_key_value_heads": 3},
    "vocabulary too large": {"vocab_size": 2**40},
    "wrong vocabulary": {"vocab_size": 7},
}


def safetensors_folders(good_folder, folder):
    """Folders each with one thing wrong: the weights, config.json or the list of shards."""
    good_folder = pathlib.Path(good_folder)
    number = 0

    def copy():
        nonlocal number
        number += 1
        target = pathlib.Path(folder, f"hostile-{number}")
        shutil.copytree(good_folder, target)
        return target

    for name, data in safetensors_contents((good_folder / "model.safetensors").read_bytes()):
        target = copy()
        (target / "model.safetensors").write_bytes(data)
        yield f"weights: {name}", target
    for name, change in CONFIGS.items():
        target = copy()
        config = json.loads((target / "config.json").read_text())
        text = change if isinstance(change, str) else json.dumps({**config, **change})
        (target / "config.json").write_text(text)
        yield f"config {name}", target
    for name, text in {
        "outside": "../../../../../../etc/passwd",
        "absolute": "/etc/passwd",
        "missing": "none.safetensors",
        "itself": "model.safetensors.index.json",
    }.items():
        target = copy()
        (target / "model.safetensors").rename(target / "weights.safetensors")
        (target / "model.safetensors.index.json").write_text(
            json.dumps(
                {"weight_map": {"model.norm.weight": text, "model.embed_tokens.weight": text}}
            )
        )
        yield f"shard {name}", target
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        target = copy()
        (target / name).unlink()
        yield f"no {name}", target
    target = copy()
    (target / "tokenizer.json").write_text(
        '{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": ["x"]}}'
    )
    yield "broken tokenizer.json", target
    empty = pathlib.Path(folder, "empty-folder")
    empty.mkdir()
    yield "empty folder", empty
