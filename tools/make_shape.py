#!/usr/bin/env python3
"""Writes a model of a known shape with random weights: the speed of a size without its download.

    make_shape.py llama-1b q4_k_m OUT.gguf      also q4_0, q4_1, q8_0, bf16
    make_shape.py llama-1b hf OUT_FOLDER        config.json, tokenizer.json, bf16 safetensors
    make_shape.py llama-1b q4_0 OUT.gguf --draft DRAFT.gguf --draft-layers 2

The weights are random bytes in which the scale fields of every block are set so that a matrix has
a mean near zero and a deviation near 1/sqrt(width): logits stay finite and every engine does the
work that it would do for real weights. The text of such a model means nothing. The same shape,
format and seed give the same file.

--draft writes a second file that guesses what the first one says, for speculation: its first layers
alone. The first file's other layers then add a sixteenth of what they would add, so that many of
the guesses come true; they cost what they cost.

q4_k_m mixes types as llama.cpp's recipe of that name does: Q6_K for the tied embedding and, in the
first and last eighth of the layers and every third one between, for attn_v and ffn_down; Q4_K for
the rest. q4_0 and q4_1 have the embedding in Q6_K, or in Q8_0 when the width is no multiple of 256.

The vocabulary is byte-level BPE: 256 bytes, a few merges, padding up to the size of the shape, and
at the end 256 control tokens of which the first begins and the second ends a text.
"""

import argparse
import dataclasses
import json
import pathlib
import random
import struct
import sys
from dataclasses import dataclass

ALIGNMENT = 32  # of tensor data in a GGUF file, its default
CHUNK_BLOCKS = 65536  # blocks made at once: at most 14 MB of a tensor in memory
CONTROL_COUNT = 256
MERGES = (("i", "n"), ("h", "e"), ("Ġ", "t"), ("Ġt", "he"), ("e", "r"), ("o", "n"), ("a", "n"))


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder with grouped-query attention, gated feed-forward and a tied embedding."""

    architecture: str  # GGUF's name of it
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward: int
    vocabulary: int
    context: int
    rope_base: float

    @property
    def has_qkv_bias(self):
        return self.architecture == "qwen2"


SHAPES = {
    "llama-1b": Shape("llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 500000.0),
    "qwen-1.5b": Shape("qwen2", 28, 1536, 12, 2, 128, 8960, 151936, 32768, 1000000.0),
    "smollm2-135m": Shape("llama", 30, 576, 9, 3, 64, 1536, 49152, 8192, 100000.0),
    "tiny": Shape("llama", 2, 256, 4, 2, 64, 512, 1024, 512, 10000.0),
}
FORMATS = ("q4_k_m", "q4_0", "q4_1", "q8_0", "bf16")

# ---- weights


@dataclass(frozen=True)
class BlockType:
    """One GGUF tensor type: its number, values and bytes of a block, and the bytes that are set."""

    number: int
    values: int
    size: int
    fields: dict  # offset in the block: bytes.translate table for the random byte there


def constant(value):
    return bytes([value]) * 256


def small_signed(limit):
    """Random bytes to -limit..limit-1; limit is a power of two."""
    return bytes(((byte % (2 * limit)) - limit) & 0xFF for byte in range(256))


SIGN_AND_SMALL = bytes(0x3C | (byte & 0x80) for byte in range(256))  # +-0.0078 to 0.031 in bf16

# High bytes of the half-precision scales; the low byte stays random, which varies a scale by 25 %.
TYPES = {
    "F32": BlockType(0, 1, 4, {0: constant(0), 1: constant(0), 2: constant(0x80), 3: constant(63)}),
    "BF16": BlockType(30, 1, 2, {1: SIGN_AND_SMALL}),
    "Q4_0": BlockType(2, 32, 18, {1: constant(0x1C)}),  # d = 2^-8
    "Q4_0 quiet": BlockType(2, 32, 18, {1: constant(0x0C)}),  # d = 2^-12
    "Q4_1": BlockType(3, 32, 20, {1: constant(0x1C), 3: constant(0xA8)}),  # m = -8 d
    "Q8_0": BlockType(8, 32, 34, {1: constant(0x0C)}),  # d = 2^-12
    "Q4_K": BlockType(12, 256, 144, {1: constant(0x04), 3: constant(0x0F)}),  # dmin = 7.5 d
    "Q6_K": BlockType(
        14, 256, 210, {209: constant(0x06), **{192 + i: small_signed(16) for i in range(16)}}
    ),
}


def make_data(kind, count, rng):
    """Yields the bytes of `count` weights of one type, chunk by chunk."""
    block = TYPES[kind]
    blocks = count // block.values
    step = CHUNK_BLOCKS * 256 // block.values
    for first in range(0, blocks, step):
        size = min(step, blocks - first)
        data = bytearray(rng.randbytes(size * block.size))
        for offset, table in block.fields.items():
            data[offset :: block.size] = data[offset :: block.size].translate(table)
        yield data


def zeros(count):
    yield bytes(4 * count)


@dataclass(frozen=True)
class Tensor:
    """A matrix [rows, columns], or a vector with one row."""

    name: str
    rows: int
    columns: int
    kind: str
    is_zero: bool = False

    @property
    def count(self):
        return self.rows * self.columns

    @property
    def size(self):
        block = TYPES[self.kind]
        return self.count // block.values * block.size

    def data(self, seed):
        if self.is_zero:
            return zeros(self.count)
        return make_data(self.kind, self.count, random.Random(f"{seed}/{self.name}"))


def gets_more_bits(layer, layers):
    """Whether the q4_k_m recipe keeps attn_v and ffn_down of this layer in Q6_K."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def kinds(shape, form):
    """(type of the embedding, function from a layer and a matrix's name to its type)"""
    if form == "q4_k_m":
        kept = ("attn_v", "ffn_down")
        return "Q6_K", lambda layer, name: (
            "Q6_K" if name in kept and gets_more_bits(layer, shape.layers) else "Q4_K"
        )
    plain = form.upper()
    if form in ("q4_0", "q4_1"):
        return "Q6_K" if shape.width % 256 == 0 else "Q8_0", lambda layer, name: plain
    return plain, lambda layer, name: plain


def gguf_tensors(shape, form):
    embedding, kind_of = kinds(shape, form)
    width, inner = shape.width, shape.heads * shape.head_width
    kv, forward = shape.kv_heads * shape.head_width, shape.feed_forward
    matrices = {
        "attn_q": (inner, width),
        "attn_k": (kv, width),
        "attn_v": (kv, width),
        "attn_output": (width, inner),
        "ffn_gate": (forward, width),
        "ffn_up": (forward, width),
        "ffn_down": (width, forward),
    }
    tensors = [Tensor("token_embd.weight", shape.vocabulary, width, embedding)]
    for layer in range(shape.layers):
        prefix = f"blk.{layer}."
        tensors.append(Tensor(prefix + "attn_norm.weight", 1, width, "F32"))
        tensors.append(Tensor(prefix + "ffn_norm.weight", 1, width, "F32"))
        for name, (rows, columns) in matrices.items():
            kind = kind_of(layer, name)
            tensors.append(Tensor(f"{prefix}{name}.weight", rows, columns, kind))
            if shape.has_qkv_bias and name in ("attn_q", "attn_k", "attn_v"):
                tensors.append(Tensor(f"{prefix}{name}.bias", 1, rows, "F32", is_zero=True))
    tensors.append(Tensor("output_norm.weight", 1, width, "F32"))
    for tensor in tensors:
        if tensor.columns % TYPES[tensor.kind].values:
            sys.exit(
                f"{form}: rows of {tensor.name} have {tensor.columns} values, "
                f"{tensor.kind} needs a multiple of {TYPES[tensor.kind].values}"
            )
    return tensors


# ---- vocabulary


def byte_characters():
    """The printable character that stands for each byte in a byte-level vocabulary, as in GPT-2."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in printable]
    codes = dict(zip(printable, printable, strict=True))
    codes.update({byte: 256 + index for index, byte in enumerate(other)})
    return [chr(codes[byte]) for byte in range(256)]


def make_vocabulary(size):
    tokens = byte_characters() + ["".join(pair) for pair in MERGES]
    padding = size - len(tokens) - CONTROL_COUNT
    tokens += [f"pad{index}" for index in range(padding)]
    tokens += ["<|begin_of_text|>", "<|end_of_text|>"]
    return tokens + [f"<|control_{index}|>" for index in range(2, CONTROL_COUNT)]


# ---- GGUF

U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
I32 = 5
NORMAL_TOKEN, CONTROL_TOKEN = 1, 3


def gguf_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(kind, value):
    if kind == STRING:
        return gguf_string(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def gguf_entry(key, kind, value):
    """One key of the header; a list becomes an array of `kind`."""
    head = gguf_string(key)
    if isinstance(value, list):
        head += struct.pack("<IIQ", ARRAY, kind, len(value))
        return head + b"".join(gguf_value(kind, item) for item in value)
    return head + struct.pack("<I", kind) + gguf_value(kind, value)


def gguf_keys(shape, name):
    arch, size = shape.architecture, shape.vocabulary
    tokens = make_vocabulary(size)
    first_control = size - CONTROL_COUNT
    types = [NORMAL_TOKEN] * first_control + [CONTROL_TOKEN] * CONTROL_COUNT
    return [
        ("general.architecture", STRING, arch),
        ("general.name", STRING, f"{name} shape, random weights"),
        ("general.alignment", U32, ALIGNMENT),
        (f"{arch}.block_count", U32, shape.layers),
        (f"{arch}.context_length", U32, shape.context),
        (f"{arch}.embedding_length", U32, shape.width),
        (f"{arch}.feed_forward_length", U32, shape.feed_forward),
        (f"{arch}.attention.head_count", U32, shape.heads),
        (f"{arch}.attention.head_count_kv", U32, shape.kv_heads),
        (f"{arch}.attention.layer_norm_rms_epsilon", F32, 1e-5),
        (f"{arch}.rope.dimension_count", U32, shape.head_width),
        (f"{arch}.rope.freq_base", F32, shape.rope_base),
        (f"{arch}.vocab_size", U32, size),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "llama-bpe"),
        ("tokenizer.ggml.tokens", STRING, tokens),
        ("tokenizer.ggml.token_type", I32, types),
        ("tokenizer.ggml.merges", STRING, [" ".join(pair) for pair in MERGES]),
        ("tokenizer.ggml.bos_token_id", U32, first_control),
        ("tokenizer.ggml.eos_token_id", U32, first_control + 1),
        ("tokenizer.ggml.add_bos_token", BOOL, False),
    ]


def aligned(size):
    return -size % ALIGNMENT


def hushed(tensors, first):
    """The tensors, of which those that end a block of layer `first` or a later one add little."""
    ends = ("attn_output", "ffn_down")
    return [
        dataclasses.replace(tensor, kind=f"{tensor.kind} quiet")
        if tensor.name.split(".")[-2] in ends and int(tensor.name.split(".")[1]) >= first
        else tensor
        for tensor in tensors
    ]


def write_pair(path, draft_path, name, draft_layers, seed):
    """Two files in q4_0: a model, and its first layers, which guess what it says."""
    shape = SHAPES[name]
    draft = dataclasses.replace(shape, layers=draft_layers)
    tensors = hushed(gguf_tensors(shape, "q4_0"), draft_layers)
    write_file(path, gguf_keys(shape, name), tensors, seed)
    write_file(draft_path, gguf_keys(draft, name), gguf_tensors(draft, "q4_0"), seed)


def write_gguf(path, name, form, seed):
    shape = SHAPES[name]
    write_file(path, gguf_keys(shape, name), gguf_tensors(shape, form), seed)


def write_file(path, keys, tensors, seed):
    """Writes through a file beside `path`, so that a broken run leaves no half model."""
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)))
    for key in keys:
        head += gguf_entry(*key)
    offset = 0
    for tensor in tensors:
        sizes = [tensor.columns] if tensor.rows == 1 else [tensor.columns, tensor.rows]
        head += gguf_string(tensor.name) + struct.pack("<I", len(sizes))
        head += struct.pack(f"<{len(sizes)}Q", *sizes)
        head += struct.pack("<IQ", TYPES[tensor.kind].number, offset)
        offset += tensor.size + aligned(tensor.size)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(head + bytes(aligned(len(head))))
        for tensor in tensors:
            for data in tensor.data(seed):
                file.write(data)
            file.write(bytes(aligned(tensor.size)))
    part.rename(path)


# ---- a folder as transformers writes it

HF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hf_name(name):
    """blk.3.attn_q.weight -> model.layers.3.self_attn.q_proj.weight"""
    parts = name.split(".")
    prefix = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
    return f"{prefix}{HF_NAMES[parts[-2]]}.{parts[-1]}"


def hf_config(shape):
    classes = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
    return {
        "architectures": [classes[shape.architecture]],
        "model_type": shape.architecture,
        "hidden_act": "silu",
        "hidden_size": shape.width,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_width,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": shape.rope_base,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": shape.vocabulary,
        "bos_token_id": shape.vocabulary - CONTROL_COUNT,
        "eos_token_id": shape.vocabulary - CONTROL_COUNT + 1,
    }


# How Llama 3 splits text before its merges apply (its tokenizer.json).
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def hf_tokenizer(shape):
    tokens = make_vocabulary(shape.vocabulary)
    first_control = shape.vocabulary - CONTROL_COUNT
    flags = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
    steps = [split, {**byte_level, "use_regex": False}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": index, "content": tokens[index], "special": True, **flags}
            for index in range(first_control, shape.vocabulary)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens[:first_control])},
            "merges": [" ".join(pair) for pair in MERGES],
        },
    }


def write_safetensors(path, tensors, seed):
    """All tensors in bf16: norms are ones, biases zeros, matrices random."""
    header, offset = {}, 0
    for tensor in tensors:
        sizes = [tensor.columns] if tensor.rows == 1 else [tensor.rows, tensor.columns]
        header[hf_name(tensor.name)] = {
            "dtype": "BF16",
            "shape": sizes,
            "data_offsets": [offset, offset + 2 * tensor.count],
        }
        offset += 2 * tensor.count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            for data in tensor.data(seed):
                if tensor.kind == "F32":  # the upper half of a float is the bf16 of the same value
                    half = bytearray(len(data) // 2)
                    half[0::2], half[1::2] = data[2::4], data[3::4]
                    data = half
                file.write(data)


def write_hf(folder, name, seed):
    shape = SHAPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    tokens = make_vocabulary(shape.vocabulary)
    first_control = shape.vocabulary - CONTROL_COUNT
    write_safetensors(folder / "model.safetensors", gguf_tensors(shape, "bf16"), seed)
    texts = {
        "tokenizer.json": hf_tokenizer(shape),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens[first_control],
            "eos_token": tokens[first_control + 1],
            "model_max_length": shape.context,
        },
        "generation_config.json": {
            "bos_token_id": first_control,
            "eos_token_id": first_control + 1,
        },
        "config.json": hf_config(shape),
    }
    for file_name, content in texts.items():  # config.json last: its presence says all is there
        (folder / file_name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("format", choices=(*FORMATS, "hf"))
    parser.add_argument("out", type=pathlib.Path, help="the GGUF file, or the folder for hf")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--draft", type=pathlib.Path, help="a file that guesses for it; q4_0")
    parser.add_argument("--draft-layers", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args(arguments)
    if options.draft and options.format != "q4_0":
        parser.error(f"--draft needs format q4_0, not {options.format}")
    if not 1 <= options.draft_layers <= SHAPES[options.shape].layers:
        parser.error(f"--draft-layers: 1 to {SHAPES[options.shape].layers}")
    options.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    if options.format == "hf":
        write_hf(options.out, options.shape, options.seed)
    elif options.draft:
        write_pair(options.out, options.draft, options.shape, options.draft_layers, options.seed)
    else:
        write_gguf(options.out, options.shape, options.format, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
