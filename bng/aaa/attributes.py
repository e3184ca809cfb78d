"""From what the session machine says to RADIUS attributes, and back."""

from __future__ import annotations

from bng.aaa.dictionary import Dictionary, load
from bng.aaa.grants import GrantReader
from bng.aaa.settings import AaaSettings
from bng.codec.radius import Attribute, Code, RadiusPacket
from bng.codec.text import clean_message
from bng.seam.clock import NS
from bng.session.effects import Account, AccountKind, AskRadius
from bng.session.events import Counters, RadiusAccept, RadiusReject

FRAMED, AUTHORIZE_ONLY, RADIUS_AUTHENTIC, LOCAL_AUTHENTIC, ETHERNET = 2, 17, 1, 2, 15
_STATUS = {AccountKind.START: 1, AccountKind.STOP: 2, AccountKind.INTERIM: 3}
ACCOUNTING_ON, ACCOUNTING_OFF = 7, 8
TERMINATE_CAUSES = {
    "User-Request": 1,
    "Lost-Carrier": 2,
    "Lost-Service": 3,
    "Idle-Timeout": 4,
    "Session-Timeout": 5,
    "Admin-Reset": 6,
    "Admin-Reboot": 7,
    "Port-Error": 8,
    "NAS-Error": 9,
    "NAS-Request": 10,
    "NAS-Reboot": 11,
    "Port-Unneeded": 12,
    "Port-Preempted": 13,
    "Port-Suspended": 14,
    "Service-Unavailable": 15,
    "Callback": 16,
    "User-Error": 17,
    "Host-Request": 18,
}
"""aether-types:terminate-cause with the values of RFC 2866, 5.10."""


class Writer:
    """Makes the attributes of requests."""

    def __init__(self, settings: AaaSettings) -> None:
        self._dictionary = load()
        self._settings = settings

    def _make(self, pairs: list[tuple[str, str | int | bytes]]) -> tuple[Attribute, ...]:
        return tuple(self._dictionary.attribute(name, value) for name, value in pairs)

    def _nas(self) -> list[tuple[str, str | int | bytes]]:
        return [
            ("NAS-Identifier", self._settings.nas_identifier),
            ("NAS-IP-Address", self._settings.nas_ip_address),
        ]

    def access(self, ask: AskRadius, now: int) -> tuple[Attribute, ...]:
        """Attributes of an Access-Request, but User-Password."""
        pairs: list[tuple[str, str | int | bytes]] = [
            ("User-Name", ask.username),
            *self._nas(),
            *self._port(ask.mac_address, ask.nas_port_id, ask.ip_address),
            ("Service-Type", AUTHORIZE_ONLY if ask.state else FRAMED),
            ("Acct-Session-Id", ask.session_id),
            ("Event-Timestamp", now // NS),
        ]
        if ask.state:
            pairs.append(("State", ask.state))
        return self._make(pairs)

    def accounting(self, account: Account, counters: Counters) -> tuple[Attribute, ...]:
        """Attributes of a session's Accounting-Request, but Acct-Delay-Time."""
        pairs: list[tuple[str, str | int | bytes]] = [
            ("Acct-Status-Type", _STATUS[account.kind]),
            ("Acct-Session-Id", account.session_id),
            ("User-Name", account.username),
            *self._nas(),
            *self._port(account.mac_address, account.nas_port_id, account.ip_address),
            ("Acct-Authentic", LOCAL_AUTHENTIC if account.local else RADIUS_AUTHENTIC),
            ("Event-Timestamp", account.time // NS),
        ]
        pairs += [("Class", value) for value in account.classes]
        if account.kind is not AccountKind.START:
            pairs += [
                ("Acct-Session-Time", account.session_time),
                ("Acct-Input-Octets", counters.in_octets),
                ("Acct-Input-Gigawords", counters.in_octets >> 32),
                ("Acct-Output-Octets", counters.out_octets),
                ("Acct-Output-Gigawords", counters.out_octets >> 32),
                ("Acct-Input-Packets", counters.in_packets),
                ("Acct-Output-Packets", counters.out_packets),
            ]
        if account.terminate_cause is not None:
            pairs.append(("Acct-Terminate-Cause", TERMINATE_CAUSES[account.terminate_cause]))
        return self._make(pairs)

    def system(self, status: int, session_id: str, now: int) -> tuple[Attribute, ...]:
        """Attributes of Accounting-On or Accounting-Off."""
        return self._make(
            [
                ("Acct-Status-Type", status),
                ("Acct-Session-Id", session_id),
                *self._nas(),
                ("Event-Timestamp", now // NS),
            ]
        )

    def status(self) -> tuple[Attribute, ...]:
        """Attributes of Status-Server."""
        return self._make(self._nas())

    def delay(self, seconds: int) -> Attribute:
        """Acct-Delay-Time."""
        return self._dictionary.attribute("Acct-Delay-Time", seconds)

    def password(self, hidden: bytes) -> Attribute:
        """User-Password."""
        return self._dictionary.attribute("User-Password", hidden)

    def _port(self, mac: str, port: str, ip: str) -> list[tuple[str, str | int | bytes]]:
        return [
            ("Calling-Station-Id", mac),
            ("Called-Station-Id", self._settings.nas_identifier),
            ("NAS-Port-Type", ETHERNET),
            ("NAS-Port-Id", port),
            ("Framed-IP-Address", ip),
        ]


class Reader:
    """Reads answers to Access-Requests, and what CoA-Requests have in common with them.

    Attributes:
        unknown: attributes that no dictionary knows; they are passed over.
        grants: reads what an Access-Accept grants.
    """

    def __init__(self) -> None:
        self._dictionary: Dictionary = load()
        self.unknown = 0
        self.grants = GrantReader()

    @property
    def malformed(self) -> int:
        """Values of a wrong length; they count as absent."""
        return self.grants.malformed

    def answer(self, packet: RadiusPacket, ask: AskRadius) -> RadiusAccept | RadiusReject:
        """What an Accept, Reject or Challenge says."""
        self.unknown += sum(not self._dictionary.knows(a) for a in packet.attributes)
        if packet.code == Code.ACCESS_ACCEPT:
            return self.accept(packet, ask.session_id, ask.attempt)
        message = " ".join(clean_message(value) for value in self.grants.all(packet, "Reply-Message"))
        if packet.code == Code.ACCESS_CHALLENGE:
            message = f"the RADIUS server sent an Access-Challenge {message}".rstrip()
        return RadiusReject(ask.session_id, ask.attempt, message[:253])

    def accept(self, packet: RadiusPacket, session_id: str = "", attempt: int = 0) -> RadiusAccept:
        """What an Access-Accept grants, or a CoA-Request wants."""
        return self.grants.read(packet, session_id, attempt)
