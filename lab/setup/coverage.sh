#!/bin/sh
# The session machine, what looks at it, the codecs and the protocols of RADIUS and of leases have every branch
# tested, without help of random tests.
. "$(dirname "$0")/common.sh"
cd "$ROOT"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export COVERAGE_FILE="$work/coverage"
covered="bng/session/*,bng/codec/*"
for name in attributes grants coa coa_request client requests servers accounting; do covered="$covered,bng/aaa/$name.py"; done
for name in lease http comparison; do covered="$covered,bng/leases/$name.py"; done
tests="tests/unit/bng/session tests/unit/bng/codec tests/replay"
for name in accounting client client_accounting coa coa_requests grants servers; do tests="$tests tests/unit/bng/aaa/test_$name.py"; done
for name in comparison http lease; do tests="$tests tests/unit/bng/leases/test_$name.py"; done
# shellcheck disable=SC2086 # several paths
quietly "$ROOT/.venv/bin/python" -m coverage run --branch --source=bng/session,bng/codec,bng/aaa,bng/leases \
  -m pytest -q -p no:cacheprovider -m "not hypothesis" $tests tests/unit/bng/test_recorder.py
"$ROOT/.venv/bin/python" -m coverage report --include="$covered" --show-missing --skip-covered --fail-under=100
say "coverage: every branch of the session machine, the codecs and the protocols of RADIUS and of leases"
