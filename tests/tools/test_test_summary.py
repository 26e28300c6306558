"""tools/test_summary.py: the closing line counts what ran, and what should have."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "test_summary.py"
UNIT = ('<testsuites><testsuite name="A"><testcase name="a" status="run" classname="A"/>'
        '<testcase name="b" status="run" classname="A">{}</testcase></testsuite></testsuites>')
CTEST = '<testsuite><testcase name="kv" classname="kv" status="run">{}</testcase></testsuite>'
PYTEST = '<testsuites><testsuite><testcase classname="t" name="c"/></testsuite></testsuites>'
FAILURE = '<failure message="x"/>'


@pytest.fixture(name="summary")
def make_summary(tmp_path):
    """A function that lays result files and returns (exit code, last line)."""
    def lay(files, *arguments):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run = subprocess.run([sys.executable, str(TOOL), str(tmp_path), *arguments],
                             capture_output=True, text=True, check=False)
        return run.returncode, run.stdout.splitlines()[-1]
    return lay


def test_unit_and_python_tests_are_added_up(summary):
    files = {"unit/kv_test.xml": UNIT.format(""), "ctest.xml": CTEST.format(""),
             "pytest.xml": PYTEST}
    assert summary(files) == (0, "3 passed, 0 failed, 0 skipped")


def test_a_failing_case_is_counted_once(summary):
    files = {"unit/kv_test.xml": UNIT.format(FAILURE), "ctest.xml": CTEST.format(FAILURE)}
    assert summary(files, "--runs-failed", "1") == (1, "1 passed, 1 failed, 0 skipped")


def test_a_skipped_case_is_counted_as_skipped(summary):
    files = {"unit/kv_test.xml": UNIT.format("<skipped/>"), "ctest.xml": CTEST.format("")}
    assert summary(files) == (0, "1 passed, 0 failed, 1 skipped")


def test_a_program_that_crashed_before_writing_is_a_failure(summary):
    assert summary({"ctest.xml": CTEST.format(FAILURE)}) == (1, "0 passed, 1 failed, 0 skipped")


def test_a_program_that_failed_after_its_cases_is_a_failure(summary):
    files = {"unit/kv_test.xml": UNIT.format(""), "ctest.xml": CTEST.format(FAILURE)}
    assert summary(files) == (1, "2 passed, 1 failed, 0 skipped")


def test_steps_count_as_tests(summary):
    arguments = ["--runs-failed", "0", "lint=failed", "build=passed"]
    assert summary({"pytest.xml": PYTEST}, *arguments) == (
        1, "2 passed, 1 failed, 0 skipped")


def test_a_runner_that_failed_without_a_test_is_a_failure(summary):
    assert summary({"pytest.xml": PYTEST}, "--runs-failed", "1") == (
        1, "1 passed, 1 failed, 0 skipped")


def test_nothing_ran_is_a_failure(summary):
    assert summary({}) == (1, "0 passed, 1 failed, 0 skipped")
