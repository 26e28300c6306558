#!/usr/bin/env python3
"""Runs clang-tidy over the project's sources, in parallel, and only where something changed.

A file that passed is remembered under build/tidy by a hash of everything its result depends on: its
compile command, .clang-tidy, and the content of every project file it includes (which ninja knows
from the last build). So a second run reads nothing, and a changed header makes its users be read
again.
"""

import argparse
import concurrent.futures
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(command):
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def commands_of(build):
    """{source path relative to the root: compile command}; of several, the last."""
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = Path(entry["file"])
        if path.is_relative_to(ROOT / "src"):
            commands[str(path.relative_to(ROOT))] = entry
    return commands


def dependencies_of(build):
    """{object: [project files it was compiled from]} as ninja noted at the last build."""
    dependencies, current = {}, None
    for line in run(["ninja", "-C", str(build), "-t", "deps"]).stdout.splitlines():
        if line.startswith("    "):
            path = (build / line.strip()).resolve()
            if current is not None and path.is_relative_to(ROOT):
                current.append(path)
        elif ": #deps" in line:
            current = dependencies.setdefault(line.split(":", 1)[0], [])
    return dependencies


def key_of(entry, files):
    digest = hashlib.sha256()
    digest.update((ROOT / ".clang-tidy").read_bytes())
    digest.update(entry["command"].encode())
    for path in sorted(set(files)):
        digest.update(str(path).encode())
        digest.update(path.read_bytes() if path.exists() else b"gone")
    return digest.hexdigest()


def changed_files():
    listing = run(["git", "status", "--porcelain", "--untracked-files=all"]).stdout.splitlines()
    changed = {line[3:].split(" -> ")[-1] for line in listing}
    return changed | set(run(["git", "diff", "--name-only", "HEAD~1"]).stdout.split())


def tidy(tool, build, source):
    start = time.monotonic()
    result = run([tool, "-p", str(build), "--quiet", "--warnings-as-errors=*", source])
    return source, result.returncode, result.stdout, time.monotonic() - start


def is_relevant(source, files, changed):
    names = {str(path.relative_to(ROOT)) for path in files} | {source}
    return bool(names & changed)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "clang")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="not only what changed since HEAD~1")
    parser.add_argument("--tool", default="clang-tidy-19")
    options = parser.parse_args(arguments)
    build = options.build.resolve()
    stamps = ROOT / "build" / "tidy"
    stamps.mkdir(parents=True, exist_ok=True)
    commands, dependencies = commands_of(build), dependencies_of(build)
    changed = None if options.all else changed_files()
    work = {}
    for source, entry in sorted(commands.items()):
        files = dependencies.get(entry.get("output", ""), []) or [ROOT / source]
        if changed is not None and not is_relevant(source, files, changed):
            continue
        key = key_of(entry, files)
        if not (stamps / key).exists():
            work[source] = key
    print(f"clang-tidy: {len(work)} of {len(commands)} files to read", flush=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for source, code, output, seconds in pool.map(
                lambda source: tidy(options.tool, build, source), work):
            if code == 0:
                (stamps / work[source]).touch()
            else:
                failed += 1
                print(f"--- {source} ({seconds:.1f} s)\n{output.strip()}", flush=True)
    print(f"clang-tidy: {failed} of {len(work)} files with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
