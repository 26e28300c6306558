# shellcheck shell=bash
# ./dev build, serve, model, bench, fuzz, coverage, clean. Sourced by ./dev.

help_build() {
  cat <<'TEXT'
usage: ./dev build [PRESET] [--target NAME]... [--jobs N]

Configures and compiles a preset into build/PRESET. PRESET is release (the default:
build/release/inferno), dev, clang, bench, asan, tsan, coverage or fuzz; CMakePresets.json says what
each is.

  --target NAME   only this target (inferno, kv_test, ...); may be repeated
  --jobs N        compilers at a time (default: one per CPU)
TEXT
}

# build_preset PRESET [TARGET...]: configures when needed and compiles.
build_preset() {
  local preset="$1" folder="$ROOT/build/$1"
  shift
  case "$preset" in
    release | dev) need build ;;
    bench) need bench ;;
    *) need check ;;
  esac
  if [ ! -f "$folder/build.ninja" ] || [ CMakePresets.json -nt "$folder/build.ninja" ]; then
    say "configuring $preset"
    cmake --preset "$preset" >"$ROOT/build.$preset.log" 2>&1 || {
      cat "$ROOT/build.$preset.log" >&2
      rm -f "$ROOT/build.$preset.log"
      die "cmake --preset $preset failed"
    }
    mv "$ROOT/build.$preset.log" "$folder/configure.log"
  fi
  say "building $preset ${*:+($*)}"
  ninja -C "$folder" -j "$JOBS" "$@"
}

command_build() {
  local preset=release
  local -a targets=()
  if wants_help "$@"; then help_build && return; fi
  while [ $# -gt 0 ]; do
    case "$1" in
      --target)
        targets+=("${2:?--target needs a name}")
        shift 2
        ;;
      --jobs | -j)
        JOBS="${2:?--jobs needs a number}"
        shift 2
        ;;
      -*) die "build: unknown argument '$1'" ;;
      *)
        preset="$1"
        shift
        ;;
    esac
  done
  case "$preset" in
    release | dev | clang | bench | asan | tsan | coverage | fuzz) ;;
    *) die "build: no preset '$preset'" ;;
  esac
  build_preset "$preset" "${targets[@]}"
}

help_serve() {
  cat <<'TEXT'
usage: ./dev serve [MODEL] [ARGUMENTS of inferno serve]

Installs what the build needs, builds, fetches the model if it is one of ./dev model --list, and
runs build/release/inferno serve MODEL: a name, a GGUF file or a folder (default smollm2-135m).
Ready when it prints: serving NAME on http://HOST:PORT
`build/release/inferno serve --help` lists its arguments (--host, --port, --threads, ...).
TEXT
}

is_fetchable() { tool fetch_model --list | awk '{ print $1 }' | grep -qxF -- "$1"; }

command_serve() {
  local model=smollm2-135m
  if [ $# -gt 0 ] && wants_help "$1"; then help_serve && return; fi
  if [ $# -gt 0 ] && [[ "$1" != -* ]]; then
    model="$1"
    shift
  fi
  build_preset release inferno >&2
  if is_fetchable "$model"; then
    tool fetch_model "$model" >&2
  elif [[ "$model" != /* && -e "$CALLER_DIR/$model" ]]; then
    model="$CALLER_DIR/$model"
  fi
  exec build/release/inferno serve "$model" "$@"
}

command_model() {
  if ! wants_help "$@"; then need build; fi
  tool fetch_model "$@"
}

help_bench() {
  cat <<'TEXT'
usage: ./dev bench [--list] [NAME]... [-- ARGUMENTS]
       ./dev bench --compare REV [NAME]... [--pairs N] [--json] [-- ARGUMENTS]
       ./dev bench peers [ARGUMENTS]

Builds the bench preset and runs the benchmark programs beside the code (FOLDER_bench). Without
NAME: every one of them. ARGUMENTS go to what runs (--benchmark_filter=matmul, ...). Figures are
this machine's at this minute: compare only what ran together.

--compare builds another revision too and runs both in pairs: how many times faster this tree is,
with an interval. NAME may also be inferno (ARGUMENTS: a model, --pp, --tg, --batch, --depth).

peers installs llama.cpp, OpenVINO GenAI and vLLM for CPU, runs them and this tree in rounds, and
writes a table and a plot (./dev bench peers --help).
TEXT
}

bench_programs() { find build/bench -maxdepth 1 -name '*_bench' -type f -printf '%f\n' | sort; }

# bench_module NAME ARGUMENTS: runs a module of bench/ with what setup installs.
bench_module() {
  local name="$1"
  shift
  "$(system_python)" -m "bench.$name" "$@"
}

command_bench() {
  local -a names=()
  local list=no name
  case "${1:-}" in
    peers)
      shift
      if ! wants_help "$@" && [[ " $* " != *" --list "* ]]; then
        bench_module peers --list "$@" >/dev/null || exit 2 # wrong arguments: before any building
        [ -n "${INFERNO_BINARY:-}" ] || build_preset release inferno
      fi
      bench_module peers "$@"
      return
      ;;
    --compare)
      shift
      if ! wants_help "$@"; then need bench; fi
      bench_module compare "$@"
      return
      ;;
  esac
  if wants_help "$@"; then help_bench && return; fi
  while [ $# -gt 0 ]; do
    case "$1" in
      --list) list=yes ;;
      --)
        shift
        break
        ;;
      -*) die "bench: unknown argument '$1' (put arguments of the benchmark after --)" ;;
      *) names+=("$1") ;;
    esac
    shift
  done
  if [ "$list" = yes ]; then
    find src -name '*_bench.cc' -printf '%P\n' | sed 's#/.*#_bench#' | sort -u
    return
  fi
  build_preset bench
  if [ ${#names[@]} -eq 0 ]; then mapfile -t names < <(bench_programs); fi
  [ ${#names[@]} -gt 0 ] || die "bench: no benchmark program (x_bench.cc) exists"
  for name in "${names[@]}"; do
    say "bench: $name"
    [ -x "build/bench/$name" ] || die "bench: no '$name' (./dev bench --list)"
    "build/bench/$name" "$@"
  done
}

help_fuzz() {
  cat <<'TEXT'
usage: ./dev fuzz [--list] [TARGET]... [--seconds N]

Builds the fuzz preset (libFuzzer, AddressSanitizer, UBSan) and runs each target, or those named,
for N seconds (default 60). Seeds come from fuzz/seeds/TARGET/ and a dictionary from
fuzz/TARGET.dict when they exist; the corpus grows in build/fuzz/corpus/TARGET and is used again; an
input that crashes a target is kept in build/fuzz/crashes/TARGET and fails the command. Ends with 'N
passed, N failed'.
TEXT
}

fuzz_targets() { find src -name '*_fuzz.cc' -printf '%f\n' | sed 's/\.cc$//' | sort; }

fuzz_one() {
  local target="$1" seconds="$2" corpus="build/fuzz/corpus/$1" crashes="build/fuzz/crashes/$1"
  local -a arguments=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1
    -artifact_prefix="$crashes/")
  mkdir -p "$corpus" "$crashes"
  [ -f "fuzz/$target.dict" ] && arguments+=(-dict="fuzz/$target.dict")
  arguments+=("$corpus")
  [ -d "fuzz/seeds/$target" ] && arguments+=("fuzz/seeds/$target")
  say "fuzz: $target for $seconds s"
  "build/fuzz/$target" "${arguments[@]}" >"build/fuzz/$target.log" 2>&1 || {
    tail -n 40 "build/fuzz/$target.log" >&2
    return 1
  }
  grep -E 'number_of_executed_units|new_units_added' "build/fuzz/$target.log" >&2 || true
}

command_fuzz() {
  local seconds=60 passed=0 failed=0 target
  local -a targets=()
  if wants_help "$@"; then help_fuzz && return; fi
  while [ $# -gt 0 ]; do
    case "$1" in
      --seconds)
        seconds="${2:?--seconds needs a number}"
        [[ "$seconds" =~ ^[1-9][0-9]*$ ]] || die "fuzz: --seconds is a positive number"
        shift 2
        ;;
      --list)
        fuzz_targets
        return
        ;;
      -*) die "fuzz: unknown argument '$1'" ;;
      *)
        targets+=("$1")
        shift
        ;;
    esac
  done
  if [ ${#targets[@]} -eq 0 ]; then mapfile -t targets < <(fuzz_targets); fi
  [ ${#targets[@]} -gt 0 ] || die "fuzz: no fuzz target (x_fuzz.cc) exists"
  for target in "${targets[@]}"; do
    fuzz_targets | grep -qxF "$target" || die "fuzz: no target '$target' (./dev fuzz --list)"
  done
  build_preset fuzz "${targets[@]}"
  for target in "${targets[@]}"; do
    if fuzz_one "$target" "$seconds"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  done
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}

help_coverage() {
  cat <<'TEXT'
usage: ./dev coverage [--html]

Runs the unit tests in the coverage preset (clang's source-based coverage) and prints lines covered
per file and in all. --html also writes build/coverage/html/index.html.
TEXT
}

command_coverage() {
  local html=no program
  local -a objects=()
  local -a ignore=(-ignore-filename-regex='(_test|_bench|_fuzz)\.cc$|/test_[a-z_]*\.h$|^/usr/')
  if wants_help "$@"; then help_coverage && return; fi
  [ "${1:-}" = --html ] && html=yes
  build_preset coverage
  rm -rf build/coverage/profiles
  say "running the unit tests"
  LLVM_PROFILE_FILE="$ROOT/build/coverage/profiles/%p-%m.profraw" \
    ctest --test-dir build/coverage -j "$JOBS" --output-on-failure ||
    say "coverage: some tests failed"
  mkdir -p build/coverage/profiles
  find build/coverage/profiles -name '*.profraw' >build/coverage/profiles/list
  [ -s build/coverage/profiles/list ] || die "coverage: no profile was written"
  llvm-profdata-19 merge -sparse -f build/coverage/profiles/list -o build/coverage/all.profdata
  while read -r program; do objects+=(-object "$program"); done < <(
    find build/coverage -maxdepth 1 -type f -name '*_test' | sort)
  llvm-cov-19 report "${objects[@]:1}" -instr-profile=build/coverage/all.profdata "${ignore[@]}" \
    -show-region-summary=false -show-branch-summary=false
  if [ "$html" = yes ]; then
    llvm-cov-19 show "${objects[@]:1}" -instr-profile=build/coverage/all.profdata "${ignore[@]}" \
      -format=html -output-dir=build/coverage/html
    say "build/coverage/html/index.html"
  fi
}

help_clean() {
  cat <<'TEXT'
usage: ./dev clean [PRESET | --all]

Removes build/ (or only build/PRESET). --all also removes the Python environment .venv. The model
cache stays: it lies outside the tree.
TEXT
}

command_clean() {
  if wants_help "$@"; then help_clean && return; fi
  case "${1:-}" in
    "") rm -rf build ;;
    --all) rm -rf build .venv ;;
    -* | */* | .*) die "clean: unknown argument '$1'" ;;
    *)
      [ -d "build/$1" ] || die "clean: no build/$1"
      rm -rf "build/$1"
      ;;
  esac
}
