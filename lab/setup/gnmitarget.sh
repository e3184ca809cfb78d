#!/bin/sh
# The simulated gNMI target of OpenConfig, which the collector's tests collect from: a target that is not ours.
. "$(dirname "$0")/common.sh"

module=github.com/openconfig/gnmi
build_go gnmi-fake-target $module v0.14.1 $module/testing/fake/gnmi/cmd/fake_server
