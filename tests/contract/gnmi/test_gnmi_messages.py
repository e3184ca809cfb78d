"""The protobuf modules are those that the .proto files make, and those that other implementations have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.protocol import generate, gnmi_ext_pb2, gnmi_pb2
from tests.contract.gnmi.describe import describe

PYGNMI = """
import json, sys
from pygnmi.spec.v080 import gnmi_ext_pb2, gnmi_pb2
sys.path.insert(0, sys.argv[1])
from describe import describe
json.dump(describe(gnmi_pb2.DESCRIPTOR) | describe(gnmi_ext_pb2.DESCRIPTOR), sys.stdout)
"""
ADDED_SINCE_0_8 = {
    "gnmi.SetRequest.union_replace",
    "gnmi.UpdateResult.Operation.UNION_REPLACE",
}
WITHDRAWN_SINCE_0_8 = {
    "gnmi.Alias.alias",
    "gnmi.Alias.path",
    "gnmi.AliasList.alias",
    "gnmi.Notification.alias",
    "gnmi.SubscribeRequest.aliases",
    "gnmi.SubscriptionList.use_aliases",
}


def test_the_modules_are_those_of_the_sources(tmp_path):
    made = generate.generate(tmp_path)
    assert len(made) == 6
    for path in made:
        kept = generate.ROOT / path.relative_to(tmp_path)
        assert path.read_text() == kept.read_text(), (
            f"run python -m telemetry.protocol.generate: {kept} is old"
        )


def test_names_types_and_numbers_are_those_of_pygnmi():
    command = [sys.executable, "-c", PYGNMI, str(Path(__file__).parent)]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    ours = describe(gnmi_pb2.DESCRIPTOR) | describe(gnmi_ext_pb2.DESCRIPTOR)
    assert len(theirs) > 80
    differing = {name for name, what in theirs.items() if ours.get(name) != what}
    assert differing == WITHDRAWN_SINCE_0_8
    assert {name for name in ours if name.startswith("gnmi.") and name not in theirs} == ADDED_SINCE_0_8


def test_the_version_is_in_the_file():
    assert gnmi_pb2.DESCRIPTOR.GetOptions().Extensions[gnmi_pb2.gnmi_service] == "0.10.0"


@pytest.mark.parametrize("method", ["Capabilities", "Get", "Set", "Subscribe"])
def test_methods(method):
    service = gnmi_pb2.DESCRIPTOR.services_by_name["gNMI"]
    found = service.methods_by_name[method]
    assert (found.client_streaming, found.server_streaming) == ((method == "Subscribe"),) * 2
