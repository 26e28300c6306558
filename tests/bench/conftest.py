"""Tests of bench/ and of what it measures with; bench is a package at the top of the tree."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "bench" / "peers" / "workers"))


@pytest.fixture(scope="session")
def program():
    """The inferno program; a test that needs it fails without."""
    path = pathlib.Path(os.environ.get("INFERNO_BINARY", ROOT / "build" / "release" / "inferno"))
    if not path.exists():
        pytest.fail(f"{path} does not exist: run ./dev build", pytrace=False)
    return path
