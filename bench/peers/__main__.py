"""`./dev bench peers`: Inferno against llama.cpp, OpenVINO GenAI and vLLM, in one run.

Installs what is missing (the first time an hour on two cores, most of it downloads and llama.cpp's
build), loads each engine once a model, and takes every case in rounds in which each side has its
turn, in an order that turns too. Writes results.json and table.md after every row, so that a run
that is cut keeps what it has, and ratios.png at the end, when it prints the table. An engine that
cannot be had is named with the reason. The exit code says whether the run worked, not who won.
"""

import argparse
import json
import os
import pathlib
import signal
import sys
import time

from bench.peers import contenders, processes, report
from bench.peers.cases import MEMORY_KINDS, PEERS, ROWS, US, Selection
from bench.peers.contenders import Failed, Stable
from bench.peers.install import ROOT, Absent, Home, cpu_flags, default_home, run, say
from bench.stats import turned

PROCESS_KINDS = ("start", *MEMORY_KINDS, "lookup")
BUSY_LOAD = 0.5


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="./dev bench peers", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = list(dict.fromkeys(row.case.kind for row in ROWS))
    several = {"nargs": "+", "default": []}
    parser.add_argument("--cases", **several, metavar="CASE",
                        help=f"{', '.join(kinds)}, or rows as --list names them; default: all but "
                        "those that take minutes")
    parser.add_argument("--models", **several, metavar="MODEL", help="default: all")
    parser.add_argument("--peers", **several, metavar="PEER",
                        help=f"of {', '.join(PEERS)}; default: all, but vLLM only for "
                        "models that it loads soon")
    parser.add_argument("--all", action="store_true",
                        help="also what takes minutes: deep-1b, batch-1b, vLLM for every model; "
                        "about twice the time")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="of every side; default: the cores, %(default)s")
    parser.add_argument("--binary", type=pathlib.Path,
                        default=os.environ.get("INFERNO_BINARY", ROOT / "build/release/inferno"),
                        help="the inferno program; default: %(default)s")
    parser.add_argument("--home", type=pathlib.Path, default=default_home(),
                        help="engines and models made; default: %(default)s")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "peers",
                        help="folder of the results; default: %(default)s")
    parser.add_argument("--install-only", action="store_true",
                        help="get engines and models, measure nothing")
    parser.add_argument("--list", action="store_true", help="the rows and what is wanted of them")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads are at least 1")
    try:
        options.rows = Selection(options.cases, options.models, options.peers, options.all).rows()
    except ValueError as error:
        parser.error(str(error))
    if not options.rows:
        parser.error("no row has such a case and such a model (--list)")
    return options


def list_rows(rows):
    for row in rows:
        wanted = ", ".join(f"{ratio:g} times {peer}" for peer, ratio in row.wanted.items())
        amx = ", ".join(f"{ratio:g} times {peer}" for peer, ratio in row.wanted_with_amx.items())
        if row.wanted_at_most:
            wanted = f"at most {row.wanted_at_most:g} {row.case.unit}"
        print(f"{row.name:<16} {row.model:<13} wanted: {wanted}" + (f"; AMX: {amx}" if amx else ""))


class Run:
    """All rows on this machine."""

    def __init__(self, options):
        self.options = options
        self.home = Home(options.home, options.threads)
        self.stable = Stable(self.home, options.binary)
        self.has_amx = "amx_int8" in cpu_flags()
        self.versions = {}
        self.begin = time.monotonic()

    def sides_of(self, row):
        """({name: contender}, {engine: why it is absent}) of one row."""
        sides = {}
        absent = {engine: "takes minutes to load: --all" for engine in row.left_out}
        if row.case.kind == "lookup":
            path = self.home.path_of(row.files[US])
            made = processes.lookup_sides(self.options.binary, path, self.home.threads)
            return {side.name: side for side in made}, absent
        for engine, file in row.files.items():
            try:
                if row.case.kind in PROCESS_KINDS:
                    made = [self.process_side(engine, file, row.case)]
                else:
                    made = self.stable.get(engine, file)
            except Absent as error:
                absent[engine] = str(error)
                continue
            for side in made:
                sides[side.name] = side
                if getattr(side, "version", None):
                    self.versions[engine] = side.version
        return sides, absent

    def process_side(self, engine, file, case):
        if engine != US:
            self.home.need(engine)
        path = self.home.path_of(file)
        makers = processes.process_sides(self.home, self.options.binary, path)
        return makers[engine](case)

    def measure(self, row):
        """One row of the results."""
        try:
            sides, absent = self.sides_of(row)
        except (Failed, Absent) as error:
            sides, absent = {}, {US: str(error)}
        samples = {}
        for name, side in list(sides.items()):
            try:
                if row.case.kind in ("start", "lookup"):
                    side.sample(row.case)  # the file goes into the page cache
                elif row.case.kind not in MEMORY_KINDS:
                    self.say(f"{row.name}: {name} prepares")
                    side.open(row.case, self.options.rounds)
                samples[name] = []
            except Failed as error:
                absent[name] = str(error)
                del sides[name]
        for number in range(self.rounds_of(row)):
            for name in turned(list(sides), number):
                self.sample(row, name, sides, samples, absent)
        for side in sides.values():
            self.close(side)
        if row.case.kind == "lookup":
            self.check_equal_answers(sides, absent)
        return report.summarize(row, samples, absent, self.has_amx)

    def rounds_of(self, row):
        return 1 if row.case.kind in MEMORY_KINDS else self.options.rounds  # no noise in memory

    def sample(self, row, name, sides, samples, absent):
        try:
            taken = sides[name].sample(row.case)
        except Failed as error:
            absent[name] = str(error)
            del sides[name], samples[name]
            self.say(f"{row.name}: {name} failed: {error}")
            return
        samples[name].append(taken)
        turn = f"round {len(samples[name])} of {self.rounds_of(row)}"
        figure = f"{report.number(taken['value'])} {row.case.unit}"
        self.say(f"{row.name}: {turn}: {name} {figure}")

    @staticmethod
    def close(side):
        if hasattr(side, "close"):
            try:
                side.close()
            except Failed:
                pass  # it has given its samples; the next row will find it gone

    @staticmethod
    def check_equal_answers(sides, absent):
        answers = {tuple(side.ids) for side in sides.values() if side.ids}
        if len(answers) > 1:
            absent["same bits"] = "speculation on and off gave different answers"

    def say(self, text):
        say(f"{time.monotonic() - self.begin:4.0f} s  {text}")

    def all_rows(self, add):
        """Measures row after row and gives each to `add` as soon as it is there."""
        rows = self.options.rows
        try:
            for index, row in enumerate(rows):
                add(self.measure(row))
                self.stable.keep(
                    {key for later in rows[index + 1 :] if later.case.kind not in PROCESS_KINDS
                     for key in later.files.items()}
                )
        finally:
            self.stable.stop()

    def install(self):
        """Gets everything that the rows need. True when nothing is missing."""
        whole = True
        for engine in dict.fromkeys(engine for row in self.options.rows for engine in row.files):
            files = dict.fromkeys(row.files[engine] for row in self.options.rows
                                  if engine in row.files)
            try:
                if engine != US:
                    self.home.need(engine)
                for file in files:
                    self.home.path_of(file)
            except Absent as error:
                whole = False
                say(f"{engine}: {error}")
        return whole

    def results(self):
        """Begun before the first row, as the machine's load is asked before we make our own."""
        return {
            "machine": contenders.machine(self.options.threads),
            "rounds": self.options.rounds,
            "seconds": 0,
            "versions": {},
            "absent": {},
            "rows": [],
        }

    def write_all_rows(self, results):
        """Measures all rows; the folder always has those that are done."""

        def add(row):
            results["rows"].append(row)
            results.update(versions=self.versions, absent=self.stable.absent_engines(),
                           seconds=round(time.monotonic() - self.begin))
            write(results, self.options.out)

        self.all_rows(add)


def write(results, folder):
    """results.json and table.md, each whole at any moment."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "results.json": json.dumps(results, indent=1) + "\n",
        "table.md": report.markdown(results),
    }
    for name, text in texts.items():
        part = folder / f"{name}.part"
        part.write_text(text)
        part.rename(folder / name)


def draw(home, folder):
    try:
        python = home.need_plot()
        plot = pathlib.Path(__file__).with_name("plot.py")
        run([python, plot, folder / "results.json", folder / "ratios.png"], home.log("plot"))
        say(f"results.json, table.md and ratios.png are in {folder}")
    except Absent as error:
        say(f"results.json and table.md are in {folder}; no plot: {error}")


def main(arguments=None):
    options = parse_arguments(arguments)
    if options.list:
        list_rows(options.rows)
        return 0
    if not pathlib.Path(options.binary).exists():
        sys.exit(f"{options.binary} does not exist: ./dev build")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workers are ended too
    whole = Run(options)
    complete = whole.install()
    if options.install_only:
        return 0 if complete else 1
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        say(f"other programs run (load {load:.1f}): the figures will be noise")
    whole.begin = time.monotonic()
    results = whole.results()
    whole.write_all_rows(results)
    print(report.markdown(results))
    draw(whole.home, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
