#!/bin/sh
# Every check that needs no running program. All of them run; any finding fails.
. "$(dirname "$0")/common.sh"
cd "$ROOT"

bin="$ROOT/.venv/bin"
failed=""
check() {
  name=$1
  shift
  if quietly "$@"; then say "lint: $name clean"; else failed="$failed $name"; fi
}

check ruff "$bin/ruff" check
check format "$bin/ruff" format --check
check mypy "$bin/mypy"
check imports "$bin/lint-imports"
modules="$ROOT/.venv/share/yang/modules"
check yang "$bin/pyang" --strict --lint --path "$modules/ietf:$modules/iana:yang/modules" yang/modules/*.yang
if [ -d oss/console/node_modules ]; then
  check console npm --prefix oss/console run lint
fi
[ -z "$failed" ] || fail "lint:$failed"
