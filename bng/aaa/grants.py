"""What attributes say of the service of a session: the same in an Access-Accept and in a CoA-Request.

Rates, the first of these that is there:

1. Filter-Id, and in a Cisco-AVPair ``ip:sub-qos-policy-out=NAME`` and ``-in=NAME`` (``subscriber:`` as well):
   names of shaping profiles, the first that is known counts. A profile has both directions.
2. OSS-Download-Speed, OSS-Upload-Speed, -Burst of vendor 43242: kbit/s, kbit.
3. WISPr-Bandwidth-Max-Down, -Up: bit/s.
4. Cisco-Account-Info or Cisco-Service-Info ``QU;rate;burst;excess;D;rate;burst;excess``: bit/s and octets,
   U from the subscriber, D to it, in either order.
5. Cisco-AVPair ``lcp:interface-config#1=rate-limit input|output rate burst excess …``: bit/s and octets,
   input from the subscriber.

A form that is not understood counts as absent. Excess bursts are read over: a shaper has one burst. Text is
cleaned of all that logs, XML and SQL must not see (`bng.codec.text`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bng.aaa.dictionary import Dictionary, load
from bng.codec.address import ip_text
from bng.codec.radius import RadiusPacket
from bng.codec.text import clean_message
from bng.session.events import RadiusAccept

_ANY_ADDRESS = (b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe")
"""Framed-IP-Address: as the user, or as the NAS, chooses (RFC 2865, 5.8)."""
MAX_CLASSES = 2048
"""Octets of Class in all: every accounting record has to hold them, beside what else it says."""
_POLICY = re.compile(r"(?:ip|subscriber):sub-qos-policy-(in|out)=(\S{1,253})")
_RATE_LIMIT = re.compile(
    r"lcp:interface-config(?:#\d{1,3})?=rate-limit (input|output) +(\d{1,12})(?: +(\d{1,12}))?(?: .*)?",
    re.ASCII,
)
_QUOTA = re.compile(r"Q((?:[UD];[0-9;]*)+)")
_QUOTA_PART = re.compile(r"([UD]);([0-9;]*)")


class Rate(NamedTuple):
    """One direction: kbit/s, and kbit of burst or None."""

    speed: int
    burst: int | None = None


class GrantReader:
    """Reads attributes.

    Attributes:
        malformed: values of a wrong length, and Class beyond what can be kept; they count as absent.
    """

    def __init__(self) -> None:
        self._dictionary: Dictionary = load()
        self.malformed = 0

    def read(self, packet: RadiusPacket, session_id: str, attempt: int = 0) -> RadiusAccept:
        """What a packet grants a session. Never raises; `bng.session.policy.of_accept` judges it.

        Args:
            attempt: of the question that the packet answers; 0 for a CoA-Request.
        """
        pairs = [clean_message(value) for value in self.all(packet, "Cisco-AVPair")]
        down, up = self._rates(packet, pairs)
        return RadiusAccept(
            session_id,
            attempt,
            filter_ids=(
                *(clean_message(value) for value in self.all(packet, "Filter-Id")),
                *_policies(pairs),
            ),
            download_kbps=down.speed if down else None,
            upload_kbps=up.speed if up else None,
            download_burst_kbit=down.burst if down else self._integer(packet, "OSS-Download-Burst"),
            upload_burst_kbit=up.burst if up else self._integer(packet, "OSS-Upload-Burst"),
            classes=self._classes(packet),
            session_timeout=self._integer(packet, "Session-Timeout"),
            idle_timeout=self._integer(packet, "Idle-Timeout"),
            interim_interval=self._integer(packet, "Acct-Interim-Interval"),
            framed_ip_address=self._address(packet),
        )

    def all(self, packet: RadiusPacket, name: str) -> list[bytes]:
        """All values of an attribute, in order."""
        definition = self._dictionary.by_name[name]
        return packet.values(definition.number, definition.vendor)

    def _rates(self, packet: RadiusPacket, pairs: list[str]) -> tuple[Rate | None, Rate | None]:
        """(to the subscriber, from the subscriber), both of the first form that has one of them."""
        down, up = self._integer(packet, "OSS-Download-Speed"), self._integer(packet, "OSS-Upload-Speed")
        if down is not None or up is not None:
            return (
                None if down is None else Rate(down, self._integer(packet, "OSS-Download-Burst")),
                None if up is None else Rate(up, self._integer(packet, "OSS-Upload-Burst")),
            )
        down = self._integer(packet, "WISPr-Bandwidth-Max-Down")
        up = self._integer(packet, "WISPr-Bandwidth-Max-Up")
        if down is not None or up is not None:
            return (
                None if down is None else Rate(down // 1000),
                None if up is None else Rate(up // 1000),
            )
        for name in ("Cisco-Account-Info", "Cisco-Service-Info"):
            for value in self.all(packet, name):
                found = _quota(clean_message(value))
                if found:
                    return found.get("D"), found.get("U")
        limits = {}
        for pair in pairs:
            matched = _RATE_LIMIT.fullmatch(pair)
            if matched:
                limits[matched[1]] = _rate(matched[2], matched[3] or "")
        return limits.get("output"), limits.get("input")

    def _classes(self, packet: RadiusPacket) -> tuple[bytes, ...]:
        kept: list[bytes] = []
        room = MAX_CLASSES
        for value in self.all(packet, "Class"):
            room -= len(value) + 2
            if room < 0:
                self.malformed += 1
                break
            kept.append(value)
        return tuple(kept)

    def _integer(self, packet: RadiusPacket, name: str) -> int | None:
        values = self.all(packet, name)
        if not values:
            return None
        if len(values[0]) != 4:
            self.malformed += 1
            return None
        return int.from_bytes(values[0], "big")

    def _address(self, packet: RadiusPacket) -> str | None:
        values = self.all(packet, "Framed-IP-Address")
        if not values or values[0] in _ANY_ADDRESS:
            return None
        if len(values[0]) != 4:
            self.malformed += 1
            return None
        return ip_text(values[0])


def _policies(pairs: list[str]) -> list[str]:
    """Names of policies for the download first: it is what a plan is named after."""
    found = [matched for pair in pairs if (matched := _POLICY.fullmatch(pair))]
    return [matched[2] for way in ("out", "in") for matched in found if matched[1] == way]


def _quota(text: str) -> dict[str, Rate]:
    """Rates by ``U`` and ``D`` of ``QU;…;D;…``; an empty field before a rate is read over."""
    matched = _QUOTA.fullmatch(text)
    if not matched:
        return {}
    found: dict[str, Rate] = {}
    parts: list[tuple[str, str]] = _QUOTA_PART.findall(matched[1])
    for direction, fields in parts:
        rate, burst = (*fields.removeprefix(";").split(";"), "")[:2]
        if rate and len(rate) <= 12:
            found[direction] = _rate(rate, burst)
    return found


def _rate(bits: str, octets: str) -> Rate:
    return Rate(int(bits) // 1000, int(octets[:12]) * 8 // 1000 if octets else None)
