"""What an error says beyond its message: google.rpc.Status in the trailers (specification, 2.5 and 3.4.7).

Its details are a `google.rpc.ErrorInfo` for each error that has a name, and of a Set that failed the
SetResponse that gRPC does not send with an error: it tells of each operation what became of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

from telemetry.pace import Pace
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.wire import VARINT, delimited, tag, varint
from yang.path import DataPath, PathError
from yang.provider import OperationError

METADATA: Final = "grpc-status-details-bin"
DOMAIN: Final = "ietf-netconf"
"""Of the reasons of an ErrorInfo: they are error-tags of RFC 6241."""

_ROOM: Final = 7_000
"""Octets of trailers that all clients take, the message among them; gRPC's usual limit is 8 KiB."""
_MOST_RESULTS: Final = 64
_MOST_OCTETS: Final = 3_000
_ABORTED: Final = 10


class Results(Protocol):
    """What is said of each operation of a request; see `telemetry.set_messages.Results`."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[pb.UpdateResult]: ...
    def __getitem__(self, number: int, /) -> pb.UpdateResult: ...


def error_info(error: OperationError) -> bytes:
    """google.rpc.Any with an ErrorInfo: the error-tag, and where it applies."""
    reason = delimited(1, error.tag.upper().replace("-", "_").encode()) + delimited(2, DOMAIN.encode())
    found = {"path": error.path, "error-app-tag": error.app_tag}
    pairs = (
        delimited(3, delimited(1, name.encode()) + delimited(2, text.encode()))
        for name, text in found.items()
        if text
    )
    return _any("google.rpc.ErrorInfo", reason + b"".join(pairs))


def set_response(prefix: pb.Path | None, all_results: Results, failed: int, code: int, message: str) -> bytes:
    """google.rpc.Any with the response to a Set that failed.

    Args:
        all_results: what is said of each operation.
        failed: number of the operation that did.
        code: of the status.

    Returns:
        Of a request with very many operations only what became of the one that failed.
    """
    if len(all_results) > _MOST_RESULTS:
        results, failed = [all_results[failed]], 0
    else:
        results = list(all_results)
    for number, result in enumerate(results):
        own = number == failed
        result.message.code = code if own else _ABORTED
        result.message.message = message if own else "another operation of the request failed"
    response = pb.SetResponse(prefix=prefix, response=results)
    if response.ByteSize() > _MOST_OCTETS:
        response = pb.SetResponse(prefix=prefix, response=[results[failed]])
    return _any("gnmi.SetResponse", response.SerializeToString())


def status(code: int, message: str, details: Sequence[bytes]) -> bytes | None:
    """A serialised google.rpc.Status with as many of the details as trailers hold; None when none fits."""
    text = message.encode()
    room = (_ROOM - len(quote(text))) * 3 // 4 - len(text) - 16  # base64
    fitting = []
    for detail in details:
        if len(detail) + 8 <= room:
            fitting.append(delimited(3, detail))
            room -= len(detail) + 8
    if not fitting:
        return None
    return tag(1, VARINT) + varint(code) + delimited(2, text) + b"".join(fitting)


async def failed_operation(error: OperationError, paths: Iterable[DataPath], pace: Pace) -> int | None:
    """Which operation an error is about: the one that it names, else the last one at or above what is at
    fault, else the first one below."""
    if error.operation is not None:
        return error.operation
    try:
        steps = DataPath.parse(error.path or "").steps
    except PathError:
        return None
    above = below = None
    for number, path in enumerate(paths):
        if path.steps == steps[: len(path.steps)]:
            above = number
        elif below is None and steps and path.steps[: len(steps)] == steps:
            below = number
        if number % 256 == 0:
            await pace.pause()
    return below if above is None else above


def _any(name: str, content: Any) -> bytes:
    return delimited(1, f"type.googleapis.com/{name}".encode()) + delimited(2, content)
