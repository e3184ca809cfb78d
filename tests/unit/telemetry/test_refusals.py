"""What NETCONF says of an error, gNMI says too."""

from __future__ import annotations

import grpc

from telemetry.errors import refusal
from yang.provider import OperationError, OperationErrors


def test_the_message_and_the_path_of_an_error() -> None:
    refused = refusal(OperationError("access-denied", "you may not update /a:b", path="/a:b"))
    assert (refused.code, refused.message) == (grpc.StatusCode.PERMISSION_DENIED, "you may not update /a:b")
    refused = refusal(OperationError("data-missing", '"eth9" does not exist', path="/a:b"))
    assert refused.message == '"eth9" does not exist (/a:b)'


def test_all_of_several_errors() -> None:
    errors = [OperationError("data-missing", f"{name} is missing", path=f"/a:{name}") for name in ("b", "c")]
    refused = refusal(OperationErrors(errors))
    assert refused.message == "b is missing (/a:b); c is missing (/a:c)"
    assert len(refusal(OperationErrors(errors * 1000)).message) == 4000
