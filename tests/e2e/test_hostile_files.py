"""Hostile model files: an error that says what is wrong, never a signal, never a hang."""

import concurrent.futures
import os

import pytest
from conftest import need_shared
from hostile_files import gguf_files, safetensors_folders

TIMEOUT_S = 60


def results_of(judge, items):
    """The results for all items; as many at a time as there are processors."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(judge, items))


def troubles(inferno, files):
    """How many files there were, and what went wrong with each, given to `run` (which must refuse
    it) and `info` (which may still read it).
    """

    def troubles_of(file):
        name, path = file
        found = []
        for command in (
            ["run", path, "hello", "--max-tokens", 1, "--kv-cache-memory", "16MiB"],
            ["info", path],
        ):
            result = inferno(*command, timeout_s=TIMEOUT_S)
            what = f"{command[0]} of '{name}'"
            if result.returncode < 0:
                found.append(f"{what}: signal {-result.returncode}")
            elif result.returncode == 0 and command[0] == "run":
                found.append(f"{what}: was accepted")
            elif result.returncode != 0 and not result.stderr.strip():
                found.append(f"{what}: no message")
            elif (
                b"Sanitizer" in result.stderr
                or b"CHECK failed" in result.stderr
                or b"terminate" in result.stderr
            ):
                found.append(f"{what}: {result.stderr[-300:]!r}")
        return found

    found = results_of(troubles_of, files)
    return len(found), sum(found, [])


@pytest.mark.timeout(900)
def test_hostile_gguf_files_are_refused(inferno, tiny_model, tmp_path):
    count, found = troubles(inferno, gguf_files(tiny_model, tmp_path))
    assert count >= 50
    assert not found, "\n".join(found)


@pytest.mark.timeout(900)
def test_hostile_safetensors_folders_are_refused(inferno, tmp_path):
    count, found = troubles(inferno, safetensors_folders(need_shared("llama/hf"), tmp_path))
    assert count >= 30
    assert not found, "\n".join(found)


def test_server_refuses_a_hostile_file_and_ends(inferno, tiny_model, tmp_path):
    files = list(gguf_files(tiny_model, tmp_path))[::8]
    results = results_of(
        lambda file: inferno("serve", file[1], "--port", 0, timeout_s=TIMEOUT_S), files
    )
    for (name, _), result in zip(files, results):
        assert result.returncode == 1, name
        assert result.stderr.strip(), name


def test_error_names_the_file(inferno, tmp_path):
    broken = tmp_path / "broken-model.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 100)
    result = inferno("info", broken)
    assert result.returncode == 1
    assert b"broken-model.gguf" in result.stderr


def test_good_file_is_still_accepted(inferno, tiny_model):
    assert inferno("info", tiny_model).returncode == 0
    assert (
        inferno(
            "run", tiny_model, "hello", "--max-tokens", 1, "--kv-cache-memory", "16MiB"
        ).returncode
        == 0
    )
