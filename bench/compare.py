"""`./dev bench --compare REV [NAME]... [-- ARGUMENTS]`: this tree against another revision.

Builds REV from the repository's own copy of it, in build/compare/COMMIT, with the same preset as
this tree's; then runs both in pairs, the first of a pair turning, and prints how many times faster
this tree is: the median of the pairs' ratios with its order-statistics interval. A row whose
interval has 1 in it says that no difference was shown. It judges nothing: the exit code is 0 unless
it was used wrongly (2) or something did not build or run (1).

NAME is a benchmark program (kernel_bench, ...), ARGUMENTS go to it (--benchmark_filter=matmul); or
`inferno`, whose ARGUMENTS are those of `inferno bench`, the model first. Default: kernel_bench.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from bench.stats import paired_ratio

ROOT = pathlib.Path(__file__).resolve().parent.parent
PRESET = "bench"
MINIMUM_TIME = "--benchmark_min_time=0.1"  # seconds of each benchmark; pairs take the noise out


class Broken(Exception):
    """Something that did not build or run."""


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def parse_arguments(arguments):
    arguments, extra = split_at_dashes(arguments)
    parser = argparse.ArgumentParser(
        prog="./dev bench --compare", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("revision", metavar="REV", help="a commit, branch or tag")
    parser.add_argument("names", metavar="NAME", nargs="*", default=["kernel_bench"])
    parser.add_argument("--pairs", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    options.extra = extra
    for name in options.names:
        if name != "inferno" and not name.endswith("_bench"):
            parser.error(f"'{name}' is neither inferno nor a FOLDER_bench (./dev bench --list)")
    if options.pairs < 1:
        parser.error("--pairs is at least 1")
    if "inferno" in options.names and not extra:
        parser.error("inferno needs its arguments after --, the model first")
    options.commit = commit_of(options.revision)
    if options.commit is None:
        parser.error(f"no revision '{options.revision}' in this repository")
    return options


def split_at_dashes(arguments):
    """What is before and after the first bare "--"."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def commit_of(revision):
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options",
               revision + "^{commit}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


# ---- builds


def unpack(commit, folder):
    """The revision's files in `folder`; the work tree and its index are not touched."""
    source = folder / "source"
    if (source / "CMakePresets.json").exists():
        return source
    source.mkdir(parents=True, exist_ok=True)
    archive = subprocess.Popen(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE)
    unpacked = subprocess.run(["tar", "-x", "-C", source], stdin=archive.stdout, check=False)
    archive.stdout.close()
    if archive.wait() != 0 or unpacked.returncode != 0:
        raise Broken(f"git archive {commit} failed")
    return source


def build(source, targets):
    """The build folder of the bench preset of `source`, with these targets made."""
    folder = source / "build" / PRESET
    log = folder.parent / f"compare.{PRESET}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    steps = [] if (folder / "build.ninja").exists() else [["cmake", "--preset", PRESET]]
    steps.append(["cmake", "--build", str(folder), "--target", *targets])
    with log.open("w") as file:
        for step in steps:
            done = subprocess.run(step, cwd=source, stdout=file, stderr=file, check=False)
            if done.returncode != 0:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise Broken(f"{' '.join(step)} in {source} failed ({log}):\n{tail}")
    return folder


# ---- runs


def run(command):
    command = [str(part) for part in command]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise Broken(f"{' '.join(command)} ended with {result.returncode}:\n"
                     f"{result.stderr.strip()[-1000:]}")
    return result.stdout


def read_micro(text):
    """{benchmark: speed} of Google Benchmark's JSON; speed is one over the real time of a turn."""
    speeds = {}
    for entry in json.loads(text)["benchmarks"]:
        if entry.get("run_type", "iteration") != "iteration" or entry.get("error_occurred"):
            continue
        speeds.setdefault(entry["name"], []).append(1.0 / entry["real_time"])
    return {name: statistics.median(values) for name, values in speeds.items()}


def read_model(text):
    """{test: tokens a second} of `inferno bench --json`."""
    return {entry["test"]: entry["median"] for entry in json.loads(text)["results"]}


def speeds_of(folder, name, extra):
    """One run of a program: {what: speed, more is better}."""
    if name == "inferno":
        return read_model(run([folder / "inferno", "bench", *extra, "--json"]))
    has_time = any(part.startswith("--benchmark_min_time") for part in extra)
    flags = ["--benchmark_format=json", *([] if has_time else [MINIMUM_TIME]), *extra]
    return read_micro(run([folder / name, *flags]))


def take_pairs(name, folders, options):
    """[(speeds of this tree, speeds of the revision)], one tuple a pair."""
    ours, theirs = folders
    pairs = []
    for number in range(options.pairs):
        say(f"{name}: pair {number + 1} of {options.pairs}")
        order = [ours, theirs] if number % 2 == 0 else [theirs, ours]
        taken = {folder: speeds_of(folder, name, options.extra) for folder in order}
        pairs.append((taken[ours], taken[theirs]))
    return pairs


def ratios_of(pairs):
    """({what both sides have: Ratio}, [what only one has])."""
    both = set.intersection(*(set(speeds) for pair in pairs for speeds in pair))
    every = set().union(*(set(speeds) for pair in pairs for speeds in pair))
    order = [what for what in pairs[0][0] if what in both]
    ratios = {what: paired_ratio([ours[what] for ours, _ in pairs],
                                 [theirs[what] for _, theirs in pairs]) for what in order}
    return ratios, sorted(every - both)


def verdict(ratio):
    """In words; only an interval that leaves 1 out says something."""
    if ratio.interval.low > 1.0:
        return "faster"
    if ratio.interval.high < 1.0:
        return "slower"
    return "no difference shown"


def print_table(name, ratios, alone):
    print(f"{name}: this tree over the revision, more is faster")
    width = max((len(what) for what in ratios), default=0)
    for what, ratio in ratios.items():
        interval = ratio.interval
        print(f"  {what:<{width}}  {ratio.median:6.3f}  "
              f"[{interval.low:.3f}, {interval.high:.3f}] at {100 * interval.confidence:.0f} %  "
              f"{verdict(ratio)}")
    if alone:
        print(f"  in one of the two only: {', '.join(alone)}")
    if not ratios:
        print("  nothing that both have")


def main(arguments=None):
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        say(f"building this tree and {options.commit[:12]}")
        ours = build(ROOT, options.names)
        theirs = build(unpack(options.commit, ROOT / "build" / "compare" / options.commit[:12]),
                       options.names)
        out = {}
        for name in options.names:
            ratios, alone = ratios_of(take_pairs(name, (ours, theirs), options))
            out[name] = {what: ratio.as_json() for what, ratio in ratios.items()}
            if not options.json:
                print_table(name, ratios, alone)
        if options.json:
            print(json.dumps({"revision": options.commit, "programs": out}))
    except Broken as error:
        print(f"./dev bench --compare: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
