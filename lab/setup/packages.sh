#!/bin/sh
# Debian packages: only those that are missing, and none of their services is started.
. "$(dirname "$0")/common.sh"

# network and tools of the lab
WANTED="iproute2 nftables iputils-ping procps ca-certificates openssl curl
  iperf3 udhcpc kea-dhcp4-server kea-ctrl-agent kea-admin freeradius freeradius-postgresql freeradius-utils
  postgresql libnftables1
  build-essential pkg-config libyang2-dev libyang2-tools"
# the browser of the end-to-end tests, and a NETCONF client that judges us
WANTED="$WANTED chromium yangcli"
# an optional output of the collector, and its optional bus
WANTED="$WANTED redis-server nats-server"

have() { command -v "$1" >/dev/null 2>&1; }

# a Python from elsewhere (pyenv) brings its own headers and venv; Debian's needs packages for both
usable_python() {
  "$1" -c 'import sys, ensurepip, sysconfig, pathlib
sys.exit(sys.version_info < (3, 11) or not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists())' \
    >/dev/null 2>&1
}
usable_python python3.11 || usable_python python3 || WANTED="$WANTED python3 python3-venv python3-dev"
have node || WANTED="$WANTED nodejs"
have npm || WANTED="$WANTED npm"

missing=""
for package in $WANTED; do
  dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing="$missing $package"
done
# what a package of another name provides is as good
have ping && missing=$(printf '%s' "$missing" | sed 's/ iputils-ping//')
have curl && missing=$(printf '%s' "$missing" | sed 's/ curl//')
if [ -z "$missing" ]; then
  say "packages: all there"
  exit 0
fi
[ "$(id -u)" = 0 ] || fail "these packages are missing and installing them needs root:$missing"
have apt-get || fail "these Debian packages are missing, and this is not Debian:$missing"

say "packages: installing$missing"
# Kea, FreeRADIUS, PostgreSQL, Redis and NATS run inside of the lab only; Debian would start each of them on the machine
guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$guard"
  chmod 755 "$guard"
  trap 'rm -f "$guard"' EXIT INT TERM
fi
export DEBIAN_FRONTEND=noninteractive
quietly apt-get update
# shellcheck disable=SC2086 # a list of words
quietly apt-get install -y --no-install-recommends $missing
# nor at the next boot
if [ -d /run/systemd/system ]; then
  for unit in kea-dhcp4-server kea-ctrl-agent freeradius postgresql redis-server nats-server; do
    case " $missing " in *" ${unit} "*) systemctl disable --quiet "$unit" || true ;; esac
  done
fi
say "packages: installed"
