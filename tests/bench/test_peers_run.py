"""A run of bench.peers as a whole: what is on disk when it is cut, deep prompts of llama.cpp."""

import importlib
import json
import pathlib
import sys
import types

import pytest
from bench.peers import __main__ as command
from bench.peers import cases, processes, report
from bench.peers.cases import LLAMA, US, Case, Row


def row_named(name):
    return Row(name, "m", Case("decode", 8), {US: None})


def options_of(folder, *names):
    options = command.parse_arguments(["--home", str(folder / "home"), "--out", str(folder)])
    options.rows = [row_named(name) for name in names]
    return options


def measured(row):
    return report.summarize(row, {US: [{"value": 2.0}]}, {}, has_amx=False)


def test_a_run_that_is_cut_keeps_the_rows_that_are_done(tmp_path, monkeypatch):
    def measure(self, row):
        if row.name == "third":
            raise SystemExit(143)
        return measured(row)

    monkeypatch.setattr(command.Run, "measure", measure)
    run = command.Run(options_of(tmp_path, "first", "second", "third"))
    with pytest.raises(SystemExit):
        run.write_all_rows(run.results())
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [row["name"] for row in kept["rows"]] == ["first", "second"]
    assert len([line for line in (tmp_path / "table.md").read_text().splitlines()
                if line.startswith("| m |")]) == 2
    assert not list(tmp_path.glob("*.part"))


def test_a_figure_of_our_own_that_is_too_high_is_a_miss_and_stands_in_the_table():
    row = next(row for row in cases.ROWS if row.name == "load-qwen")
    samples = {US: [{"value": 1.25}], LLAMA: [{"value": 2.5}]}
    result = report.summarize(row, samples, {}, has_amx=True)
    assert result["missed"] == ["1.25 times the file, wanted at most 1.1"]
    assert result["ratios"][LLAMA]["median"] == pytest.approx(2.0)
    ours = next(iter(report.rows_of(result)))
    assert "| at most 1.1 |" in ours and ours.count("|") == 9


def test_memory_of_a_load_is_told_in_sizes_of_the_file(tmp_path):
    model = tmp_path / "m.gguf"
    model.write_bytes(bytes(1 << 20))
    program = tmp_path / "program"
    code = "import sys; held = bytearray(64 << 20); print(sys.argv)"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\"\n")
    program.chmod(0o755)
    home = types.SimpleNamespace(threads=2, llama_program=lambda name: pathlib.Path(name))
    side = processes.process_sides(home, program, model)[US](Case("load", 16))
    assert 64 < side.sample(Case("load", 16))["value"] < 256
    assert "--max-model-len" in side.make_command(Case("load", 16))


class FakeLlama(types.ModuleType):
    """Positions of sequences, as the functions for a repeated prompt move them."""

    def __init__(self, positions):
        super().__init__("llama_cpp")
        self.positions = positions

    def llama_state_seq_get_size(self, context, sequence):
        return 4 * len(self.positions[sequence])

    def llama_state_seq_get_data(self, context, state, size, sequence):
        self.state = list(self.positions[sequence])
        return size

    def llama_state_seq_set_data(self, context, state, size, sequence):
        self.positions[sequence] = list(self.state)
        return size

    def llama_memory_seq_add(self, memory, sequence, first, end, delta):
        self.positions[sequence] = [position + delta for position in self.positions[sequence]]

    def llama_memory_seq_cp(self, memory, source, target, first, end):
        self.positions[target] += self.positions[source]

    def llama_memory_seq_rm(self, memory, sequence, first, end):
        del self.positions[sequence]

    def llama_memory_seq_pos_max(self, memory, sequence):
        return max(self.positions[sequence])


@pytest.mark.parametrize("depth", [4096, 8192, 8192 + 100])
def test_a_deep_prompt_is_one_batch_moved_to_all_positions(depth, monkeypatch):
    positions = {0: []}
    monkeypatch.setitem(sys.modules, "llama_cpp", FakeLlama(positions))
    monkeypatch.delitem(sys.modules, "run_llama", raising=False)
    run_llama = importlib.import_module("run_llama")
    engine = run_llama.Llama.__new__(run_llama.Llama)
    engine.context = engine.memory = None
    computed = []

    def fill(first, count):
        computed.append(count)
        positions[0] += range(first, first + count)

    engine.fill = fill
    engine.repeat(depth)
    assert positions == {0: list(range(depth))}
    assert computed == [512, depth % 512]
