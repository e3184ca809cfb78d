#!/bin/sh
# The simulated gNMI target of OpenConfig, which the collector's tests collect from: a target that is not ours.
. "$(dirname "$0")/common.sh"

gnmi=github.com/openconfig/gnmi
build_go gnmi-fake-target $gnmi/testing/fake/gnmi/cmd/fake_server "require $gnmi v0.14.1"
