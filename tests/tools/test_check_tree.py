"""tools/check_tree.py: every rule finds what breaks it, and nothing in what keeps it."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check_tree.py"
HEADER = "// What this is.\n#pragma once\n"


def local(text):
    return f"namespace {{\n{text}\n}}  // namespace\n"


LOCAL = local("int f(int a) {\n  return a;\n}")


@pytest.fixture(name="tree")
def make_tree(tmp_path):
    """A function that lays files into a fresh tree and returns (exit code, output of the tool)."""
    def lay(files, *arguments):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run = subprocess.run([sys.executable, str(TOOL), "--root", str(tmp_path), *arguments],
                             capture_output=True, text=True, check=False)
        return run.returncode, run.stdout
    return lay


def test_a_tree_that_keeps_the_rules_is_clean(tree):
    code, output = tree({
        "src/base/a.h": HEADER + "int g(int a);\n",
        "src/base/a.cc": '#include "base/a.h"\nint g(int a) {\n  return a;\n}\n',
        "src/base/a_test.cc": "TEST(A, IsOne) {\n}\n",
        "src/base/b_test.cc": LOCAL, "src/token/b_test.cc": LOCAL,
        "src/base/b_bench.cc": "// B.\n" + LOCAL,
        "src/base/c_test.cc": "namespace {\nstruct C {\n  int f() {}\n};\n}  // namespace\n",
        "src/token/b.h": HEADER + '#include "base/a.h"\n',
        "ARCHITECTURE.md": "See `base/a.{h,cc}` and `src/token/`, and `Request`.\n"})
    assert (code, output) == (0, "tree: clean (0 exceptions)\n")


@pytest.mark.parametrize("files, expected", [
    ({"src/base/a.h": HEADER + '#include "token/b.h"\n'}, "base/ includes token/"),
    ({"src/kv/a.h": HEADER + '#include "net/b.h"\n'}, "kv/ includes net/"),
    ({"src/base/a.h": HEADER + '#include "b.h"\n'}, "write it from src/"),
    ({"src/odd/a.h": HEADER}, "folder 'odd' is in no row"),
    ({"src/base/a.h": HEADER + "\n" * 600}, "602 lines, must be under 600"),
    ({"src/base/a_test.cc": "\n" * 900}, "900 lines, must be under 900"),
    ({"src/base/a.h": HEADER + "// " + "x" * 100 + "\n"}, "line 3 has 103 columns"),
    ({"src/base/a.h": HEADER + "inline void f() {\n" + "  g();\n" * 68 + "}\n"}, "f has 70 lines"),
    ({"src/base/a.h": HEADER + "void f(int a, int b, int c, int d, int e, int g);\n"},
     "f has 6 parameters, limit 5"),
    ({"src/base/a.h": HEADER + "void f(int a, bool b = true);\n"}, "f has a bare bool parameter"),
    ({"src/base/a.h": "#pragma once\n"}, "does not begin with what it is"),
    ({"src/base/a.h": "// x\n" * 26}, "26 lines of comment at the top"),
    ({"src/base/a.h": HEADER + "// works for now\n"}, "'for now' tells history"),
    ({"src/base/a.h": HEADER + "int a;  // since 2031-02-03\n"}, "'2031-02-03' tells history"),
    ({"src/base/a.cc": "// A.\n"}, "no a_test.cc beside it"),
    ({"src/base/a.cc": "// A.\n", "src/kv/b_test.cc": '#include "base/a.h"\n'},
     "no a_test.cc beside it"),
    ({"src/base/a_test.cc": LOCAL, "src/base/b_test.cc": LOCAL.replace("int", "long")},
     "line 2: a_test.cc has the name f as well"),
    ({"src/token/a_test.cc": LOCAL, "src/token/x/b_test.cc": LOCAL},
     "src/token/x/b_test.cc: apart: line 2: a_test.cc has the name f as well"),
    ({"src/base/a_test.cc": local("struct S {\n};"), "src/base/b_test.cc": local("class S;")},
     "line 2: a_test.cc has the name S as well"),
    ({"src/base/a_test.cc": local("enum class S : int { kOne };"),
      "src/base/b_test.cc": local("template <typename T>\nunion S {\n};")},
     "line 3: a_test.cc has the name S as well"),
    ({"src/base/a_test.cc": local("constexpr int kA = 1;"),
      "src/base/b_test.cc": local("\ninline constexpr std::array<int, 2>\n    kA[2] = {};")},
     "line 3: a_test.cc has the name kA as well"),
    ({"src/base/a_test.cc": local("const std::string kA{\"a\"};"),
      "src/base/b_test.cc": local("enum kA { kOne };")}, "a_test.cc has the name kA as well"),
    ({"src/base/a_test.cc": local("using A = int;"),
      "src/base/b_test.cc": local("using A = long;")}, "a_test.cc has the name A as well"),
    ({"src/token/a.h": HEADER + "inline int f(int a) {\n  return a;\n}\n",
      "src/token/x/a_test.cc": LOCAL}, "line 2: a.h declares a function f as well"),
    ({"ARCHITECTURE.md": "`src/base/gone.h`\n"}, "names `src/base/gone.h`, which does not exist"),
    ({"docs/a.md": "pip from https://" + "pypi" + ".org/simple\n"}, "line 1: 'pypi" + ".org'"),
    ({"tools/a.sh": "cd /" + "work/main\n"}, "line 1: '/" + "work/'"),
])
def test_a_broken_rule_is_found(tree, files, expected):
    code, output = tree(files)
    assert code == 1 and expected in output


@pytest.mark.parametrize("files", [
    {"src/base/a.h": HEADER + "void set_visible(bool visible);\n"},
    {"src/kernel/a.h": HEADER + "inline void f() {\n" + "  g();\n" * 100 + "}\n"},
    {"src/base/a.h": HEADER + 'const char* a = "// for now";\n'},
    {"src/base/a_fuzz.cc": "// A.\n"},
    {"src/token/x/a_b.cc": "// A.\n", "src/token/x/a_test.cc": ""},
    {"src/token/x/a.cc": "// A.\n", "src/token/x_test.cc": ""},
    {"src/token/a.cc": "// A.\n", "src/token/b_test.cc": '#include "token/a.h"\n'},
    {"src/app/run.cc": "// A.\n", "tests/e2e/test_run_command.py": ""},
    {"src/base/a_test.cc": local("using A = int;\nnamespace fs = std::filesystem;"),
     "src/base/b_test.cc": local("using A =\n    int;\nnamespace fs = std::filesystem;")},
    {"src/base/a_test.cc": local("struct A {\n  int f(int a);\n};\nint A::f(int a) {\n}"),
     "src/base/b_test.cc": LOCAL, "src/base/c_bench.cc": "// C.\n" + LOCAL,
     "src/base/b.h": HEADER + "struct B {\n  int f(int a);\n};\ninline int B::f(int a) {\n}\n"},
    {"src/kernel/a_test.cc": LOCAL, "src/kernel/isa/a.h": HEADER + "int f(int a);\n",
     "src/kernel/isa/a_test.cc": LOCAL},
    {"src/base/a_test.cc": local("struct A;\nstruct A {\n};\nvoid PrintTo(A a) {\n}"),
     "src/base/b_test.cc": local("template <>\nstruct A<int> {\n};\nvoid PrintTo(B b) {\n}")},
    {"src/base/a_test.cc": local("MATCHER(IsOne, \"\") {\n}\nconst int kA = 1;"),
     "src/base/a.cc": "// A.\n" + local("MATCHER(IsTwo, \"\") {\n}\nconst int kA = 1;")},
    {"build/src/base/a.h": "#pragma once\n"},
])
def test_what_keeps_a_rule_is_not_found(tree, files):
    code, output = tree(files)
    assert (code, output) == (0, "tree: clean (0 exceptions)\n")


def test_an_exception_lets_one_finding_through(tree):
    files = {"src/base/a.h": HEADER + "void f(int a, bool b);\nvoid g(int a, bool b);\n",
             "tools/check_tree_exceptions.txt": "limit 1\nbool src/base/a.h f  # a reason\n"}
    code, output = tree(files)
    assert code == 1 and "g has a bare bool" in output and "f has a bare bool" not in output


def test_an_exception_that_nothing_needs_is_a_finding(tree):
    code, output = tree({"src/base/a.h": HEADER,
                         "tools/check_tree_exceptions.txt": "limit 1\nbool src/base/a.h f\n"})
    assert code == 1 and "no longer needed" in output


def test_more_exceptions_than_the_limit_is_a_finding(tree):
    code, output = tree({"src/base/a.h": HEADER + "void f(int a, bool b);\n",
                         "tools/check_tree_exceptions.txt": "limit 0\nbool src/base/a.h f\n"})
    assert code == 1 and "1 exceptions, limit 0" in output
