# shellcheck shell=bash disable=SC2034
# Parts of ./dev that every command uses: messages, help, Python environments. Sourced, never run.

VENV="$ROOT/.venv"
JOBS="$(nproc 2>/dev/null || echo 2)"

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf './dev: %s\n' "$*" >&2
  exit 2
}

# True when one of the arguments before a bare "--" asks for help.
wants_help() {
  local argument
  for argument in "$@"; do
    case "$argument" in
      --) return 1 ;;
      -h | --help) return 0 ;;
    esac
  done
  return 1
}

# The distribution's Python, which has what setup installs; else whatever python3 is.
system_python() {
  if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else command -v python3; fi
}

tool() { # tool NAME [ARGUMENTS]: runs tools/NAME.py
  local name="$1"
  shift
  "$(system_python)" "$ROOT/tools/$name.py" "$@"
}

# The environment of the Python tests: .venv with tests/requirements.txt, made again when that file
# changes.
ensure_venv() {
  local requirements="$ROOT/tests/requirements.txt" stamp="$VENV/.requirements.sha256" wanted
  wanted="$( (cat "$requirements" 2>/dev/null || echo pytest) | sha256sum | cut -d' ' -f1)"
  if [ -x "$VENV/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return 0; fi
  say "python environment for the tests: .venv"
  rm -f "$stamp"
  [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1 ||
    "$(system_python)" -m venv --clear "$VENV" ||
    die "python3 -m venv failed: is python3-venv installed?"
  local -a what=(pytest)
  [ -f "$requirements" ] && what=(-r "$requirements")
  "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-input "${what[@]}" ||
    die "pip could not install tests/requirements.txt (see above)"
  echo "$wanted" >"$stamp"
}
