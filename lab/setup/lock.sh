#!/bin/sh
# requirements.lock: the exact versions that the tests passed with. Run it after changing dependencies in
# pyproject.toml and installing them: `.venv/bin/pip install -e '.[dev]' && make test && make lock`.
. "$(dirname "$0")/common.sh"
cd "$ROOT"

{
  echo "# Exact versions of all dependencies. Written by \`make lock\` from a .venv whose tests pass; see lab/setup/lock.sh."
  .venv/bin/python -m pip freeze --disable-pip-version-check --exclude-editable --exclude aether
} >requirements.lock.new
mv requirements.lock.new requirements.lock
say "lock: $(grep -vc '^#' requirements.lock) packages"
