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
path="$modules/ietf:$modules/iana:yang/modules"
deviations=yang/modules/aether-deviations.yang
check yang "$bin/pyang" --strict --lint --path "$path" $(ls yang/modules/*.yang | grep -v "$deviations")
# pyang takes "config" for there where it is inherited, libyang and RFC 7950 section 7.20.3.2 do not; and lint
# dislikes "mandatory false", which is the only way to take a "mandatory" back
check deviations "$bin/pyang" --strict --ignore-error BAD_DEVIATE_ADD --path "$path" "$deviations"
if [ -d oss/console/node_modules ]; then
  check console npm --prefix oss/console run lint
fi
[ -z "$failed" ] || fail "lint:$failed"
