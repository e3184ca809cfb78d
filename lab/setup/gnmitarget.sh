#!/bin/sh
# The simulated gNMI target of OpenConfig, which the collector's tests collect from: a target that is not ours.
# Optional: without Go they leave it out.
. "$(dirname "$0")/common.sh"

VERSION=v0.14.1
target="$CACHE/bin/gnmi-fake-target"

if [ -x "$target" ]; then
  say "gnmi-fake-target: there"
  exit 0
fi
PATH="$PATH:/usr/local/go/bin"
if ! command -v go >/dev/null 2>&1; then
  say "gnmi-fake-target: left out, there is no Go to build it with (tests that use it are skipped)"
  exit 0
fi

say "gnmi-fake-target: building openconfig/gnmi $VERSION, once"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT INT TERM
cd "$build"
package=github.com/openconfig/gnmi/testing/fake/gnmi/cmd/fake_server
cat >go.mod <<MODULE
module targetbuild
go 1.24
require github.com/openconfig/gnmi $VERSION
MODULE
cat >tools.go <<TOOLS
//go:build tools

package tools

import _ "$package"
TOOLS
mkdir -p "$(dirname "$target")"
if quietly env GOFLAGS=-mod=mod nice go build -buildvcs=false -o "$target.new" "$package"; then
  mv "$target.new" "$target"
  say "gnmi-fake-target: built as $target"
else
  say "gnmi-fake-target: left out, it could not be built (tests that use it are skipped)"
fi
