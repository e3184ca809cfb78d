#!/bin/sh
# All tests: most of them wait for real servers most of the time, so several run side by side; then, with nothing
# beside them, those that measure a rate.
. "$(dirname "$0")/common.sh"
cd "$ROOT"

ALONE=5 # so many at most may fail for what ran beside them; more is no accident

side_by_side() {
  # a file's tests stay in one process, and what takes longest comes first, so that none is left with it at the end
  .venv/bin/pytest --cache-clear -m "not quiet" -n "$(($(nproc) + 1))" --dist loadfile --no-loadscope-reorder tests/e2e \
    tests/integration tests/contract tests/fuzz tests/replay tests/unit
}

# A test that waits for a server may be late because of what runs beside it. Alone it has no such excuse.
again() {
  [ "$1" -eq 1 ] || return 1
  names=$(.venv/bin/python -c 'import json; print(*json.load(open(".pytest_cache/v/cache/lastfailed")), sep="\n")')
  [ "$(echo "$names" | wc -l)" -le "$ALONE" ] || return 1
  say "tests: once more, with nothing beside them: $(echo "$names" | tr '\n' ' ')"
  .venv/bin/pytest -m "not quiet" --last-failed --last-failed-no-failures none || return 1
  say "tests: passed with nothing beside them only, which is to be mended: $(echo "$names" | tr '\n' ' ')"
}

failed=""
side_by_side || again $? || failed="$failed, of those side by side"
.venv/bin/pytest -m quiet || failed="$failed, of those that measure"
[ -z "$failed" ] || fail "tests failed${failed#,}"
say "tests: all passed"
