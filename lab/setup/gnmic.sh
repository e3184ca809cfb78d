#!/bin/sh
# gnmic, the gNMI client that the end-to-end tests use beside our own. Optional: without Go they leave it out.
. "$(dirname "$0")/common.sh"

# the newest release that builds with the newest release of its template engine that is still published whole
GNMIC=v0.37.0
GOMPLATE=v3.9.0
# A release is built with the copy of this module in its repository, which is not published; v0.1.7, which it asks for,
# cannot dial through a tunnel.
API=v0.1.8
target="$CACHE/bin/gnmic"

found=$(command -v gnmic || true)
if [ "${found:-$target}" != "$target" ] || grep -aqs "gnmic/pkg/api.$API" "$target"; then
  say "gnmic: there"
  exit 0
fi
# Go is often unpacked where PATH does not lead
PATH="$PATH:/usr/local/go/bin"
if ! command -v go >/dev/null 2>&1; then
  say "gnmic: left out, there is no Go to build it with (tests that use it are skipped)"
  exit 0
fi

say "gnmic: building $GNMIC with $(go version | cut -d' ' -f3), once; this takes minutes"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT INT TERM
cd "$build"
cat >go.mod <<MODULE
module gnmicbuild
go 1.24
require github.com/openconfig/gnmic $GNMIC
require github.com/openconfig/gnmic/pkg/api $API
replace github.com/hairyhenderson/gomplate/v3 => github.com/hairyhenderson/gomplate/v3 $GOMPLATE
MODULE
cat >tools.go <<TOOLS
//go:build tools

package tools

import _ "github.com/openconfig/gnmic"
TOOLS
mkdir -p "$(dirname "$target")"
if quietly env GOFLAGS=-mod=mod nice go build -buildvcs=false -o "$target.new" github.com/openconfig/gnmic; then
  mv "$target.new" "$target"
  say "gnmic: built as $target"
else
  say "gnmic: left out, it could not be built (tests that use it are skipped)"
fi
