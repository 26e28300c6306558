# shellcheck shell=bash
# ./dev test, check, lint, format, accept. Sourced by ./dev.

RESULTS="build/results"

help_test() {
  cat <<'TEXT'
usage: ./dev test [--unit | --python] [-k PATTERN] [--preset PRESET]

Builds, fetches the default model, runs the unit tests (ctest) and then tests/ (pytest). The last
line counts both: 'N passed, N failed, N skipped'. Exit code 0 only when nothing failed.

  --unit            only the unit tests
  --python          only tests/
  -k PATTERN        unit test folders and pytest tests whose name matches
  --preset PRESET   run the unit tests of another preset (asan, tsan, dev); tests/ use release
TEXT
}

run_unit_tests() { # run_unit_tests PRESET PATTERN
  local -a filter=()
  [ -n "$2" ] && filter=(-R "$2")
  say "unit tests ($1)"
  mkdir -p "$RESULTS/unit"
  GTEST_OUTPUT="xml:$ROOT/$RESULTS/unit/" GTEST_BRIEF=1 \
    ctest --test-dir "build/$1" -j "$JOBS" --output-on-failure --no-tests=ignore \
    --output-junit "$ROOT/$RESULTS/ctest.xml" "${filter[@]}"
}

run_python_tests() { # run_python_tests PATTERN
  local status=0
  local -a filter=()
  [ -n "$1" ] && filter=(-k "$1")
  ensure_venv
  say "tests/"
  INFERNO_BINARY="${INFERNO_BINARY:-$ROOT/build/release/inferno}" \
    "$VENV/bin/python" -m pytest tests --ignore=tests/accept -q -ra \
    --junitxml="$RESULTS/pytest.xml" "${filter[@]}" || status=$?
  # 5: no test was selected, which is a failure only when nothing was filtered out.
  if [ "$status" = 5 ] && [ -n "$1" ]; then status=0; fi
  return "$status"
}

# run_tests WHICH PRESET PATTERN [STEP=RESULT...]: prints the counts of all as the last line.
run_tests() {
  local which="$1" preset="$2" pattern="$3" status=0
  shift 3
  rm -rf "$RESULTS"
  mkdir -p "$RESULTS"
  if [ "$which" != python ]; then run_unit_tests "$preset" "$pattern" || status=1; fi
  if [ "$which" != unit ]; then run_python_tests "$pattern" || status=1; fi
  tool test_summary "$RESULTS" --runs-failed "$status" "$@"
}

command_test() {
  local which=both pattern="" preset=release
  if wants_help "$@"; then help_test && return; fi
  while [ $# -gt 0 ]; do
    case "$1" in
      --unit) which=unit ;;
      --python) which=python ;;
      -k)
        pattern="${2:?-k needs a pattern}"
        shift
        ;;
      --preset)
        preset="${2:?--preset needs a name}"
        shift
        ;;
      *) die "test: unknown argument '$1'" ;;
    esac
    shift
  done
  need test
  if [ "$which" != python ]; then build_preset "$preset"; fi
  if [ "$which" != unit ] && { [ "$which" = python ] || [ "$preset" != release ]; }; then
    build_preset release
  fi
  tool fetch_model
  run_tests "$which" "$preset" "$pattern"
}

help_lint() {
  cat <<'TEXT'
usage: ./dev lint [--all] [--no-tidy]

Checks, without changing anything: clang-format; tools/check_tree.py (rows, sizes, tests beside
code, local names that files of a folder share, names in ARCHITECTURE.md, words that do not belong);
that kernel objects hold only symbols of their own namespace; clang-tidy with the checks of
.clang-tidy. A file that passed clang-tidy is not read again until it or a header it includes
changes.

  --all       clang-tidy on every file (default: files changed since the last commit)
  --no-tidy   skip clang-tidy
TEXT
}

sources() { find src -type f \( -name '*.h' -o -name '*.cc' \) | sort; }

lint_format() {
  say "clang-format"
  sources | xargs -r -P "$JOBS" -n 20 clang-format-19 --dry-run -Werror
}

lint_tree() {
  say "tree"
  tool check_tree
}

lint_symbols() {
  if [ -d build/release/src/kernel ]; then
    say "kernel symbols"
    tool check_kernel_symbols build/release
  fi
}

lint_tidy() { # lint_tidy [--all]
  say "clang-tidy"
  build_preset clang >&2 || return 1
  tool run_tidy --build build/clang --jobs "$JOBS" "$@"
}

command_lint() {
  local tidy=yes failed=0
  local -a scope=()
  if wants_help "$@"; then help_lint && return; fi
  while [ $# -gt 0 ]; do
    case "$1" in
      --all) scope=(--all) ;;
      --no-tidy) tidy=no ;;
      *) die "lint: unknown argument '$1'" ;;
    esac
    shift
  done
  need check
  lint_format || failed=1
  lint_tree || failed=1
  lint_symbols || failed=1
  if [ "$tidy" = yes ]; then lint_tidy "${scope[@]}" || failed=1; fi
  if [ "$failed" = 0 ]; then say "lint: clean"; fi
  return "$failed"
}

help_format() {
  cat <<'TEXT'
usage: ./dev format [FILE]...

Rewrites the C++ sources (or the files named) in place: wraps comments wider than 100 columns
(tools/wrap_comments.py), then clang-format-19 with .clang-format.
TEXT
}

command_format() {
  if wants_help "$@"; then help_format && return; fi
  need check
  if [ $# -gt 0 ]; then
    (cd "$CALLER_DIR" && tool wrap_comments "$@" && clang-format-19 -i "$@")
  else
    sources | xargs -r "$(system_python)" tools/wrap_comments.py
    sources | xargs -r -P "$JOBS" -n 20 clang-format-19 -i
  fi
}

help_check() {
  cat <<'TEXT'
usage: ./dev check

What CI runs: build with g++ (release) and with clang (warnings are errors in both), clang-format,
tree and kernel-symbol checks, clang-tidy on every file, then all tests. A failing step does not
hide the later ones. The last line counts steps and tests: 'N passed, N failed, N skipped'. Exit
code 0 only when nothing failed.
TEXT
}

# step NAME COMMAND...: runs it and notes "NAME=passed" or "NAME=failed" in STEPS.
step() {
  local name="$1" start="$SECONDS"
  shift
  if ("$@"); then
    STEPS+=("$name=passed")
    say "$name: passed in $((SECONDS - start)) s"
  else
    STEPS+=("$name=failed")
    say "$name: FAILED after $((SECONDS - start)) s"
  fi
}

command_check() {
  STEPS=()
  if wants_help "$@"; then help_check && return; fi
  [ $# -eq 0 ] || die "check: takes no arguments"
  need all
  step build-gcc build_preset release
  step build-clang build_preset clang
  step clang-format lint_format
  step tree lint_tree
  step kernel-symbols lint_symbols
  step clang-tidy lint_tidy --all
  step model tool fetch_model
  run_tests both release "" "${STEPS[@]}"
}

help_accept() {
  cat <<'TEXT'
usage: ./dev accept [--list] [NAME]... [-- ARGUMENTS]

Runs the slow proofs tests/accept/*.sh and *.py on the real models: all of them, or those named
(without ending). Each is a program of its own that exits 0 when the proof holds. --list names them
with their first comment line. Ends with 'N passed, N failed'.
TEXT
}

accept_scripts() {
  [ ! -d tests/accept ] || find tests/accept -maxdepth 1 \( -name '*.sh' -o -name '*.py' \) \
    ! -name '_*' ! -name conftest.py | sort
}

first_comment() {
  grep -m1 -E '^(# [A-Z]|""")' "$1" | sed -E 's/^(# |""")//; s/"""$//'
}

accept_one() { # accept_one FILE ARGUMENTS...
  local file="$1"
  shift
  case "$file" in
    *.py) INFERNO_BINARY="$ROOT/build/release/inferno" "$VENV/bin/python" "$file" "$@" ;;
    *) INFERNO_BINARY="$ROOT/build/release/inferno" bash "$file" "$@" ;;
  esac
}

command_accept() {
  local list=no file name passed=0 failed=0
  local -a names=() files=()
  if wants_help "$@"; then help_accept && return; fi
  while [ $# -gt 0 ]; do
    case "$1" in
      --list) list=yes ;;
      --)
        shift
        break
        ;;
      -*) die "accept: unknown argument '$1'" ;;
      *) names+=("$1") ;;
    esac
    shift
  done
  mapfile -t files < <(accept_scripts)
  if [ "$list" = yes ]; then
    for file in "${files[@]}"; do
      name="$(basename "$file")"
      printf '%-24s %s\n' "${name%.*}" "$(first_comment "$file")"
    done
    return
  fi
  if [ ${#names[@]} -gt 0 ]; then
    files=()
    for name in "${names[@]}"; do
      file="$(accept_scripts | grep -E "/$name\.(sh|py)\$" || true)"
      [ -n "$file" ] || die "accept: no '$name' (./dev accept --list)"
      files+=("$file")
    done
  fi
  [ ${#files[@]} -gt 0 ] || die "accept: tests/accept/ holds no script"
  need test
  build_preset release
  ensure_venv
  for file in "${files[@]}"; do
    say "accept: $file"
    if accept_one "$file" "$@"; then passed=$((passed + 1)); else
      failed=$((failed + 1))
      say "accept: $file FAILED"
    fi
  done
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
