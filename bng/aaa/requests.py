"""A RADIUS request from when it is asked for until it is answered, and its transmissions."""

from __future__ import annotations

from dataclasses import dataclass, field

from bng.aaa.accounting import Record
from bng.aaa.servers import Kind, Service
from bng.codec.radius import Code
from bng.session.effects import AskRadius


@dataclass(frozen=True, slots=True)
class Datagram:
    """To be sent.

    Attributes:
        source: index of the source port's socket, 0 to source_ports - 1.
        destination: (address, port) of the server.
        data: the packet.
    """

    source: int
    destination: tuple[str, int]
    data: bytes


@dataclass(slots=True, eq=False)
class Request:
    """A request in flight, or waiting for a free identifier; or a watch over a silent service, whose
    requests are Status-Server."""

    subject: AskRadius | Record | Service
    time: int
    order: list[Service] = field(default_factory=list)
    service: Service | None = None
    destination: tuple[str, int] = ("", 0)
    secret: bytes = b""
    flights: list[Key] = field(default_factory=list)
    datagram: Datagram | None = None
    left: int = 0  # retransmissions
    interval: int = 0
    deadline: int = 0


Key = tuple[int, tuple[str, int], int]
"""(source port index, destination, identifier)"""


@dataclass(frozen=True, slots=True)
class Flight:
    """One transmission that may still be answered. Those of an accounting record differ in their
    Acct-Delay-Time, so each has an identifier of its own; the answer to any of them counts."""

    request: Request
    authenticator: bytes
    sent: int


def expected(request: Request) -> tuple[Code, ...]:
    """Codes of the answers to a request."""
    if isinstance(request.subject, AskRadius):
        return (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE)
    assert request.service is not None
    if request.service.kind is Kind.AUTHENTICATION:
        return (Code.ACCESS_ACCEPT,)
    return (Code.ACCOUNTING_RESPONSE,)
