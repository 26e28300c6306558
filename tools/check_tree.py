#!/usr/bin/env python3
"""Holds the tree to its own rules; ./dev check runs it.

  rows       a folder of src/ includes only itself and folders of lower rows
  size       files, functions, lines and parameter lists stay short
  bool       no bare bool among several parameters: in f(x, true) the `true` says nothing
  comment    a header (or a .cc without one) begins with what it is, in at most 25 lines; no comment
             tells history, plans or dates
  test       each x.cc has an x_test.cc beside it, or a test of its folder includes its header;
             x_y.cc may be tested in x_test.cc, sub/x.cc in sub_test.cc, app/x.cc in tests/
             by a script of its name or by one that says it covers src/app/x.cc
  apart      functions, types and constants in the anonymous namespaces of a folder's files have
             names of their own, and so have those of its tests: g++ compiles such files together,
             where a name could mean another's. For the same reason a local function does not have
             the name of one that a header of the folder declares
  names      every path that ARCHITECTURE.md or README.md names exists
  words      no registry host and no path of somebody's machine in any file

What is let through stands in tools/check_tree_exceptions.txt, one `RULE PATH [NAME]` a line. The
list may only get shorter: an exception that nothing needs any more is itself a finding, and so are
more lines than its `limit`.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cpp_outline import blank, outline

ROWS = ["base", "request kernel", "token", "kv sample net", "model schedule transfer",
        "engine route plan", "serve load", "app"]
ROW_OF = {folder: row for row, folders in enumerate(ROWS) for folder in folders.split()}

MAX_FILE_LINES = 600
MAX_TEST_LINES = 900
MAX_FUNCTION_LINES = 70
MAX_KERNEL_LINES = 120
MAX_COLUMNS = 100
MAX_PARAMETERS = 5
MAX_TOP_COMMENT_LINES = 25

SKIPPED_FOLDERS = {"build", ".git", ".venv", ".cache", "__pycache__", ".pytest_cache"}
TEXT_SUFFIXES = {".h", ".cc", ".py", ".sh", ".md", ".txt", ".cmake", ".json", ".toml", ".yaml",
                 ".yml", ".html", ".js", ".css", ".cfg", ".ini", ".dict", ""}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
BOOL = re.compile(r"(const\s+)?bool(\s+\w+)?(\s*=.*)?", re.DOTALL)
HISTORY = re.compile(
    r"//.*?\b(TODO|FIXME|XXX|HACK|for now|milestone|used to be|issue #?\d+|"
    r"20\d\d-\d\d-\d\d)\b")
# Character classes keep these patterns from matching themselves.
WORDS = re.compile(
    r"(pypi[.]org|pythonhosted[.]org|deb[.]debian[.]org|security[.]debian[.]org|"
    r"snapshot[.]debian[.]org|registry[.]npmjs|proxy[.]golang|/[w]ork/|/[r]oot/|"
    r"/home/[a-z][a-z0-9]*/|[e]xtra-index-url|[t]rusted-host)")
# What anonymous namespaces declare begins in column 0. Specializations name no new type.
LOCAL_TYPE = re.compile(r"(?:struct|class|union|enum(?:\s+(?:class|struct))?)\s+"
                        r"(?:alignas\([^)]*\)\s*)?(\w+)\b(?!\s*<)")
LOCAL_CONSTANT = re.compile(r"(?:(?:inline|static)\s+)?(?:constexpr|constinit|const)\s"
                            r"[^=;{()]*?\b(\w+)\s*(?:\[[^]]*\]\s*)*[=;{]")
LOCAL_ALIAS = re.compile(r"(?:using|namespace)\s+(\w+)\s*=")
NAMED_PATH = re.compile(r"`([\w.*{},-]+(?:/[\w.*{},-]+)*/?)`")


@dataclass(frozen=True)
class Finding:
    """A rule broken at a place. `key` is what an exception names."""
    rule: str
    path: str
    detail: str
    text: str

    @property
    def key(self):
        return " ".join(part for part in (self.rule, self.path, self.detail) if part)


def tree_files(root):
    """Every file of the tree as a path relative to it: what git lists, or all but build output."""
    command = ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        names = [name for name in listing.stdout.split("\0") if name]
    else:
        names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return [Path(name) for name in sorted(set(names))
            if not SKIPPED_FOLDERS & set(Path(name).parts) and (root / name).is_file()]


def is_cpp(path):
    return path.parts[0] in ("src", "fuzz", "bench", "tests") and path.suffix in (".h", ".cc")


def is_script(path):
    return path.suffix in (".py", ".sh") or str(path) in ("dev", ".ci/run")


def is_test(path):
    return path.stem.endswith("_test") or path.parts[0] == "tests"


def check_rows(path, text):
    if path.parts[0] != "src" or len(path.parts) < 3:
        return
    folder = path.parts[1]
    if folder not in ROW_OF:
        yield Finding("rows", str(path), "", f"folder '{folder}' is in no row")
        return
    for included in INCLUDE.findall(text):
        other = included.split("/")[0]
        if "/" not in included or other not in ROW_OF:
            yield Finding("rows", str(path), included,
                          f'#include "{included}": write it from src/, as "FOLDER/file.h"')
        elif other != folder and ROW_OF[other] >= ROW_OF[folder]:
            yield Finding("rows", str(path), included,
                          f"{folder}/ includes {other}/, which is not in a lower row")


def check_lines(path, text):
    lines = text.splitlines()
    limit = MAX_TEST_LINES if is_test(path) else MAX_FILE_LINES
    if len(lines) >= limit:
        yield Finding("size", str(path), "file", f"{len(lines)} lines, must be under {limit}")
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS:
            yield Finding("size", str(path), "columns",
                          f"line {number} has {len(line)} columns, limit {MAX_COLUMNS}")
            break


def check_functions(path, text):
    in_kernel = path.parts[:2] == ("src", "kernel")
    limit = MAX_KERNEL_LINES if in_kernel else MAX_FUNCTION_LINES
    for function in outline(text):
        if function.body_lines >= limit:
            yield Finding("size", str(path), function.name,
                          f"line {function.line}: {function.name} has {function.body_lines} lines, "
                          f"must be under {limit}")
        if len(function.parameters) > MAX_PARAMETERS:
            yield Finding("parameters", str(path), function.name,
                          f"line {function.line}: {function.name} has "
                          f"{len(function.parameters)} parameters, limit {MAX_PARAMETERS}")
        alone = len(function.parameters) == 1
        if not alone and any(BOOL.fullmatch(parameter) for parameter in function.parameters):
            yield Finding("bool", str(path), function.name,
                          f"line {function.line}: {function.name} has a bare bool parameter")


def check_comments(root, path, text):
    if path.parts[0] != "src":
        return
    lines = text.splitlines()
    own_header = path.suffix == ".cc" and (root / path).with_suffix(".h").exists()
    if not is_test(path) and path.stem != "main" and not own_header:
        top = next((index for index, line in enumerate(lines) if not line.startswith("//")),
                   len(lines))
        if top == 0:
            yield Finding("comment", str(path), "top", "does not begin with what it is")
        elif top > MAX_TOP_COMMENT_LINES:
            yield Finding("comment", str(path), "top",
                          f"{top} lines of comment at the top, limit {MAX_TOP_COMMENT_LINES}")
    clean = blank(text).splitlines()
    for number, (line, code) in enumerate(zip(lines, clean), 1):
        # A '//' inside a literal is no comment: the blanked line still holds the literal's quote.
        found = HISTORY.search(line)
        if found and '"' not in code[:found.start() + 1]:
            yield Finding("comment", str(path), found.group(1),
                          f"line {number}: '{found.group(1)}' tells history or a plan")


def tests_of(path):
    """The names that a test of src/FOLDER/[SUB/]x_y.cc may have: x_y, x, SUB."""
    folder, words = Path(*path.parts[:2]), path.stem.split("_")
    stems = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    names = [str(base / f"{stem}_test.cc") for base in {path.parent, folder} for stem in stems]
    return names + [str(folder / f"{sub}_test.cc") for sub in path.parts[2:-1]]


def headers_in_tests(root, paths):
    """{(folder of src/, header)}: what the tests of each folder include."""
    return {(path.parts[1], included) for path in paths
            if path.parts[0] == "src" and path.stem.endswith("_test") and len(path.parts) > 2
            for included in INCLUDE.findall((root / path).read_text(errors="replace"))}


def check_tests(root, paths):
    names, in_tests = {str(path) for path in paths}, headers_in_tests(root, paths)
    scripts = [path for path in paths if path.parts[0] == "tests" and path.suffix == ".py"]
    script_names = [path.stem for path in scripts]
    covered = set(re.findall(r"\bsrc/app/\w+\.cc\b",
                             "\n".join((root / path).read_text() for path in scripts
                                       if path.stem.startswith("test_"))))
    for path in paths:
        if path.parts[0] != "src" or path.suffix != ".cc" or path.stem == "main":
            continue
        if re.search(r"_(test|bench|fuzz)$", path.stem) or names & set(tests_of(path)):
            continue
        if (path.parts[1], str(path.relative_to("src").with_suffix(".h"))) in in_tests:
            continue
        if path.parts[1] == "app" and (str(path) in covered or any(
                name.startswith("test_" + path.stem) for name in script_names)):
            continue
        yield Finding("test", str(path), "", f"no {path.stem}_test.cc beside it")


def free_functions(text):
    """(name, line) of the functions at namespace scope: those of classes are indented, and one
    defined behind its class is called `Class::name`.
    """
    lines = text.splitlines()
    for function in outline(text):
        start = function.line - 1
        head = re.split("[{;]", "\n".join(lines[start:start + 6]), maxsplit=1)[0]
        is_member = re.search(r"::\s*" + re.escape(function.name) + r"\s*\(", head)
        if not lines[start][:1].isspace() and not is_member:
            yield function.name, function.line


def local_names(text):
    """{name: (line, what it is)} of what anonymous namespaces declare: a "function", a "type", a
    "constant" or, for an alias, its whole declaration.
    """
    lines, clean = text.splitlines(), blank(text).splitlines()
    found = [(name, line, "function") for name, line in free_functions(text)]
    for number, line in enumerate(clean, 1):
        whole = "\n".join(clean[number - 1:number + 3])
        if declared := LOCAL_TYPE.match(line):
            found.append((declared.group(1), number, "type"))
        elif declared := LOCAL_CONSTANT.match(whole):
            found.append((declared.group(1), number, "constant"))
        elif declared := LOCAL_ALIAS.match(line):
            found.append((declared.group(1), number, " ".join(whole.split(";")[0].split())))
    begins = [number for number, line in enumerate(lines, 1) if line == "namespace {"]
    ends = [number for number, line in enumerate(lines, 1) if line == "}  // namespace"]
    return {name: (line, what) for name, line, what in found
            if any(begin < line < end for begin, end in zip(begins, ends))}


def compiled_together(path):
    """Whether names of the file meet those of its folder of src/, sub-folders included. Benchmarks,
    fuzzers and what stands in isa/ are compiled one by one.
    """
    return (path.parts[0] == "src" and len(path.parts) > 2 and "isa" not in path.parts
            and not re.search(r"_(bench|fuzz)$", path.stem))


def check_apart(root, paths):
    paths = [path for path in paths if compiled_together(path)]
    declared, seen = {}, {}
    for path in paths:
        if path.suffix == ".h":
            for name, _ in free_functions((root / path).read_text(errors="replace")):
                declared.setdefault((path.parts[1], name), path)
    for path in paths:
        if path.suffix != ".cc":
            continue
        text, folder = (root / path).read_text(errors="replace"), path.parts[1]
        for name, (line, what) in local_names(text).items():
            # Found by the type they are called with, and by googletest: overloads are the point. A
            # function in capitals is a macro that defines something, as TYPED_TEST_P and MATCHER.
            is_macro = what == "function" and name.isupper()
            if name == "PrintTo" or name.startswith("operator") or is_macro:
                continue
            first, other = seen.setdefault((folder, is_test(path), name), (path, what))
            is_same_alias = what == other and what.startswith(("using ", "namespace "))
            if first != path and not is_same_alias:
                yield Finding("apart", str(path), name,
                              f"line {line}: {first.name} has the name {name} as well")
            header = declared.get((folder, name))
            if header and what == "function":
                yield Finding("apart", str(path), name,
                              f"line {line}: {header.name} declares a function {name} as well")


def expand(pattern):
    """`a/{b,c}.h` -> a/b.h, a/c.h"""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if not found:
        return [pattern]
    return [name for choice in found.group(1).split(",")
            for name in expand(pattern[:found.start()] + choice + pattern[found.end():])]


def looks_like_path(name):
    if name.endswith("/") or re.search(r"\.(h|cc|py|sh|md|json|txt|cmake)$", name):
        return True
    return name.split("/")[0] in ("src", "tools", "tests", "docs", "cmake", "fuzz", "bench", ".ci")


def check_names(root, path, text):
    for pattern in NAMED_PATH.findall(text):
        if not looks_like_path(pattern) or pattern.startswith("build/"):
            continue
        for name in expand(pattern):
            if not any(any(base.glob(name.rstrip("/"))) for base in (root, root / "src")):
                yield Finding("names", str(path), name, f"names `{name}`, which does not exist")


def check_words(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        found = WORDS.search(line)
        if found:
            yield Finding("words", str(path), found.group(1), f"line {number}: '{found.group(1)}'")


def findings_of(root):
    paths = tree_files(root)
    yield from check_tests(root, paths)
    yield from check_apart(root, paths)
    for path in paths:
        if path.suffix not in TEXT_SUFFIXES:
            continue
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        yield from check_words(path, text)
        if is_cpp(path) or is_script(path):
            yield from check_lines(path, text)
        if is_cpp(path):
            yield from check_rows(path, text)
            yield from check_functions(path, text)
            yield from check_comments(root, path, text)
        if str(path) in ("ARCHITECTURE.md", "README.md"):
            yield from check_names(root, path, text)


def read_exceptions(path):
    """(limit, [keys]); a missing file is an empty list."""
    limit, keys = 0, []
    if path.exists():
        for line in path.read_text().splitlines():
            line = line.split("#")[0].strip()
            if line.startswith("limit "):
                limit = int(line.split()[1])
            elif line:
                keys.append(" ".join(line.split()))
    return limit, keys


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--keys", action="store_true", help="print findings as exception lines")
    options = parser.parse_args(arguments)
    limit, exceptions = read_exceptions(options.root / "tools" / "check_tree_exceptions.txt")
    found = list(findings_of(options.root))
    new = [finding for finding in found if finding.key not in exceptions]
    unneeded = [key for key in exceptions if key not in {finding.key for finding in found}]
    for finding in new:
        print(finding.key if options.keys else f"{finding.path}: {finding.rule}: {finding.text}")
    for key in unneeded:
        print(f"tools/check_tree_exceptions.txt: '{key}' is no longer needed: delete the line")
    if len(exceptions) > limit:
        print(f"tools/check_tree_exceptions.txt: {len(exceptions)} exceptions, limit {limit}: "
              "the list may only get shorter")
    if new or unneeded or len(exceptions) > limit:
        print(f"tree: {len(new)} findings, {len(unneeded)} exceptions to delete")
        return 1
    print(f"tree: clean ({len(exceptions)} exceptions)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
