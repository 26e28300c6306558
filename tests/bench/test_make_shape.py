"""tools/make_shape.py: files of a known shape, byte for byte the same, that the program reads."""

import importlib.util
import json
import math
import struct
import subprocess
import sys

import pytest
from conftest import ROOT

TOOL = ROOT / "tools" / "make_shape.py"
spec = importlib.util.spec_from_file_location("make_shape", TOOL)
make_shape = importlib.util.module_from_spec(spec)
sys.modules["make_shape"] = make_shape
spec.loader.exec_module(make_shape)


def info(program, path):
    result = subprocess.run([program, "info", path, "--json"], capture_output=True, text=True,
                            check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def run(program, path):
    result = subprocess.run(
        [program, "run", path, "the tin", "--raw", "--json", "--max-tokens", "3", "--threads",
         "1", "--temperature", "0"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("form", make_shape.FORMATS)
def test_the_program_reads_and_runs_every_format(program, tmp_path, form):
    path = tmp_path / "tiny.gguf"
    make_shape.write_gguf(path, "tiny", form, seed=1)
    facts = info(program, path)
    shape = make_shape.SHAPES["tiny"]
    assert (facts["layers"], facts["width"], facts["vocabulary"]) == (
        shape.layers, shape.width, shape.vocabulary)
    assert facts["types"].keys() <= {"F32", form.upper(), "Q4_K", "Q6_K"}
    answer = run(program, path)
    assert len(answer["ids"]) == 3
    assert all(math.isfinite(value) and value < 0 for value in answer["logprobs"])


def test_a_pair_has_the_same_first_layers(program, tmp_path):
    target, draft = tmp_path / "target.gguf", tmp_path / "draft.gguf"
    make_shape.write_pair(target, draft, "tiny", 1, seed=1)
    assert (info(program, target)["layers"], info(program, draft)["layers"]) == (2, 1)
    result = subprocess.run(
        [program, "run", target, "the tin", "--raw", "--json", "--max-tokens", "40", "--threads",
         "1", "--temperature", "0.5", "--seed", "3", "--speculative-config",
         json.dumps({"model": str(draft)})],
        capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    plain = subprocess.run(
        [program, "run", target, "the tin", "--raw", "--json", "--max-tokens", "40", "--threads",
         "1", "--temperature", "0.5", "--seed", "3", "--speculative-config", '{"method": "off"}'],
        capture_output=True, text=True, check=False)
    for key in ("ids", "logprobs"):
        assert json.loads(result.stdout)[key] == json.loads(plain.stdout)[key]


def test_the_program_reads_and_runs_a_folder(program, tmp_path):
    make_shape.write_hf(tmp_path / "hf", "tiny", seed=1)
    assert info(program, tmp_path / "hf")["types"].keys() == {"BF16"}
    assert all(math.isfinite(value) for value in run(program, tmp_path / "hf")["logprobs"])


def test_the_same_seed_gives_the_same_file_and_another_one_another(tmp_path):
    contents = []
    for seed in (1, 1, 2):
        path = tmp_path / "m.gguf"
        make_shape.write_gguf(path, "tiny", "q4_0", seed)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_the_large_shape_has_the_sizes_that_it_is_known_for():
    shape = make_shape.SHAPES["llama-1b"]
    tensors = make_shape.gguf_tensors(shape, "q4_k_m")
    assert sum(tensor.count for tensor in tensors) == 1_235_814_400
    assert 0.79e9 < sum(tensor.size for tensor in tensors) < 0.81e9
    assert len(make_shape.make_vocabulary(shape.vocabulary)) == 128256


def test_the_recipe_keeps_more_bits_at_both_ends_and_in_every_third_layer():
    kept = [layer for layer in range(16) if make_shape.gets_more_bits(layer, 16)]
    assert kept == [0, 1, 4, 7, 10, 13, 14, 15]


def test_tokens_are_distinct_and_merges_make_known_tokens():
    tokens = make_shape.make_vocabulary(1024)
    assert len(set(tokens)) == len(tokens) == 1024
    assert {"".join(pair) for pair in make_shape.MERGES} <= set(tokens)


def half(data, at):
    return struct.unpack_from("<e", data, at)[0]


def values_q4_1(block):
    scale, least = half(block, 0), half(block, 2)
    for byte in block[4:]:
        yield scale * (byte & 15) + least
        yield scale * (byte >> 4) + least


def values_q8_0(block):
    yield from (half(block, 0) * value for value in struct.unpack("<32b", block[2:]))


def values_bf16(block):
    yield struct.unpack("<f", b"\0\0" + bytes(block))[0]


def values_q6_k(block):
    low, high, scales = block[:128], block[128:192], struct.unpack("<16b", block[192:208])
    for index in range(256):
        part, within = divmod(index, 128)
        quarter, lane = divmod(within, 32)
        nibble = low[64 * part + 32 * (quarter % 2) + lane] >> (4 * (quarter // 2)) & 15
        bits = high[32 * part + lane] >> (2 * quarter) & 3
        yield half(block, 208) * scales[index // 16] * ((nibble | bits << 4) - 32)


@pytest.mark.parametrize(("kind", "values_of"), [("Q4_1", values_q4_1), ("Q8_0", values_q8_0),
                                                 ("Q6_K", values_q6_k), ("BF16", values_bf16)])
def test_weights_have_a_mean_near_zero_and_a_deviation_that_keeps_logits_finite(kind, values_of):
    block = make_shape.TYPES[kind]
    data = next(make_shape.make_data(kind, 256 * 200, make_shape.random.Random(3)))
    values = [value for at in range(0, len(data), block.size)
              for value in values_of(data[at : at + block.size])]
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    assert 0.01 < deviation < 0.03
    assert abs(mean) < deviation / 5


def test_a_width_that_no_super_block_divides_is_refused_by_name(tmp_path):
    command = [sys.executable, TOOL, "smollm2-135m", "q4_k_m", tmp_path / "m.gguf"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "576" in result.stderr and "multiple of 256" in result.stderr
    assert list(tmp_path.iterdir()) == []
