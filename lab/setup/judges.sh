#!/bin/sh
# Independent NETCONF clients that the tests use as judges, in a Python environment of their own under
# ~/.cache/aether/judges: netconf-console2, and Ansible with its collection ansible.netcommon. (yangcli and
# yanglint are Debian packages; netconf-client and ncclient are in .venv.)
. "$(dirname "$0")/common.sh"

# the newest that support Python 3.11
ANSIBLE=12.3.0
CORE=2.19.14
CONSOLE=3.0.1
judges="$CACHE/judges"
wanted="$ANSIBLE $CORE $CONSOLE"
if [ "$(cat "$judges/.stamp" 2>/dev/null)" = "$wanted" ] && "$judges/bin/python" -c '' 2>/dev/null; then
  say "judges: there"
  exit 0
fi

say "judges: installing Ansible and netconf-console2"
rm -rf "$judges"
mkdir -p "$CACHE"
"$ROOT/.venv/bin/python" -m venv "$judges"
quietly "$judges/bin/pip" install --disable-pip-version-check \
  "ansible-core==$CORE" "netconf-console2==$CONSOLE" six ncclient
# of the hundred collections in the wheel of Ansible, the two that speak NETCONF
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT INT TERM
quietly "$judges/bin/pip" download --disable-pip-version-check --no-deps -d "$wheels" "ansible==$ANSIBLE"
"$judges/bin/python" - "$wheels"/ansible-*.whl "$judges/collections" <<'PYTHON'
import sys, zipfile

wheel, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith(("ansible_collections/ansible/netcommon/", "ansible_collections/ansible/utils/")):
            archive.extract(name, target)
PYTHON
printf '%s\n' "$wanted" >"$judges/.stamp"
say "judges: installed"
