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

# build_go NAME MODULE VERSION PACKAGE [LINE OF go.mod]: builds a program of tests in the cache, once. Optional: without
# Go, which is often unpacked where PATH does not lead, the tests that use the program are skipped.
build_go() {
  name=$1 module=$2 version=$3 package=$4 more=${5:-}
  target="$CACHE/bin/$name"
  if command -v "$name" >/dev/null 2>&1 || [ -x "$target" ]; then
    say "$name: there"
    return
  fi
  PATH="$PATH:/usr/local/go/bin"
  if ! command -v go >/dev/null 2>&1; then
    say "$name: left out, there is no Go to build it with (tests that use it are skipped)"
    return
  fi
  say "$name: building $module $version with $(go version | cut -d' ' -f3), once; this takes minutes"
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT INT TERM
  cd "$build"
  printf 'module build\ngo 1.24\nrequire %s %s\n%s\n' "$module" "$version" "$more" >go.mod
  printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$package" >tools.go
  mkdir -p "$CACHE/bin"
  if quietly env GOFLAGS=-mod=mod nice go build -buildvcs=false -o "$target.new" "$package"; then
    mv "$target.new" "$target"
    say "$name: built as $target"
  else
    say "$name: left out, it could not be built (tests that use it are skipped)"
  fi
}
