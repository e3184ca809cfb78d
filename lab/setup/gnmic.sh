#!/bin/sh
# gnmic, the gNMI client that the end-to-end tests use beside our own.
. "$(dirname "$0")/common.sh"

# the newest release that builds with the newest release of its template engine that is still published whole
gomplate=github.com/hairyhenderson/gomplate/v3
build_go gnmic github.com/openconfig/gnmic "require github.com/openconfig/gnmic v0.37.0
replace $gomplate => $gomplate v3.9.0"
