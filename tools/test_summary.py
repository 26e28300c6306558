#!/usr/bin/env python3
"""Adds up what the test runners wrote and prints one closing line: 'N passed, N failed, N skipped'.

Reads, below the folder it is given: unit/*.xml (GoogleTest, one per program), ctest.xml (JUnit as
ctest writes it, which knows of programs that crashed before writing theirs) and pytest.xml. Steps
of `./dev check` are counted as tests: NAME=passed or NAME=failed. Exits 1 when anything failed or
when nothing ran at all.
"""

import argparse
import sys
import xml.etree.ElementTree as xml
from pathlib import Path


class Tally:
    """Counts, and the names of what failed."""

    def __init__(self):
        self.passed, self.skipped, self.failures = 0, 0, []

    def add(self, name, outcome):
        if outcome == "passed":
            self.passed += 1
        elif outcome == "skipped":
            self.skipped += 1
        else:
            self.failures.append(name)


def cases_of(path):
    """[(name, outcome)] of a JUnit or GoogleTest file; None when it cannot be read."""
    try:
        root = xml.parse(path).getroot()
    except (OSError, xml.ParseError):
        return None
    cases = []
    for case in root.iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome = "failed"
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            outcome = "skipped"
        else:
            outcome = "passed"
        cases.append((name, outcome))
    return cases


def add_unit(tally, results):
    """GoogleTest's cases; and for each program that ctest saw fail, at least one failure."""
    for name, outcome in cases_of(results / "ctest.xml") or []:
        program = name.rsplit(".", 1)[-1]
        cases = cases_of(results / "unit" / f"{program}_test.xml")
        if cases is None:
            tally.add(f"{program} (wrote no result)", outcome)
            continue
        for case, case_outcome in cases:
            tally.add(f"{program}: {case}", case_outcome)
        if outcome == "failed" and all(case_outcome != "failed" for _, case_outcome in cases):
            tally.add(f"{program} (failed as a whole)", "failed")


def add_pytest(tally, results):
    for name, outcome in cases_of(results / "pytest.xml") or []:
        tally.add(f"tests: {name}", outcome)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--runs-failed", type=int, default=0, help="1: some runner exited non-zero")
    parser.add_argument("steps", nargs="*", metavar="NAME=passed|failed")
    options = parser.parse_intermixed_args(arguments)
    tally = Tally()
    for step in options.steps:
        name, _, outcome = step.partition("=")
        tally.add(f"step {name}", outcome)
    add_unit(tally, options.results)
    add_pytest(tally, options.results)
    if options.runs_failed and not tally.failures:
        tally.add("a test runner failed without naming a test", "failed")
    if tally.passed + tally.skipped + len(tally.failures) == 0:
        tally.add("no test ran", "failed")
    for name in tally.failures:
        print(f"FAILED  {name}")
    print(f"{tally.passed} passed, {len(tally.failures)} failed, {tally.skipped} skipped")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
