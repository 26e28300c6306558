"""tools/check_kernel_symbols.py: mangled names are told apart, and real objects are read."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check_kernel_symbols.py"
sys.path.insert(0, str(TOOL.parent))
from check_kernel_symbols import is_inside  # noqa: E402

INSIDE = ("namespace inferno::kernel::avx2 {\n"
          "int table[2] = {1, 2};\n"
          "template <typename T> T twice(T x) { return x + x; }\n"
          "struct S { int get() const; };\n"
          "int S::get() const { static int count = twice(3); return ++count; }\n"
          "static int hidden() { return 1; }\n"
          "int shown() { return hidden(); }\n}\n")


@pytest.mark.parametrize("symbol, inside", [
    ("_ZN7inferno6kernel4avx26matmulEv", True),
    ("_ZNK7inferno6kernel4avx21S3getEv", True),
    ("_ZZNK7inferno6kernel4avx21S3getEvE5count", True),
    ("_ZGVZNK7inferno6kernel4avx21S3getEvE5count", True),
    ("_ZTVN7inferno6kernel4avx21SE", True),
    ("_ZN7inferno6kernel6avx5126matmulEv", False),
    ("_ZN7inferno6kernel6matmulEv", False),
    ("_ZSt3maxIfERKT_S2_S2_", False),
    ("memcpy_fast", False),
])
def test_a_mangled_name_tells_its_namespace(symbol, inside):
    assert is_inside(symbol, "avx2") is inside


def run_on(tmp_path, source):
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    folder = tmp_path / "src/kernel/CMakeFiles/inferno_kernel_avx2.dir/isa"
    folder.mkdir(parents=True)
    (tmp_path / "x.cc").write_text(source)
    subprocess.run(["g++", "-std=c++20", "-c", str(tmp_path / "x.cc"), "-o", str(folder / "x.o")],
                   check=True)
    return subprocess.run([sys.executable, str(TOOL), str(tmp_path)], capture_output=True,
                          text=True, check=False)


def test_an_object_inside_its_namespace_passes(tmp_path):
    result = run_on(tmp_path, INSIDE)
    assert result.returncode == 0 and "1 objects, 0 symbols" in result.stdout


def test_an_inline_function_of_another_namespace_is_found(tmp_path):
    result = run_on(tmp_path, INSIDE + "#include <algorithm>\nnamespace inferno::kernel::avx2 {\n"
                    "float most(float a, float b) { return std::max(a, b); }\n}\n")
    assert result.returncode == 1 and "std::max" in result.stdout
