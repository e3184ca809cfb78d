# What the setup scripts share; sourced by them.
set -eu

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/aether"

say() { printf '%s\n' "setup: $*"; }
fail() { printf '%s\n' "setup: $*" >&2; exit 1; }

# Runs a command quietly; shows what it wrote only when it fails.
quietly() {
  output=$(mktemp)
  if "$@" >"$output" 2>&1; then
    rm -f "$output"
  else
    code=$?
    tail -n 60 "$output" >&2
    rm -f "$output"
    return "$code"
  fi
}
