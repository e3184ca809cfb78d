"""What a request is refused with, as a gRPC status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import grpc

from telemetry.details import METADATA, error_info, status
from telemetry.plan import PlanError
from telemetry.protocol.model import UnknownNode
from telemetry.protocol.paths import PathError
from telemetry.protocol.values import BadValue, UnsupportedValue
from telemetry.subscribe import Lost, TermsError
from yang.datastore.guard import APP_TAG as CONFIRMATION_REQUIRED
from yang.provider import OperationError, OperationErrors

Code = grpc.StatusCode
_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
"""What gRPC does not encode in a message."""

_BY_TAG: Final = {
    "access-denied": Code.PERMISSION_DENIED,
    "data-exists": Code.ALREADY_EXISTS,
    "in-use": Code.FAILED_PRECONDITION,
    "lock-denied": Code.FAILED_PRECONDITION,
    "operation-failed": Code.ABORTED,
    "operation-not-supported": Code.UNIMPLEMENTED,
    "partial-operation": Code.ABORTED,
    "resource-denied": Code.RESOURCE_EXHAUSTED,
    "rollback-failed": Code.INTERNAL,
    "too-big": Code.RESOURCE_EXHAUSTED,
}
"""Status of an error-tag of RFC 6241; all others blame the request."""


MAXIMUM_MESSAGE: Final = 4_000
"""Octets of a status message as it is sent, percent-encoded: clients refuse trailers that are large, and then
say of the error only that."""


def shortened(message: str) -> str:
    """A message, or as much of its beginning as a status can hold."""
    message = message[:MAXIMUM_MESSAGE]
    if len(message) * 12 <= MAXIMUM_MESSAGE:
        return message
    size = 0
    for place, character in enumerate(message):
        size += len(quote(character, safe=_PRINTABLE))
        if size > MAXIMUM_MESSAGE:
            return message[:place]
    return message


class Refused(Exception):
    """Ends an RPC with this status.

    Attributes:
        message: what the client is told, at most `MAXIMUM_MESSAGE` octets.
        details: see `telemetry.details`, serialised.
        operation: of a Set, which of its operations is refused; None when that cannot be told.
    """

    def __init__(self, code: grpc.StatusCode, message: str, details: Sequence[bytes] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = shortened(message)
        self.details = list(details)
        self.operation: int | None = None

    @property
    def trailers(self) -> tuple[tuple[str, bytes], ...]:
        """Metadata that ends the RPC."""
        found = status(self.code.value[0], self.message, self.details) if self.details else None
        return () if found is None else ((METADATA, found),)


def invalid(message: str) -> Refused:
    """The request makes no sense."""
    return Refused(Code.INVALID_ARGUMENT, message)


def unimplemented(message: str) -> Refused:
    """The request makes sense, but not to this target."""
    return Refused(Code.UNIMPLEMENTED, message)


EXPECTED: Final = (OperationError, PathError, BadValue, TermsError, PlanError, Lost)
"""Errors that are the client's to know; `refusal` has a status for each."""


def _sentence(error: OperationError) -> str:
    where = f" ({error.path})" if error.path and error.path not in error.message else ""
    return f"{error.message}{where}"


def refusal(error: Exception, *, writing: bool = False) -> Refused:
    """The status for an error of `EXPECTED`.

    Args:
        writing: of a Set, where a path that the schema does not have is NOT_FOUND (specification, 3.4.7)
            and what it does not have in a value is a bad value; who reads is told UNIMPLEMENTED (3.3.4).
    """
    if isinstance(error, UnknownNode):
        return Refused(Code.NOT_FOUND if writing else Code.UNIMPLEMENTED, str(error))
    if isinstance(error, UnsupportedValue):
        return unimplemented(str(error))
    if isinstance(error, OperationError):
        if error.tag == "unknown-element" and not writing:
            return Refused(Code.UNIMPLEMENTED, _sentence(error), [error_info(error)])
        several = error.errors if isinstance(error, OperationErrors) else (error,)
        message = "; ".join(_sentence(one) for one in several)
        code = _BY_TAG.get(error.tag, Code.INVALID_ARGUMENT)
        if error.app_tag == CONFIRMATION_REQUIRED:
            code = Code.FAILED_PRECONDITION
        return Refused(code, message, [error_info(one) for one in several])
    if isinstance(error, Lost):
        return Refused(Code.DATA_LOSS, str(error))
    return invalid(str(error))
