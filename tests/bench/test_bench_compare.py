"""bench/compare.py: reading benchmark output, pairing it, refusing wrong use."""

import json
import subprocess
import sys

import pytest
from bench import compare
from bench.stats import paired_ratio
from conftest import ROOT


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "bench.compare", *arguments], cwd=ROOT,
                          capture_output=True, text=True, check=False)


def micro(**times):
    entries = [{"name": name, "run_type": "iteration", "real_time": time}
               for name, time in times.items()]
    entries.append({"name": "BM_mean", "run_type": "aggregate", "real_time": 9.0})
    entries.append({"name": "BM_broken", "run_type": "iteration", "real_time": 1.0,
                    "error_occurred": True})
    return json.dumps({"context": {}, "benchmarks": entries})


def test_micro_benchmarks_are_read_as_speeds_without_means_and_failures():
    assert compare.read_micro(micro(a=2.0, b=4.0)) == {"a": 0.5, "b": 0.25}


def test_model_benchmarks_are_read_as_tokens_a_second():
    text = json.dumps({"results": [{"test": "pp512", "median": 100.0},
                                   {"test": "tg64", "median": 9.0}]})
    assert compare.read_model(text) == {"pp512": 100.0, "tg64": 9.0}


def test_only_what_both_sides_have_is_compared():
    pairs = [({"a": 2.0, "ours": 1.0}, {"a": 1.0, "theirs": 1.0})] * 3
    ratios, alone = compare.ratios_of(pairs)
    assert list(ratios) == ["a"]
    assert ratios["a"].median == 2.0
    assert alone == ["ours", "theirs"]


@pytest.mark.parametrize(("ours", "said"), [
    ([11.0, 12.0, 13.0], "faster"), ([9.0, 8.0, 7.0], "slower"),
    ([9.0, 11.0, 12.0], "no difference shown")])
def test_only_an_interval_without_one_says_something(ours, said):
    assert compare.verdict(paired_ratio(ours, [10.0] * 3)) == said


def test_sides_take_turns_at_being_first(monkeypatch):
    order = []

    def speeds_of(folder, name, extra):
        order.append(folder)
        return {"a": 1.0}

    monkeypatch.setattr(compare, "speeds_of", speeds_of)
    options = compare.argparse.Namespace(pairs=2, extra=[])
    compare.take_pairs("kernel_bench", ("ours", "theirs"), options)
    assert order == ["ours", "theirs", "theirs", "ours"]


def test_what_follows_the_dashes_goes_to_the_program():
    assert compare.split_at_dashes(["HEAD", "inferno", "--", "m", "--", "--pp"]) == (
        ["HEAD", "inferno"], ["m", "--", "--pp"])


@pytest.mark.parametrize(("arguments", "named"), [
    (["no-such-revision"], "no-such-revision"), (["HEAD", "foo"], "foo"),
    (["HEAD", "--pairs", "0"], "--pairs"), (["HEAD", "inferno"], "model")])
def test_wrong_use_is_refused_by_name_before_anything_is_built(arguments, named):
    result = run(*arguments)
    assert result.returncode == 2
    assert named in result.stderr


def test_a_revision_is_unpacked_without_touching_the_work_tree(tmp_path):
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=False,
                      capture_output=True).returncode:
        pytest.skip("the tree is no git repository")
    before = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, check=True)
    source = compare.unpack(compare.commit_of("HEAD"), tmp_path / "revision")
    after = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, check=True)
    assert (source / "CMakePresets.json").exists()
    assert before.stdout == after.stdout
