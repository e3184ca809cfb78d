"""What a Disconnect-Request or a CoA-Request says: attributes in, an event for the session machine out.

RFC 5176, 2.3: every attribute is mandatory, so whatever is not understood refuses the whole request.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum

from bng.aaa.attributes import AUTHORIZE_ONLY, Reader
from bng.aaa.dictionary import load
from bng.codec.address import ip_octets
from bng.codec.errors import DecodeError
from bng.codec.radius import Attribute, Code, RadiusPacket
from bng.codec.text import clean_agent_id, clean_message
from bng.session.events import (
    ChangeSelected,
    DisconnectSelected,
    RadiusAccept,
    ReauthenticateSelected,
    Selector,
)

Event = DisconnectSelected | ChangeSelected | ReauthenticateSelected


class ErrorCause(IntEnum):
    """Values of Error-Cause (RFC 5176, 3.5) that a BNG sends."""

    UNSUPPORTED_ATTRIBUTE = 401
    MISSING_ATTRIBUTE = 402
    NAS_IDENTIFICATION_MISMATCH = 403
    INVALID_REQUEST = 404
    UNSUPPORTED_SERVICE = 405
    INVALID_ATTRIBUTE_VALUE = 407
    SESSION_CONTEXT_NOT_FOUND = 503
    SESSION_CONTEXT_NOT_REMOVABLE = 504
    RESOURCES_UNAVAILABLE = 506
    REQUEST_INITIATED = 507
    MULTIPLE_SESSION_SELECTION_UNSUPPORTED = 508


class Refused(Exception):
    """A request that is answered with a NAK; the text is for the log."""

    def __init__(self, cause: ErrorCause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Nas:
    """What requests may call this NAS; an empty one is not known yet, and matches nothing."""

    identifier: str = ""
    address: str = ""


_SELECTORS = {
    "Acct-Session-Id": "session_id",
    "User-Name": "username",
    "Framed-IP-Address": "ip_address",
    "Calling-Station-Id": "mac_address",
    "NAS-Port-Id": "nas_port_id",
    "ADSL-Agent-Circuit-Id": "circuit_id",
    "ADSL-Agent-Remote-Id": "remote_id",
}
_ANYWHERE = frozenset(
    {
        *_SELECTORS,
        *("NAS-Identifier", "NAS-IP-Address", "Called-Station-Id", "Reply-Message"),
        *("Proxy-State", "Event-Timestamp", "Message-Authenticator"),
    }
)
POLICY = frozenset(
    {
        *("Filter-Id", "OSS-Download-Speed", "OSS-Upload-Speed", "OSS-Download-Burst", "OSS-Upload-Burst"),
        *("WISPr-Bandwidth-Max-Down", "WISPr-Bandwidth-Max-Up"),
        *("Cisco-AVPair", "Cisco-Account-Info", "Cisco-Service-Info"),
        *("Session-Timeout", "Idle-Timeout", "Acct-Interim-Interval"),
    }
)
"""What a CoA-Request may change, each in the forms that an Access-Accept may have; not Class."""
_REAUTHENTICATE = frozenset({"Service-Type", "State", "subscriber"})
_OFTEN = frozenset(
    {
        *("Proxy-State", "Reply-Message", "Filter-Id", "subscriber"),
        *("Cisco-AVPair", "Cisco-Account-Info", "Cisco-Service-Info"),
    }
)
"""What may be there more than once."""

_COMMANDS = (b"subscriber:command=", b"subscriber:reauthenticate-type=")
_COMMAND = "subscriber:command=reauthenticate"
_COMMAND_OPTIONS = ("subscriber:reauthenticate-type=last", "subscriber:reauthenticate-type=rerun")
_HARDWARE_ADDRESS = re.compile(r"[0-9a-f]{12}")
_MAX_REASON = 253


class Interpreter:
    """Reads requests for one NAS."""

    def __init__(self, nas: Nas) -> None:
        self._nas = nas
        self._dictionary = load()
        self._reader = Reader()

    def read(self, packet: RadiusPacket, client: str) -> Event:
        """The event that a request stands for, with token 0.

        Args:
            client: name of who sent it, for the journal.

        Raises:
            Refused: it is to be answered with a NAK.
        """
        names = self._names(packet)
        self._check_nas(packet)
        selector = self._selector(packet)
        message = " ".join(clean_message(value) for value in self._all(packet, "Reply-Message"))
        reason = f"{kind_of(packet)} of {client}" + (f": {message}" if message else "")
        if packet.code == Code.DISCONNECT_REQUEST:
            return DisconnectSelected(0, selector, reason[:_MAX_REASON])
        if names & _REAUTHENTICATE:
            if names & POLICY:
                raise Refused(
                    ErrorCause.INVALID_REQUEST, "to ask again and to change something are two requests"
                )
            return ReauthenticateSelected(0, selector, self._state_of(packet, names))
        return self._change(packet, names, selector, reason[:_MAX_REASON])

    def _names(self, packet: RadiusPacket) -> set[str]:
        """Names of the attributes, all of which are supported in such a request."""
        count = Counter(self._name(attribute) for attribute in packet.attributes)
        allowed = _ANYWHERE
        if packet.code == Code.COA_REQUEST:
            allowed = allowed | POLICY | _REAUTHENTICATE
        for name, times in count.items():
            if name not in allowed:
                raise Refused(ErrorCause.UNSUPPORTED_ATTRIBUTE, f"{name} is not supported")
            if times > 1 and name not in _OFTEN:
                raise Refused(ErrorCause.INVALID_REQUEST, f"{name} is there {times} times")
        return set(count)

    def _name(self, attribute: Attribute) -> str:
        """The attribute's name; ``subscriber`` for a Cisco-AVPair that is a command."""
        known = self._dictionary.by_number.get((attribute.vendor, attribute.type))
        if known is None:
            return f"attribute {attribute.type} of vendor {attribute.vendor}"
        if known.name == "Cisco-AVPair" and attribute.value.startswith(_COMMANDS):
            return "subscriber"
        return known.name

    def _check_nas(self, packet: RadiusPacket) -> None:
        identifier = self._nas.identifier.encode()
        address = ip_octets(self._nas.address) if self._nas.address else b""
        for name, ours in (
            ("NAS-Identifier", identifier),
            ("Called-Station-Id", identifier),
            ("NAS-IP-Address", address),
        ):
            if any(not value or value != ours for value in self._all(packet, name)):
                raise Refused(ErrorCause.NAS_IDENTIFICATION_MISMATCH, f"{name} is not ours")

    def _selector(self, packet: RadiusPacket) -> Selector:
        found: dict[str, str] = {}
        for name, field in _SELECTORS.items():
            for value in self._all(packet, name):
                try:
                    found[field] = _TEXT.get(field, _text)(value)
                except (DecodeError, ValueError):
                    raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"{name} cannot be read") from None
        if not found:
            raise Refused(ErrorCause.MISSING_ATTRIBUTE, "nothing identifies a session")
        return Selector(**found)

    def _state_of(self, packet: RadiusPacket, names: set[str]) -> bytes:
        """The State of an Authorize-Only request; empty for a command, which needs none."""
        pairs = [clean_message(value) for value in self._all(packet, "Cisco-AVPair")]
        if any(pair != _COMMAND and pair not in _COMMAND_OPTIONS for pair in pairs):
            raise Refused(ErrorCause.UNSUPPORTED_ATTRIBUTE, "a Cisco-AVPair is not supported")
        if _COMMAND in pairs:
            if names & {"Service-Type", "State"}:
                raise Refused(ErrorCause.INVALID_REQUEST, "a command and a Service-Type are two requests")
            return b""
        services = self._all(packet, "Service-Type")
        if services and services[0] != AUTHORIZE_ONLY.to_bytes(4, "big"):
            raise Refused(ErrorCause.UNSUPPORTED_SERVICE, "the Service-Type is not Authorize-Only")
        states = self._all(packet, "State")
        if not services or not states or not states[0]:
            raise Refused(ErrorCause.MISSING_ATTRIBUTE, "Authorize-Only and State belong together")
        return states[0]

    def _change(
        self, packet: RadiusPacket, names: set[str], selector: Selector, reason: str
    ) -> ChangeSelected:
        if not names & POLICY:
            raise Refused(ErrorCause.MISSING_ATTRIBUTE, "nothing is to be changed")
        for attribute in packet.attributes:
            # by itself each must mean something: what an Access-Accept passes over refuses a CoA-Request
            alone = RadiusPacket(packet.code, 0, packet.authenticator, (attribute,))
            name = self._name(attribute)
            if name in POLICY and self._reader.accept(alone) == RadiusAccept("", 0):
                raise Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, f"{name} cannot be read")
        return ChangeSelected(0, selector, self._reader.accept(packet), reason)

    def _all(self, packet: RadiusPacket, name: str) -> list[bytes]:
        definition = self._dictionary.by_name[name]
        return packet.values(definition.number, definition.vendor)


def kind_of(packet: RadiusPacket) -> str:
    """Name of a request."""
    return "Disconnect-Request" if packet.code == Code.DISCONNECT_REQUEST else "CoA-Request"


def _text(value: bytes) -> str:
    """Raises UnicodeDecodeError, a ValueError: what we send is ASCII."""
    return value.decode("ascii")


def _dotted(value: bytes) -> str:
    if len(value) != 4:
        raise ValueError("not an IPv4 address")
    return ".".join(map(str, value))


def _hardware_address(value: bytes) -> str:
    """In any of the common ways to write one, of which we send the first: colons, hyphens, dots, none."""
    digits = re.sub("[-:.]", "", value.decode("ascii").lower())
    if not _HARDWARE_ADDRESS.fullmatch(digits):
        raise ValueError("not a hardware address")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


_TEXT = {
    "ip_address": _dotted,
    "mac_address": _hardware_address,
    "circuit_id": clean_agent_id,
    "remote_id": clean_agent_id,
}
