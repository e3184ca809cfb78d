"""Recordings of a running machine: what is written, and whether a machine does the same again. Pure.

A recording is lines of JSON: a head, a snapshot (`bng.session.snapshot`), then one line for each event with
the effects that came out. Of one access line only its events are recorded, those of lines that come into its
way (same address or device), and what concerns all. What such a part takes from the whole (session ids and
slots, whether all sessions are taken) is in its effects and is given to the machine that replays it. What it
does not tell of the others: how many sessions an access router has (max-sessions-per-access-router), and how
far work on many sessions has come (`events.Continue`); where these matter, everything has to be recorded.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from bng.codec import option82
from bng.codec.address import NO_IP
from bng.codec.dhcp import Option
from bng.codec.errors import DecodeError
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import snapshot
from bng.session.base import line_of
from bng.session.machine import Machine
from bng.session.nat import NatBinding
from bng.session.recording import decode_event, encode_effect, encode_event
from bng.session.records import AccessLine

VERSION = 1
_DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError),
    *(AssertionError, ArithmeticError, RecursionError),
)
"""What comes of a recording that is damaged, or of another version."""
Form = dict[str, Any]


class RecordingError(Exception):
    """What was given is no recording, or one that this version cannot read."""


# writing


def head(kind: str, machine: Machine, time: str, lines: Collection[AccessLine] | None, **more: Any) -> Form:
    """The first line. kind: ``recording`` or ``crash``."""
    named = None if lines is None else [list(line) for line in lines]
    return {
        "aether": kind,
        "format": VERSION,
        "bng-id": machine.settings.bng_id,
        "time": time,
        "lines": named,
        **more,
    }


def encode_step(at: int, event: ev.Event, effects: Iterable[fx.Effect], *, full: bool = False) -> Form:
    """The line of an event. full: no more sessions could start."""
    form: Form = {"at": at, "event": encode_event(event), "effects": [exact(effect) for effect in effects]}
    if full:
        form["full"] = True
    return form


def exact(effect: fx.Effect) -> Form:
    """The readable form of an effect; of a packet also the digest of its octets."""
    form = encode_effect(effect)
    if isinstance(effect, fx.SendToServer | fx.SendToSubscriber):
        form["digest"] = blake2b(effect.payload, digest_size=8).hexdigest()
    return form


def dumps(form: Mapping[str, Any]) -> str:
    """One line of a recording, with its end."""
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False) + "\n"


# which events concern an access line


def line_of_event(machine: Machine, event: ev.Event) -> AccessLine | None:
    """The access line of an event that is about one; None for what concerns all, or nobody."""
    if isinstance(event, ev.DhcpFromSubscriber | ev.DhcpFromServer):
        relay_agent = event.packet.options.get(Option.RELAY_AGENT)
        if relay_agent is None:  # a renewal past the access node: its session tells the line
            session = machine.store.with_ip(event.packet.ciaddr)
            return None if session is None else session.line
        try:
            return AccessLine(*option82.access_line(relay_agent))
        except DecodeError:
            return None
    if isinstance(event, ev.TimerDue) and event.timer is ev.Timer.TOMBSTONE:
        return line_of(event.key)
    session_id = event.key if isinstance(event, ev.TimerDue) else getattr(event, "session_id", None)
    if session_id is not None:
        session = machine.store.get(session_id)
        return None if session is None else session.line
    remote_id, circuit_id = getattr(event, "remote_id", None), getattr(event, "circuit_id", None)
    return AccessLine(remote_id, circuit_id) if remote_id and circuit_id else None


def concerns_all(event: ev.Event) -> bool:
    """Whether an event has to be in the recording of every access line."""
    if isinstance(event, ev.TimerDue):
        return event.timer is ev.Timer.PENDING
    return not (
        isinstance(event, ev.DhcpFromSubscriber | ev.DhcpFromServer)
        or hasattr(event, "session_id")
        or hasattr(event, "circuit_id")
    )


def newcomers(machine: Machine, event: ev.Event, lines: Collection[AccessLine]) -> set[AccessLine]:
    """Lines that an event brings into the way of those recorded, or these into theirs: by the hardware
    address, the client identifier, or an IP address that it is about."""
    store = machine.store
    if isinstance(event, ev.DhcpFromSubscriber | ev.DhcpFromServer):
        packet = event.packet
        addresses = {packet.ciaddr, packet.yiaddr, packet.requested_address} - {NO_IP}
        mac, client = packet.mac_address, store.with_client(packet.client_id)
    elif isinstance(event, ev.LeaseFound):
        addresses, mac, client = {event.ip_address}, event.mac_address, None
    else:
        return set()
    line = line_of_event(machine, event)
    if line is None:
        return set()
    holders = [client, *store.with_mac(mac), *(store.with_ip(address) for address in addresses)]
    met = {session.line for session in holders if session is not None}
    if line not in lines and not met & set(lines):
        return set()
    return ({line} | met) - set(lines)


def of_lines(
    machine: Machine, effects: Iterable[fx.Effect], lines: Collection[AccessLine]
) -> list[fx.Effect]:
    """Of the effects of an event that concerns all, those for sessions on some lines."""
    kept = []
    for effect in effects:
        session_id = getattr(effect, "session_id", None)
        if isinstance(effect, fx.Journal):
            place = effect.event.get("access-line") or {}
            line = AccessLine(place.get("remote-id", ""), place.get("circuit-id", ""))
        elif isinstance(effect, fx.SetTimer | fx.CancelTimer):
            session = machine.store.get(effect.key)
            if session is None:
                continue
            line = session.line
        elif session_id is not None:
            session = machine.store.get(session_id)
            if session is None:
                continue
            line = session.line
        else:
            continue
        if line in lines:
            kept.append(effect)
    return kept


def without_shared(effects: Iterable[fx.Effect]) -> list[fx.Effect]:
    """Effects without the one timer that all exchanges share."""
    return [
        effect
        for effect in effects
        if not (isinstance(effect, fx.SetTimer | fx.CancelTimer) and effect.timer is ev.Timer.PENDING)
    ]


# replaying


@dataclass(frozen=True, slots=True)
class Played:
    """One event, played again.

    Attributes:
        number: of the line in the recording, from 1.
        machine: that played it.
        expected, actual: the effects as recorded, and as they came out now.
    """

    number: int
    at: int
    event: ev.Event
    effects: list[fx.Effect]
    machine: Machine
    expected: list[Form]
    actual: list[Form]

    @property
    def identical(self) -> bool:
        return self.expected == self.actual


def read_head(text: str) -> Form:
    """The first line of a recording. Raises RecordingError."""
    try:
        form = json.loads(text)
    except (ValueError, RecursionError):
        form = None
    if not isinstance(form, dict) or "aether" not in form:
        raise RecordingError("this is no recording of aether bng record")
    if form.get("format") != VERSION:
        raise RecordingError(f"format {form.get('format')} is not known here, only {VERSION}")
    return form


def replay(texts: Iterable[str]) -> Iterator[Played]:
    """Play a recording again with a fresh machine.

    Raises:
        RecordingError: it is none, or not of this version.
    """
    lines_of_file = iter(texts)
    found = read_head(next(lines_of_file, ""))
    if found["aether"] != "recording":
        raise RecordingError("this is the report of a crash: it has the last events, and no beginning")
    with _refusing(1):
        player = _Player(found)
    for number, text in enumerate(lines_of_file, 2):
        with _refusing(number):
            played = player.take(number, json.loads(text))
        if played is not None:
            yield played


@contextmanager
def _refusing(number: int) -> Iterator[None]:
    """Say where a recording cannot be read."""
    try:
        yield
    except _DAMAGE as error:
        text = f"line {number}: {error!r}; it may be a recording of another version"
        raise RecordingError(text) from error


class _Player:
    def __init__(self, found: Form) -> None:
        named = found.get("lines")
        self._lines = None if named is None else {AccessLine(*line) for line in named}
        self._machine: Machine | None = None
        self._objects: list[Form] = []

    def take(self, number: int, form: Form) -> Played | None:
        if "object" in form:
            self._objects.append(form)
        elif "snapshot" in form:
            self._stand(form)
        elif "event" in form:
            if self._machine is None:
                raise RecordingError(f"line {number}: an event before the snapshot is complete")
            return self._play(self._machine, number, form)
        return None

    def _stand(self, form: Form) -> None:
        machine, self._objects = snapshot.decode(self._objects), []
        if self._machine is None:
            self._machine = machine
            return
        snapshot.merge(self._machine, machine)
        if self._lines is not None:
            self._lines |= {AccessLine(*line) for line in form["snapshot"]}

    def _play(self, machine: Machine, number: int, form: Form) -> Played:
        event, at = decode_event(form["event"]), form["at"]
        if self._lines is not None:
            _give(machine, form)
        general = self._lines is not None and concerns_all(event)
        effects = machine.handle(event, at)
        if general:
            assert self._lines is not None
            effects = of_lines(machine, effects, self._lines)
        if self._lines is not None:
            effects = without_shared(effects)
        actual = json.loads(json.dumps([exact(effect) for effect in effects]))
        return Played(number, at, event, effects, machine, form["effects"], actual)


def _give(machine: Machine, form: Form) -> None:
    """Give a machine of a few lines what the whole one took for them: ids, slots, public addresses, and
    whether it was full."""
    starts = [
        effect["event"]
        for effect in form["effects"]
        if effect["kind"] == "Journal" and effect["event"].get("type") == "session-start"
    ]
    machine.nat.offer(_newly_bound(machine, form))
    store = machine.store
    store.max_sessions = len(store) if form.get("full") else machine.settings.max_sessions
    if not starts:
        return
    machine._sequence = (int(starts[0]["session-id"][-6:], 16) - 1) & 0xFFFFFF
    store.slots.offer([(start["_slot"], start["_generation"]) for start in starts])


def _newly_bound(machine: Machine, form: Form) -> Iterator[NatBinding]:
    """The public addresses and ports that sessions got; each is in the effect that enforces it."""
    for effect in form["effects"]:
        if effect["kind"] == "EnforceStart" and effect.get("nat"):
            session = machine.store.get(effect["session_id"])
            if session is None or session.nat is None:
                yield NatBinding(*effect["nat"])
