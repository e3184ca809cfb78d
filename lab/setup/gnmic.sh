#!/bin/sh
# gnmic, the gNMI client that the end-to-end tests use beside our own.
. "$(dirname "$0")/common.sh"

# the newest release that builds with the newest release of its template engine that is still published whole
# A release is built with the copy of pkg/api in its repository, which is not published; v0.1.7, which it asks for,
# cannot dial through a tunnel.
gomplate=github.com/hairyhenderson/gomplate/v3
build_go gnmic github.com/openconfig/gnmic "require github.com/openconfig/gnmic v0.37.0
require github.com/openconfig/gnmic/pkg/api v0.1.8
replace $gomplate => $gomplate v3.9.0"
