#!/bin/sh
# The Python environment in .venv, with the versions of requirements.lock.
. "$(dirname "$0")/common.sh"
cd "$ROOT"

VENV="$ROOT/.venv"
stamp="$VENV/.aether-setup"
wanted=$(cat requirements.lock pyproject.toml lab/setup/python.sh | sha256sum | cut -d' ' -f1)
if [ -x "$VENV/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  say "python: up to date"
  exit 0
fi

if ! "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  python=""
  for candidate in python3.11 python3; do
    if "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      python=$candidate
      break
    fi
  done
  [ -n "$python" ] || fail "Python 3.11 or newer with venv is needed"
  say "python: making .venv with $("$python" --version)"
  "$python" -m venv --clear "$VENV"
fi

say "python: installing what requirements.lock lists"
quietly "$VENV/bin/python" -m pip install --disable-pip-version-check -r requirements.lock
# editable: the checkout is what runs
quietly "$VENV/bin/python" -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
printf '%s\n' "$wanted" >"$stamp"
say "python: installed"
