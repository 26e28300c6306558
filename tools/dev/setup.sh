# shellcheck shell=bash
# ./dev setup: the Debian packages the project stands on, by what they are for. Sourced by ./dev.

PACKAGES_BUILD=(g++ cmake ninja-build ccache pkg-config
  libboost1.81-dev libboost-json1.81-dev libboost-system1.81-dev
  libcli11-dev libspdlog-dev libfmt-dev libpcre2-dev libxxhash-dev libedit-dev libnuma-dev
  libgtest-dev libgmock-dev librapidcheck-dev
  python3 python3-pip)
PACKAGES_TEST=(python3-venv chromium fonts-dejavu-core ca-certificates git)
PACKAGES_CHECK=(clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev llvm-19)
PACKAGES_BENCH=(libbenchmark-dev)

help_setup() {
  cat <<'TEXT'
usage: ./dev setup [--for build|test|check|bench|all] [--list]

Installs what is missing on Debian 12 with apt-get (through sudo when not root) and says what it
installs. Asks nothing; does nothing, in well under a second, when all is there.

  --for WHAT   build: compilers and libraries, enough for ./dev build and ./dev serve
               test:  build, and the browser and Python environment of the tests
               check: test, and clang with its tools (lint, sanitizers, fuzzing, coverage)
               bench: build, and the benchmark library
               all:   everything (the default)
  --list       print the packages and whether they are installed; change nothing
TEXT
}

packages_for() {
  case "$1" in
    build) printf '%s\n' "${PACKAGES_BUILD[@]}" ;;
    test) printf '%s\n' "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}" ;;
    check) printf '%s\n' "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}" "${PACKAGES_CHECK[@]}" ;;
    bench) printf '%s\n' "${PACKAGES_BUILD[@]}" "${PACKAGES_BENCH[@]}" ;;
    all)
      packages_for check
      printf '%s\n' "${PACKAGES_BENCH[@]}"
      ;;
    *) die "setup: --for is build, test, check, bench or all, not '$1'" ;;
  esac
}

# Those of its arguments that dpkg does not have installed.
missing_packages() {
  local installed package
  installed="$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
    awk '$1 == "installed" { print $2 }' || true)"
  for package in "$@"; do
    grep -qxF "$package" <<<"$installed" || echo "$package"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "setup: not root and no sudo; run as root: $*"
  fi
}

apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600)
  # A list that cannot be refreshed may still name everything: what counts is the install below.
  as_root "${apt[@]}" update -q || say "setup: apt-get update had errors; installing all the same"
  as_root "${apt[@]}" install -q -y --no-install-recommends "$@" </dev/null ||
    die "setup: apt-get could not install: $*"
}

# need WHAT: makes sure that the packages for WHAT are there.
need() {
  local -a wanted missing
  mapfile -t wanted < <(packages_for "$1")
  [ ${#wanted[@]} -gt 0 ] || exit 2
  if ! command -v dpkg-query >/dev/null; then
    say "setup: not a Debian system; expecting these to be there: ${wanted[*]}"
    return 0
  fi
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "setup: installing ${#missing[@]} packages: ${missing[*]}"
  apt_install "${missing[@]}"
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  [ ${#missing[@]} -eq 0 ] || die "setup: still missing after apt-get install: ${missing[*]}"
  say "setup: installed"
}

command_setup() {
  local what=all list=no
  if wants_help "$@"; then help_setup && return; fi
  while [ $# -gt 0 ]; do
    case "$1" in
      --for)
        what="${2:?--for needs a value}"
        shift 2
        ;;
      --list)
        list=yes
        shift
        ;;
      *) die "setup: unknown argument '$1'" ;;
    esac
  done
  if [ "$list" = yes ]; then
    packages_for "$what" | while read -r package; do
      if [ -n "$(missing_packages "$package")" ]; then
        echo "missing    $package"
      else
        echo "installed  $package"
      fi
    done
    return
  fi
  need "$what"
  case "$what" in test | check | all) ensure_venv ;; esac
  say "setup: everything for '$what' is there"
}
