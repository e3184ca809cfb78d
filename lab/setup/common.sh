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

# Whether a Go program was built with all that lines of a go.mod require.
built_with() {
  printf '%s\n' "$2" | while read -r word module version; do
    [ "$word" != require ] || grep -aqs "$module.$version" "$1" || exit 1
  done
}

# build_go NAME PACKAGE LINES: builds a program of tests in the cache, with these lines of go.mod, unless it is there.
# Optional: without Go, which is often unpacked where PATH does not lead, the tests that use the program are skipped.
build_go() {
  name=$1 package=$2 lines=$3
  target="$CACHE/bin/$name"
  found=$(command -v "$name" || true)
  if [ "${found:-$target}" != "$target" ] || built_with "$target" "$lines"; then
    say "$name: there"
    return
  fi
  PATH="$PATH:/usr/local/go/bin"
  if ! command -v go >/dev/null 2>&1; then
    say "$name: left out, there is no Go to build it with (tests that use it are skipped)"
    return
  fi
  say "$name: building $package with $(go version | cut -d' ' -f3), once; this takes minutes"
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT INT TERM
  cd "$build"
  printf 'module build\ngo 1.24\n%s\n' "$lines" >go.mod
  printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$package" >tools.go
  mkdir -p "$CACHE/bin"
  if quietly env GOFLAGS=-mod=mod nice go build -buildvcs=false -o "$target.new" "$package"; then
    mv "$target.new" "$target"
    say "$name: built as $target"
  else
    say "$name: left out, it could not be built (tests that use it are skipped)"
  fi
}
