#!/bin/sh
# The console's build, from oss/console into oss/console/dist.
. "$(dirname "$0")/common.sh"

SOURCE="$ROOT/oss/console"
if [ ! -f "$SOURCE/package.json" ]; then
  say "console: no sources here"
  exit 0
fi
cd "$SOURCE"
stamp=dist/.aether-setup
wanted=$(find . \( -name node_modules -o -name dist \) -prune -o -type f -print0 | LC_ALL=C sort -z |
  xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  say "console: up to date"
  exit 0
fi

lock=$(sha256sum package-lock.json | cut -d' ' -f1)
if [ "$(cat node_modules/.aether-lock 2>/dev/null)" != "$lock" ]; then
  say "console: installing its packages (node $(node --version), npm $(npm --version 2>/dev/null))"
  # versions of npm disagree on whether a lock file must name the packages of other platforms
  quietly npm ci --no-audit --no-fund --loglevel=error 2>/dev/null ||
    quietly npm install --no-save --no-audit --no-fund --loglevel=error
  printf '%s\n' "$lock" >node_modules/.aether-lock
fi
say "console: building"
quietly npm run build
printf '%s\n' "$wanted" >"$stamp"
say "console: built"
