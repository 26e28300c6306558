"""What bench.peers says of samples: best contender, ratios, shares, what was missed."""

import json
import os
import subprocess
import sys

import pytest
from bench.peers import cases, install, processes, report
from bench.peers.__main__ import parse_arguments
from bench.peers.cases import BEST, LLAMA, OPENVINO, US, Case, Row, Selection
from bench.peers.contenders import Failed, Inferno
from conftest import ROOT

ROW = Row("r", "m", Case("decode", 64), {US: None, LLAMA: None, OPENVINO: None},
          wanted={LLAMA: 2.0, BEST: 1.5}, wanted_of_memory=0.9)


def samples(**values):
    return {name: [{"value": value} for value in taken] for name, taken in values.items()}


def taken(ours=(30, 33), on=(10, 11), off=(15, 10)):
    out = samples(inferno=ours, openvino=(25, 20))
    out |= {"llama.cpp fa on": samples(x=on)["x"], "llama.cpp fa off": samples(x=off)["x"]}
    return out


def test_the_better_of_an_engines_contenders_counts():
    ratios = report.summarize(ROW, taken(), {}, has_amx=False)["ratios"]
    assert ratios[LLAMA]["contender"] == "llama.cpp fa off"
    assert ratios[LLAMA]["median"] == pytest.approx((30 / 15 + 33 / 10) / 2)


def test_what_is_wanted_of_the_best_peer_is_held_against_the_best():
    result = report.summarize(ROW, taken(), {}, has_amx=False)
    assert result["best_peer"] == OPENVINO
    assert result["missed"] == ["1.42 times openvino, wanted 1.5"]


def test_a_share_of_the_machine_that_is_not_reached_is_a_miss():
    out = taken(ours=(90, 90))
    for sample in out[US]:
        sample["of_memory"] = 0.85
    assert report.summarize(ROW, out, {}, has_amx=False)["missed"] == [
        "85 % of the memory rate, wanted 90 %"]


def test_for_times_and_sizes_less_is_better():
    row = Row("start", "m", Case("start", 16), {US: None, LLAMA: None}, wanted={LLAMA: 1.0})
    out = samples(inferno=(0.5, 0.4)) | {"llama.cpp": samples(x=(1.0, 1.2))["x"]}
    result = report.summarize(row, out, {}, has_amx=False)
    assert result["ratios"][LLAMA]["median"] == pytest.approx(2.5)
    assert result["missed"] == []


def test_an_absent_peer_is_named_and_is_no_miss():
    row = Row("r", "m", Case("prefill", 8), {US: None, "vllm": None}, wanted={"vllm": 9.0})
    result = report.summarize(row, samples(inferno=(1,)), {"vllm": "no such wheel"}, has_amx=False)
    results = {"machine": MACHINE, "rounds": 1, "versions": {US: "1"},
               "absent": {"vllm": "no such wheel"}, "rows": [result]}
    assert result["missed"] == []
    assert "vllm: not there: no such wheel" in report.markdown(results)
    assert "r: vllm: no such wheel" in report.markdown(results)


MACHINE = {"processor": "p", "threads": 2, "cores": 2, "memory_gib": 8.0, "load": 0.0,
           "instructions": ["avx2"]}


def test_every_line_of_the_table_has_as_many_cells_as_its_head():
    rows = [report.summarize(ROW, taken(), {}, has_amx=False)]
    page = report.markdown({"machine": MACHINE, "rounds": 2, "versions": {}, "absent": {},
                            "rows": rows})
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert {line.count("|") for line in lines} == {9}


def test_a_row_whose_own_side_failed_has_no_ratios():
    out = taken()
    del out[US]
    result = report.summarize(ROW, out, {US: "ended with 1"}, has_amx=False)
    assert result["ratios"] == {} and result["missed"] == []


def test_rows_are_chosen_by_kind_name_and_model():
    rows = Selection(names=("prefill", "deep-1b"), models=("llama-1b",)).rows()
    assert [row.name for row in rows] == ["prefill-1b", "deep-1b"]
    assert set(Selection(names=("prefill-1b",), peers=(LLAMA,)).rows()[0].files) == {US, LLAMA}


def test_what_takes_minutes_runs_only_when_it_is_asked_for():
    def files(**asked):
        return {row.name: set(row.files) for row in Selection(**asked).rows()}

    assert "deep-1b" not in files() and "vllm" not in files()["decode-1b"]
    assert "vllm" in files()["decode-qwen"]
    assert len(files(with_long=True)) == len(cases.ROWS)
    assert "vllm" in files(with_long=True)["decode-1b"]
    assert files(names=("batch-1b",)) == {"batch-1b": {US, LLAMA, OPENVINO, "vllm"}}
    assert files(peers=("vllm",))["decode-1b"] == {US, "vllm"}
    left_out = {row.name: row.left_out for row in Selection().rows()}
    assert left_out["decode-1b"] == ("vllm",) and left_out["decode-qwen"] == ()
    assert not any(row.left_out for row in Selection(peers=(LLAMA,)).rows())


@pytest.mark.parametrize("arguments", [["--cases", "nope"], ["--models", "nope"],
                                       ["--peers", "nope"], ["--rounds", "0"],
                                       ["--cases", "start", "--models", "llama-1b"]])
def test_wrong_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments)
    assert ended.value.code == 2
    assert "nope" in capsys.readouterr().err or "nope" not in arguments


def test_with_amx_other_ratios_are_wanted_where_there_are_any():
    rows = {row.name: row for row in cases.ROWS}
    assert cases.wanted_of(rows["prefill-1b"], has_amx=True) == {BEST: 8.0}
    assert cases.wanted_of(rows["start-qwen"], has_amx=True) == {LLAMA: 1.0}


def test_requirements_are_a_wheels_own_but_for_the_dropped_and_the_optional():
    metadata = ("Name: x\nRequires-Dist: numpy\nRequires-Dist: torch==2.13.0+cpu; sys == 'x'\n"
                "Requires-Dist: torchvision; a != 'b'\nRequires-Dist: pandas; extra == 'bench'\n"
                "Requires-Dist: mistral_common[image]>=1.11\n")
    assert install.requirements_without(metadata, {"torch"}) == [
        "numpy", "torchvision; a != 'b'", "mistral_common[image]>=1.11"]


def test_an_engine_that_failed_to_install_is_tried_once_and_named_with_its_log(tmp_path):
    home, tries = install.Home(tmp_path, 2), []

    def fail():
        tries.append(1)
        command = [sys.executable, "-c", "import sys; sys.exit('no wheel for this machine')"]
        install.run(command, home.log("x"))

    for _ in range(2):
        with pytest.raises(install.Absent, match="no wheel for this machine"):
            home.once("x", "1", fail)
    assert len(tries) == 1
    assert not (tmp_path / "x.version").exists()


def test_a_file_that_could_not_be_made_is_tried_once(tmp_path, monkeypatch):
    home, tries = install.Home(tmp_path, 2), []

    def fail(shape):
        tries.append(shape)
        raise install.Absent("no group divides this width")

    monkeypatch.setattr(home, "exported", fail)
    for _ in range(2):
        with pytest.raises(install.Absent, match="no group"):
            home.path_of(cases.Int4Folder("tiny"))
    assert tries == ["tiny"]


def test_an_installed_version_is_used_again_and_another_one_is_installed(tmp_path):
    made = []
    for version in ("1", "1", "2"):
        install.Home(tmp_path, 2).once("x", version, lambda: made.append(1))
    assert len(made) == 2


@pytest.mark.parametrize(("width", "size"), [(2048, 128), (1536, 128), (576, 64)])
def test_the_group_of_an_export_divides_every_row(tmp_path, width, size):
    config = {"hidden_size": width, "intermediate_size": 4 * width}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert install.group_size(tmp_path) == size


def test_cpu_flags_are_whole_words():
    assert install.cpu_flags("model: x\nflags\t\t: fpu avx2 amx_int8\n") == {
        "fpu", "avx2", "amx_int8"}


def test_the_memory_share_of_deep_decoding_counts_the_cache_that_is_read():
    ours = Inferno.__new__(Inferno)
    ours.kv_bytes_per_token = 32768
    read = {"results": [{
        "median": 10.0, "weights_gb_per_s": 8.0, "read_peak_percent": 40.0,
        "read_peak_gb_per_s": 20.0, "int8_peak_percent": 5.0, "int8_peak_gop_per_s": 400.0}]}
    shallow = ours.read(read, Case("decode", 0))
    deep = ours.read(read, Case("decode", 0, depth=8192))
    assert shallow["of_memory"] == pytest.approx(0.4)
    assert deep["of_memory"] == pytest.approx((8.0 + 10 * 32768 * 8192 / 1e9) / 20.0)
    assert deep["of_int8"] == pytest.approx(0.05)


def test_a_program_that_is_not_there_is_an_absent_side(tmp_path):
    side = processes.ProcessSide("llama.cpp", lambda case: [tmp_path / "none"], None)
    with pytest.raises(Failed, match="No such file"):
        side.sample(Case("start", 16))


def test_a_watched_process_tells_its_first_byte_and_its_most_memory():
    code = ("import sys,time; held = bytearray(200 << 20); time.sleep(0.3); "
            "print('a', flush=True); del held; time.sleep(0.3); print('b')")
    seen = processes.watch([sys.executable, "-c", code])
    assert seen["text"] == b"a\nb\n"
    assert seen["first"] >= 0.3
    assert 0.19 < seen["peak"] < 0.4


def test_a_watched_process_that_fails_is_named_with_its_last_words():
    with pytest.raises(Failed, match="out of cheese"):
        processes.watch([sys.executable, "-c", "import sys; sys.exit('out of cheese')"])


def test_decode_rates_leave_the_first_token_out():
    timings = {"generated_tokens": 11, "decode_s": 2.0}
    assert processes.decode_rate({"timings": timings}) == 5.0
    with pytest.raises(Failed):
        processes.decode_rate({"timings": {"generated_tokens": 1, "decode_s": 0.0}})


def test_two_answers_to_one_lookup_request_are_a_failure(tmp_path):
    program = tmp_path / "program"
    program.write_text(
        "#!/bin/sh\necho \"{\\\"ids\\\": [$$], \\\"timings\\\": "
        "{\\\"generated_tokens\\\": 3, \\\"decode_s\\\": 1.0}}\"\n")
    os.chmod(program, 0o755)
    side = processes.LookupSide("inferno", [str(program)])
    side.sample(Case("lookup", 3))
    with pytest.raises(Failed, match="two different answers"):
        side.sample(Case("lookup", 3))


def test_the_rows_are_listed_with_what_is_wanted_of_them():
    result = subprocess.run([sys.executable, "-m", "bench.peers", "--list", "--all"], cwd=ROOT,
                            capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == len(cases.ROWS)
    assert "deep-1b" in result.stdout and "2.3 times llama.cpp" in result.stdout


def test_results_can_be_written_as_json():
    result = report.summarize(ROW, taken(), {}, has_amx=False)
    assert json.loads(json.dumps(result)) == result
