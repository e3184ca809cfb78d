"""Where an access line stands, and what is being waited for, in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bng.seam.clock import NS
from bng.session.machine import Machine
from bng.session.nat import EXHAUSTED, LAST_PORT, NatBinding
from bng.session.records import AccessLine, Session
from bng.session.states import State
from bng.session.timeline import Step, policy_text

_DROPS = {
    "rate-limit": "the line sends more DHCP packets than dhcp-relay/rate-limit admits",
    "device-rate-limit": "the device sends more DHCP packets than dhcp-relay/device-rate-limit admits",
    "too-many-devices": "more devices ask on the line than dhcp-relay/max-devices admits",
    "move-denied": "the device or its address has a session on another line, and port-move is deny",
    "second-device": "the line has the session of another device, and second-device is deny",
    "unknown-access-router": "the access router is not configured, and such are not served",
    "wrong-access-router": "that access router is not behind this interface, or has another address",
    "spoofed-giaddr": "it claims to come through a relay that is not there",
    "no-option-82": "no access node said which line it came from, and no session tells",
    "bad-option-82": "its option 82 cannot be read",
    "max-sessions-per-access-router": "as many sessions as one access router may have are there",
    "max-sessions": "as many sessions as sessions-policy/max-sessions admits are there",
    "access-router-down": "the access router is configured to be out of service",
    "tombstone": "the session was disconnected, and only a DISCOVER brings the line back",
    "no-server": "no DHCP server is configured",
    "unknown-interface": "the interface is no subscriber interface with an address",
    "too-many-hops": "it has been relayed more often than dhcp-relay/max-hops admits",
    "not-the-holder": "it does not come from the device that holds the address",
    "unsolicited-reply": "it answers nothing that was relayed, or too late",
    "unknown-server": "it comes from a server that is not configured",
    "foreign-giaddr": "it is for another relay",
    "ack-without-address": "the server acknowledged no address",
}
_WAITS = {
    "DISCOVER": "the DHCP server's OFFER",
    "REQUEST": "the DHCP server's answer to the REQUEST",
    "INFORM": "the DHCP server's answer to the INFORM",
    "OFFER": "the subscriber's REQUEST for the address that was offered",
}


def verdict(
    machine: Machine, line: AccessLine, steps: Sequence[Step], now: int, retry: int | None = None
) -> str:
    """The sentence for a line.

    Args:
        steps: of `Timeline.of`.
        retry: when the session's RADIUS question is asked again, nanoseconds; None when no timer is set.
    """
    session = machine.store.on_line(line)
    if session is None:
        return _without_session(machine, line, steps, now)
    again = "" if retry is None else f"; asked again in {_seconds(retry - now)}"
    if session.state is State.AUTHORIZING:
        return _authorizing(session, steps, now, again)
    if session.state is State.REJECTED:
        waits = (
            "; asked again, waiting for the answer" if session.asked else again or "; asked again at renewal"
        )
        return f"Rejected: {session.refusal or 'the RADIUS server refused'}{waits}."
    if session.state is State.TERMINATING:
        reason = session.ending[1] if session.ending is not None else ""
        return f"Ending ({reason}): waiting for the final counters."
    return _online(session, steps, now)


def _online(session: Session, steps: Sequence[Step], now: int) -> str:
    rates = policy_text(session.policy) if session.policy is not None else "no policy"
    words = [f"Online: {session.ip_address} forwards at {rates}"]
    if session.state is State.IDLE and session.idle_since:
        words.append(f"no traffic for {_seconds(now - session.idle_since)}")
    if session.nat is not None:
        words.append(f"upstream as {_translated(session.nat)}")
    elif session.refusal == EXHAUSTED:
        words.append(f"but not upstream: {EXHAUSTED}")
    if session.lease_expiry_ns is not None:
        words.append(f"the lease ends in {_seconds(session.lease_expiry_ns - now)} unless it is renewed")
    if session.asked:
        words.append("the RADIUS server has been asked again")
    last = _last(steps, "kernel")
    if last is not None and last.reason:
        words.append(f"the data plane {last.reason}")
    if steps and steps[-1].kind == "dhcp" and steps[-1].reason:
        words.append(f"its last {steps[-1].what} was {steps[-1].reason}")
    return "; ".join(words) + "."


def _translated(nat: NatBinding) -> str:
    whole = (nat.port_first, nat.port_last) == (0, LAST_PORT)
    return nat.address if whole else f"{nat.address}:{nat.port_first}-{nat.port_last}"


def _authorizing(session: Session, steps: Sequence[Step], now: int, again: str) -> str:
    if session.asked:
        question = _last(steps, "radius")
        since = "" if question is None else f" since {_seconds(now - question.time)}"
        return f"Waiting for RADIUS{since}: the Access-Request for {session.username} is unanswered."
    if session.enforcing:
        return "Accepted: waiting for the data plane."
    kernel, radius = _last(steps, "kernel"), _last(steps, "radius")
    if session.refusal == EXHAUSTED and (radius is None or radius.what != "no-answer"):
        return f"Accepted, but {EXHAUSTED}{again}."
    if kernel is not None and kernel.reason and (radius is None or kernel.time >= radius.time):
        return f"Accepted, but the data plane {kernel.reason}{again}."
    if radius is not None and radius.what == "no-answer":
        return f"Not authorised: {radius.reason}{_for_how_long(steps, radius)}{again}."
    return f"Not authorised yet{again}."


def _for_how_long(steps: Sequence[Step], silence: Step) -> str:
    for step in reversed(steps):
        if step.what == "Access-Request" and step.session_id == silence.session_id:
            waited = silence.time - step.time
            return f" in {_seconds(waited)}" if waited >= NS // 10 else ""
    return ""


def _without_session(machine: Machine, line: AccessLine, steps: Sequence[Step], now: int) -> str:
    last = steps[-1] if steps else None
    tombstone = machine.tombstones.get(line)
    if last is not None and last.kind == "dhcp":
        ago = _seconds(now - last.time)
        if last.reason:
            word = last.reason.removeprefix("dropped: ")
            return f"No session: the last {last.what} was {last.reason} ({_DROPS.get(word, word)})."
        if last.what in _WAITS:
            return f"No session: waiting for {_WAITS[last.what]} since {ago}."
        if last.what == "NAK":
            return f"No session: the DHCP server refused the address {ago} ago; waiting for a DISCOVER."
        if last.what == "ACK":
            return f"No session: an address was acknowledged {ago} ago, but no session could be started."
    if tombstone is not None:
        return (
            "No session: it was disconnected, and renewals are not answered for another "
            f"{_seconds(tombstone.until - now)}; waiting for a DISCOVER."
        )
    if last is None:
        return "No session, and nothing was heard of this line since the control plane started."
    ended = next((step for step in reversed(steps) if step.status == "terminating" and step.reason), None)
    if ended is not None:
        return f"No session: it ended ({ended.reason}); waiting for a DISCOVER."
    return "No session: waiting for a DISCOVER."


def _last(steps: Sequence[Step], kind: str) -> Step | None:
    return next((step for step in reversed(steps) if step.kind == kind), None)


def _seconds(nanoseconds: int) -> str:
    """A duration for a person: ``350 ms``, ``3 s``, ``12 min``, ``5 h``."""
    seconds = max(0, nanoseconds) / NS
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
