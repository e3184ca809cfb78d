"""What happened on each access line last, and why: the memory behind ``aether bng why``.

Pure, and cheap enough to be on always: the writer hands over every event with its effects once they are
carried out; what is kept refers to what exists anyway and becomes text when it is read. Lines without a
session are remembered as well, so that a packet that was dropped can be seen. What repeats is one step with a
count, alone or as a cycle (REQUEST, ACK, REQUEST, ACK …).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bng.codec.address import NO_IP
from bng.codec.dhcp import BOOTREQUEST, INFINITE, MessageType, Option
from bng.session import effects as fx
from bng.session import events as ev
from bng.session.base import Ending, Fired
from bng.session.machine import Machine
from bng.session.records import AccessLine, Session
from bng.session.settings import Policy
from bng.session.states import Input, State

STEPS_PER_LINE = 32
STEPS_OF_QUIET_LINE = 8
MAX_STEPS = 500_000
"""Of all lines. The lines that were quiet for longest are cut to their last `STEPS_OF_QUIET_LINE` first, and
forgotten then."""

_CYCLES = (1, 2, 4)
"""Lengths of what may repeat; `Timeline._add` looks whether one can before it calls for it."""
_ASKED_FOR = {
    Input.RETRY_DUE: "asked again on the timer",
    Input.RENEWED: "asked again at renewal",
    Input.REAUTHENTICATE: "asked again by command",
}
_Code = tuple[str, str]
"""Kind and word of a step. One object for each: they are compared by identity first."""
_Described = tuple[_Code, Any, str, int]
"""Code, detail (text, or a form and what belongs into it), reason, number."""
_Raw = tuple[int, _Code, Any, str, str, str, int, int, int]
"""A step as it is kept: time, code, detail, reason, session id, status, number, repeated, first."""


class Step(NamedTuple):
    """One thing that happened, or the same thing several times.

    Attributes:
        time: nanoseconds, of the last time.
        kind: ``dhcp``, ``radius``, ``coa``, ``kernel``, ``timer``, ``state`` or ``command``.
        what: a word for it: ``DISCOVER``, ``Access-Reject``, ``start``.
        detail: addresses, rates; what it was about.
        reason: why: a Reply-Message, an error, why a packet was dropped.
        session_id, status: the session concerned and its status afterwards; empty without one.
        number: DHCP xid, or number of the Access-Request.
        repeated: how often, first: when it began.
    """

    time: int
    kind: str
    what: str
    detail: str
    reason: str
    session_id: str
    status: str
    number: int
    repeated: int
    first: int


class Timeline:
    """The last steps of each access line.

    Args:
        max_steps: of all lines together.
    """

    def __init__(self, max_steps: int = MAX_STEPS) -> None:
        self._max_steps = max_steps
        self._count = 0
        self._recent: OrderedDict[AccessLine, list[_Raw]] = OrderedDict()
        self._quiet: OrderedDict[AccessLine, list[_Raw]] = OrderedDict()

    def __len__(self) -> int:
        """Lines that are remembered."""
        return len(self._recent) + len(self._quiet)

    @property
    def steps(self) -> int:
        """Steps that are remembered, of all lines."""
        return self._count

    def lines(self) -> Iterator[AccessLine]:
        """All lines, in no particular order."""
        yield from self._recent
        yield from self._quiet

    def of(self, line: AccessLine) -> list[Step]:
        """The steps of a line, oldest first."""
        raw = self._recent.get(line) or self._quiet.get(line) or ()
        return [
            Step(time, *code, _text(detail), reason, session_id, _word(status), number, repeated, first)
            for time, code, detail, reason, session_id, status, number, repeated, first in raw
        ]

    # taking in

    def note(self, machine: Machine, event: ev.Event, effects: list[fx.Effect], now: int) -> None:
        """Remember what an event came to. To be called right after `Machine.handle`."""
        fired, line = machine.fired, machine.relay.line
        if line is not None:
            self._packet(machine, line, event, now)
            if not fired and len(effects) < 2:
                return
            for session, _, _, detail in fired:
                if session.line != line:
                    self._consequence(session, detail, now)
        elif fired:
            self._happened(event, fired, now)
        else:
            return
        for effect in effects:
            kind = type(effect)
            if kind is fx.AskRadius:
                self._question(fired, effect, now)  # type: ignore[arg-type]
            elif kind is fx.Log:
                self._logged(line or fired[0][0].line, effect, now)  # type: ignore[arg-type]

    def shed(self, line: AccessLine, reason: str, now: int) -> None:
        """A packet of a line was dropped before it was decoded. In a flood there are thousands a second:
        one more of the same only counts."""
        dropped = f"dropped: {reason}"
        steps = self._recent.get(line)
        if steps and steps[-1][1] is _SHED and steps[-1][3] == dropped:
            _, _, _, _, _, _, _, repeated, first = steps[-1]
            steps[-1] = (now, _SHED, "", dropped, "", "", 0, repeated + 1, first)
        else:
            self._add(line, (now, _SHED, "", dropped, "", "", 0, 1, now))

    def knows(self, line: AccessLine) -> bool:
        """Whether something is remembered of a line."""
        return line in self._recent or line in self._quiet

    def _packet(self, machine: Machine, line: AccessLine, event: Any, now: int) -> None:
        packet = event.packet
        options = packet.options
        code = _PACKETS.get(options.get(_MESSAGE_TYPE), _UNKNOWN)
        if packet.op == BOOTREQUEST:
            detail: Any = (_FROM_SUBSCRIBER, packet.mac_address, event.interface)
        else:
            detail = (_FROM_SERVER, packet.yiaddr, options.get(_LEASE_TIME), event.server)
        session = machine.store.on_line(line)
        reason = f"dropped: {machine.drop}" if machine.drop else ""
        if session is None:
            self._add(line, (now, code, detail, reason, "", "", packet.xid, 1, now))
        else:
            status = session.state
            self._add(line, (now, code, detail, reason, session.id, status, packet.xid, 1, now))

    def _happened(self, event: ev.Event, fired: list[Fired], now: int) -> None:
        first = fired[0][0]
        describer = _DESCRIBERS.get(type(event), _unknown)
        described = describer(event)
        for session, _, _, why in fired:
            if session is not first and not isinstance(event, _OF_MANY):
                self._consequence(session, why, now)
            elif described is not None:
                code, detail, reason, number = described
                status = session.state
                reason = reason or _reason(why)
                self._add(session.line, (now, code, detail, reason, session.id, status, number, 1, now))

    def _consequence(self, session: Session, detail: Any, now: int) -> None:
        """What an event did to another session than the one it was about."""
        code, status = _STATES[session.state], session.state
        step = (now, code, session.ip_address, _reason(detail), session.id, status, 0, 1, now)
        self._add(session.line, step)

    def _question(self, fired: list[Fired], ask: fx.AskRadius, now: int) -> None:
        for session, what, _, _ in fired:
            if session.id == ask.session_id:
                reason, status = _ASKED_FOR.get(what, ""), session.state
                step = (now, _QUESTION, ask.username, reason, session.id, status, ask.attempt, 1, now)
                self._add(session.line, step)
                return

    def _logged(self, line: AccessLine, entry: fx.Log, now: int) -> None:
        if entry.message_id == "session.not-enforced":
            return  # the kernel's refusal is a step of its own
        text = " ".join(f"{name}={value}" for name, value in entry.fields.items())
        word = entry.message_id.rpartition(".")[2]
        self._add(line, (now, _code("state", word), text, "", "", "", 0, 1, now))

    # remembering

    def _add(self, line: AccessLine, step: _Raw) -> None:
        steps = self._recent.get(line)
        if steps is None:
            steps = self._recent[line] = self._quiet.pop(line) if line in self._quiet else []
        else:
            self._recent.move_to_end(line)
        steps.append(step)
        self._count += 1
        size = len(steps)
        code = step[1]
        if (
            (size > 1 and steps[-2][1] is code)
            or (size > 3 and steps[-3][1] is code)
            or (size > 7 and steps[-5][1] is code)
        ):
            self._fold(steps, code)
        if len(steps) > STEPS_PER_LINE:
            del steps[0]
            self._count -= 1
        if self._count > self._max_steps:
            self._make_room()

    def _fold(self, steps: list[_Raw], code: _Code) -> None:
        for length in _CYCLES:
            if len(steps) >= 2 * length and steps[-1 - length][1] is code and _folds(steps, length):
                self._count -= length
                return

    def _make_room(self) -> None:
        while self._count > self._max_steps:
            if self._recent:
                line, steps = self._recent.popitem(last=False)
                surplus = max(0, len(steps) - STEPS_OF_QUIET_LINE)
                del steps[:surplus]
                self._count -= surplus
                self._quiet[line] = steps
            else:
                _, steps = self._quiet.popitem(last=False)
                self._count -= len(steps)


def _folds(steps: list[_Raw], length: int) -> bool:
    """Join the newest steps with those before them, if they are the same over again."""
    size = len(steps)
    for at in range(size - length, size):
        if not _same(steps[at], steps[at - length]):
            return False
    for at in range(size - length, size):
        repeated, first = steps[at - length][7:]
        steps[at - length] = (*steps[at][:7], repeated + steps[at][7], first)
    del steps[size - length :]
    return True


def _same(one: _Raw, other: _Raw) -> bool:
    if one[1] is _QUESTION:  # why it was asked again does not make it another question
        return other[1] is _QUESTION and one[4] == other[4]
    return one[1:6] == other[1:6]


def _reason(detail: Any) -> str:
    """Why, as far as a handler's argument says."""
    if isinstance(detail, Ending):
        return detail.reason
    return detail if isinstance(detail, str) else ""


def _word(status: str) -> str:
    return "" if status is State.GONE else str(status)


def _text(detail: Any) -> str:
    if isinstance(detail, tuple):
        if detail[0] is _FROM_SERVER:
            return _offered(*detail[1:])
        form, *values = detail
        return str(form).format(*values)
    return policy_text(detail) if isinstance(detail, Policy) else str(detail)


def _offered(address: str, lease: bytes | None, server: str) -> str:
    if address == NO_IP:
        return f"from {server}"
    seconds = int.from_bytes(lease, "big") if lease is not None and len(lease) == 4 else None
    term = "" if seconds is None else " for ever" if seconds == INFINITE else f" for {seconds} s"
    return f"{address}{term} from {server}"


def policy_text(policy: Policy) -> str:
    """``gold 50000/20000 kbit/s``."""
    name = f"{policy.profile} " if policy.profile else ""
    return f"{name}{policy.download_rate // 1000}/{policy.upload_rate // 1000} kbit/s"


# what an event was

_CODES: dict[_Code, _Code] = {}


def _code(kind: str, what: str) -> _Code:
    pair = (kind, what)
    return _CODES.setdefault(pair, pair)


_STATES = {state: _code("state", state.value) for state in State} | {State.GONE: _code("state", "ended")}
_QUESTION = _code("radius", "Access-Request")
_ACCEPT = _code("radius", "Access-Accept")
_REJECT = _code("radius", "Access-Reject")
_SILENCE = _code("radius", "no-answer")
_PACKETS = {bytes([kind]): _code("dhcp", kind.name) for kind in MessageType}
_UNKNOWN = _code("dhcp", "unknown")
_SHED = _code("dhcp", "packet")
_OPERATIONS = {operation: _code("kernel", operation.value) for operation in ev.Operation}
# plain numbers: looking an enumeration up in a dict costs a call
_MESSAGE_TYPE, _LEASE_TIME = int(Option.MESSAGE_TYPE), int(Option.LEASE_TIME)
_FROM_SUBSCRIBER = "from {} on {}"
_FROM_SERVER = "offered"


def describe(event: ev.Event) -> tuple[str, str, str, str]:
    """Kind, word, detail and reason of an event, as text."""
    if isinstance(event, ev.DhcpFromSubscriber | ev.DhcpFromServer):
        packet = event.packet
        code = _PACKETS.get(packet.options.get(Option.MESSAGE_TYPE, b""), _UNKNOWN)
        if isinstance(event, ev.DhcpFromSubscriber):
            return *code, f"from {packet.mac_address} on {event.interface}", ""
        return *code, _offered(packet.yiaddr, packet.options.get(Option.LEASE_TIME), event.server), ""
    described = _DESCRIBERS.get(type(event), _unknown)(event)
    if described is None:
        return "timer", type(event).__name__, "", ""
    code, detail, reason, _ = described
    return *code, _text(detail), reason


def _unknown(event: ev.Event) -> _Described:
    return _code("command", type(event).__name__), "", "", 0


def _accept(event: ev.RadiusAccept) -> _Described:
    form = "{} from {}" if event.download_kbps is None else "{} {}/{} kbit/s from {}"
    granted = event.filter_ids[0] if event.filter_ids else "Accept"
    if event.download_kbps is None:
        return _ACCEPT, (form, granted, event.server), "", event.attempt
    detail = (form, granted, event.download_kbps, event.upload_kbps, event.server)
    return _ACCEPT, detail, "", event.attempt


def _timer(event: ev.TimerDue) -> _Described | None:
    if event.timer is ev.Timer.INTERIM or event.timer is ev.Timer.AUTH_RETRY:
        return None  # accounting goes its way, and the question that follows says why it is asked
    return _code("timer", event.timer.value), "", "", 0


def _enforced(event: ev.Enforced) -> _Described:
    reason = f"refused: {event.error}" if event.error else ""
    return _OPERATIONS[event.operation], event.policy or "", reason, 0


def _simple(kind: str, what: str, *names: str) -> Callable[[Any], _Described]:
    """Describes an event by attributes that are its detail and its reason."""
    code, (detail, reason) = _code(kind, what), (*names, "", "")[:2]
    return lambda event: (
        code,
        (getattr(event, detail) or "") if detail else "",
        getattr(event, reason) if reason else "",
        getattr(event, "attempt", 0),
    )


_DESCRIBERS: dict[type, Callable[[Any], _Described | None]] = {
    ev.RadiusAccept: _accept,
    ev.RadiusReject: lambda event: (
        _REJECT,
        f"from {event.server}" if event.server else "",
        event.message,
        event.attempt,
    ),
    ev.RadiusUnanswered: lambda event: (
        _SILENCE,
        "",
        event.reason or "no RADIUS server answered",
        event.attempt,
    ),
    ev.Enforced: _enforced,
    ev.TimerDue: _timer,
    ev.SessionIdle: _simple("state", "no-traffic"),
    ev.SessionTraffic: _simple("state", "traffic"),
    ev.Disconnect: _simple("command", "disconnect", "", "reason"),
    ev.DisconnectMatching: _simple("command", "disconnect-sessions", "", "reason"),
    ev.Reauthenticate: _simple("command", "reauthenticate"),
    ev.SetPolicy: lambda event: (_code("command", "set-policy"), event.profile or event.policy or "", "", 0),
    ev.DisconnectSelected: _simple("coa", "Disconnect-Request", "", "reason"),
    ev.ChangeSelected: _simple("coa", "CoA-Request", "", "reason"),
    ev.ReauthenticateSelected: _simple("coa", "reauthenticate"),
    ev.Continue: _simple("command", "continued"),
    ev.ProfileChanged: _simple("command", "profile-changed", "name"),
    ev.LeaseFound: _simple("dhcp", "lease-found", "ip_address"),
    ev.LeaseGone: _simple("state", "lease-gone", "", "reason"),
}
_OF_MANY = (ev.ProfileChanged, ev.DisconnectMatching, ev.Continue)
