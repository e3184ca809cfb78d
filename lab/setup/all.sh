#!/bin/sh
# Everything that the project needs, on a bare Debian 12: packages, Python environment, console, gnmic, a gNMI target.
# Idempotent: what is there is left alone, and then it takes a second.
. "$(dirname "$0")/common.sh"

for step in packages python console gnmic gnmitarget; do
  sh "$ROOT/lab/setup/$step.sh" || fail "$step failed; mend what is said above and run \`make setup\` again"
done
say "done"
