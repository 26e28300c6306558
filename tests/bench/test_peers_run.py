"""A run of bench.peers as a whole: what is on disk when it is cut, prompts that are kept."""

import ctypes
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
    """The few functions that a deep prompt's file needs; the state is its token count."""

    __version__ = "1"
    llama_token = ctypes.c_int32

    @staticmethod
    def llama_state_seq_save_file(context, path, sequence, tokens, count):
        pathlib.Path(path.decode()).write_text(str(count))
        return 1

    @staticmethod
    def llama_state_seq_load_file(context, path, sequence, tokens, capacity, count):
        return int(pathlib.Path(path.decode()).read_text()) == capacity


def test_a_deep_prompt_is_computed_once_and_a_short_one_each_time(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_cpp", FakeLlama("llama_cpp"))
    monkeypatch.delitem(sys.modules, "run_llama", raising=False)
    monkeypatch.setenv("PEERS_STATES", str(tmp_path / "states"))
    import run_llama

    computed = []
    engine = run_llama.Llama.__new__(run_llama.Llama)
    engine.name, engine.context, engine.vocabulary = "m-1-on", None, 32000
    engine.fill = lambda first, count: computed.append(count)
    for depth in (8192, 8192, 128, 128):
        engine.depth = depth
        engine.fill_depth()
    assert computed == [8192, 128, 128]
    (tmp_path / "states" / "m-1-on-8192.state").write_text("7")
    engine.depth = 8192
    with pytest.raises(RuntimeError, match="cannot read"):
        engine.fill_depth()
