#!/bin/sh
# All tests: most of them wait for real servers most of the time, so several run side by side; then, with nothing
# beside them, those that measure a rate.
. "$(dirname "$0")/common.sh"
cd "$ROOT"

failed=""
# a file's tests stay in one process, and what takes longest comes first, so that none is left with it at the end
.venv/bin/pytest -m "not quiet" -n "$(($(nproc) + 1))" --dist loadfile --no-loadscope-reorder tests/e2e \
  tests/integration tests/contract tests/fuzz tests/replay tests/unit || failed="$failed, of those side by side"
.venv/bin/pytest -m quiet || failed="$failed, of those that measure"
[ -z "$failed" ] || fail "tests failed${failed#,}"
say "tests: all passed"
