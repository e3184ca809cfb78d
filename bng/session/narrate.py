"""Events and effects as lines for a person to read. Pure."""

from __future__ import annotations

from typing import Any

from bng.codec import dhcp
from bng.codec.dhcp import MessageType
from bng.codec.errors import DecodeError
from bng.seam.clock import NS, date_and_time
from bng.session import effects as fx
from bng.session import events as ev
from bng.session.timeline import describe, policy_text


def clock(time_ns: int) -> str:
    """Time of day with milliseconds, UTC."""
    return date_and_time(time_ns)[11:23]


def event_line(event: ev.Event) -> str:
    """``DISCOVER from 02:…:01 on sub0``."""
    if isinstance(event, ev.TimerDue):
        return f"timer {event.timer.value} {event.key}".rstrip()
    if isinstance(event, ev.SettingsChanged):
        return "settings changed"
    _, what, detail, reason = describe(event)
    about = getattr(event, "session_id", "")
    return " ".join(part for part in (what, detail, about, reason and f"({reason})") if part)


def effect_line(effect: fx.Effect, now: int) -> str:
    """``to the subscriber: OFFER 10.64.1.3``; empty for what is of no interest."""
    writer = _WRITERS.get(type(effect))
    return "" if writer is None else writer(effect, now)


def _packet(payload: bytes) -> str:
    try:
        packet = dhcp.parse(payload)
        name = MessageType(packet.message_type).name
    except (DecodeError, ValueError):
        return f"{len(payload)} octets"
    return f"{name} {packet.yiaddr}" if packet.op == dhcp.BOOTREPLY else name


def _journal(effect: fx.Journal, _now: int) -> str:
    event = effect.event
    words = [event["type"], event.get("session-id", ""), event.get("status", "")]
    words += [
        str(event[key]) for key in ("ip-address", "profile", "terminate-cause", "reason") if key in event
    ]
    return f"journal: {' '.join(word for word in words if word)}"


def _timer(effect: fx.SetTimer, now: int) -> str:
    return f"timer {effect.timer.value} in {(effect.deadline - now) / NS:.3g} s"


def _answer(effect: fx.Answer, _now: int) -> str:
    return f"answer: {effect.error_tag or 'ok'} {effect.message}".rstrip()


_WRITERS: dict[type, Any] = {
    fx.SendToServer: lambda e, _: f"to the server {e.address}: {_packet(e.payload)}",
    fx.SendToSubscriber: lambda e, _: f"to {e.destination_mac} on {e.interface}: {_packet(e.payload)}",
    fx.AskRadius: lambda e, _: f"ask RADIUS for {e.username} (question {e.attempt})",
    fx.Account: lambda e, _: f"accounting {e.kind.value} {e.session_id}, {e.session_time} s",
    fx.EnforceStart: lambda e, _: f"data plane: start {e.ip_address} at {policy_text(e.policy)}",
    fx.EnforceChange: lambda e, _: f"data plane: change to {policy_text(e.policy)}",
    fx.EnforceStop: lambda e, _: f"data plane: stop {e.ip_address}",
    fx.Journal: _journal,
    fx.SetTimer: _timer,
    fx.Answer: _answer,
    fx.Log: lambda e, _: f"log: {e.message_id}",
}
