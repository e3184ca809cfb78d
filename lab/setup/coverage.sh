#!/bin/sh
# The files of the session machine and the codecs have every branch tested, without help of random tests.
. "$(dirname "$0")/common.sh"
cd "$ROOT"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export COVERAGE_FILE="$work/coverage"
quietly "$ROOT/.venv/bin/python" -m coverage run --branch --source=bng/session,bng/codec -m pytest -q \
  -p no:cacheprovider tests/unit/bng/session tests/unit/bng/codec tests/replay \
  --deselect tests/unit/bng/session/test_lives.py \
  --deselect tests/unit/bng/session/test_machine.py::test_whatever_happens
# what looks at the machine from outside has tests elsewhere
looks_at="bng/session/narrate.py,bng/session/replay.py,bng/session/snapshot.py,bng/session/timeline.py,bng/session/verdict.py"
"$ROOT/.venv/bin/python" -m coverage report --show-missing --skip-covered --fail-under=100 --omit "$looks_at"
say "coverage: every branch of the session machine and the codecs"
