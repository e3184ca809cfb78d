"""The readable form of events and effects: JSON or YAML that a person can read and a machine replay.

A recording is a list of ``{"at": nanoseconds, "event": {…}}``: a bug report is a recording, and a
test is one with the effects that are expected (tests/replay). Fields that have their default are left
out; octets are ``#`` and hex digits; DHCP packets are written by field, option 82 as
``code=value`` pairs.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from bng.codec import dhcp, option82
from bng.codec.dhcp import DhcpPacket, Option
from bng.codec.errors import DecodeError
from bng.session import effects, events, settings

_EVENTS = {cls.__name__: cls for cls in typing.get_args(events.Event)}


def encode_event(event: events.Event) -> dict[str, Any]:
    """The readable form of an event."""
    return {"kind": type(event).__name__, **_fields(event)}


def encode_effect(effect: effects.Effect) -> dict[str, Any]:
    """The readable form of an effect; a payload is shown as the DHCP packet that it is."""
    form = {"kind": type(effect).__name__, **_fields(effect)}
    if isinstance(effect, effects.SendToServer | effects.SendToSubscriber):
        del form["payload"]
        form["packet"] = _plain(dhcp.parse(effect.payload))
    return form


def decode_event(form: Mapping[str, Any]) -> events.Event:
    """The event of a readable form.

    Raises:
        ValueError: it is none; the text says what is wrong.
    """
    fields = dict(form)
    cls = _EVENTS.get(str(fields.pop("kind", "")))
    if cls is None:
        raise ValueError(f"no such event: {form.get('kind')}")
    try:
        return typing.cast(events.Event, _object(cls, fields))
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not as it is written: {error}") from None


def decode_settings(form: Mapping[str, Any]) -> settings.Settings:
    """Settings of their readable form. Raises ValueError."""
    return typing.cast(settings.Settings, _object(settings.Settings, form))


def _fields(value: Any) -> dict[str, Any]:
    form = {}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if content != field.default:
            form[field.name] = _plain(content)
    return form


def _plain(value: Any) -> Any:
    if isinstance(value, DhcpPacket):
        return _packet_form(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return f"#{value.hex()}"
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return _fields(value) if dataclasses.is_dataclass(value) else value


def _packet_form(packet: DhcpPacket) -> dict[str, Any]:
    form = {name: value for name, value in _fields(packet).items() if name != "options"}
    form["options"] = {
        int(code): _relay_agent_form(value) if code == Option.RELAY_AGENT else _plain(value)
        for code, value in packet.options.items()
    }
    return form


def _relay_agent_form(value: bytes) -> str:
    try:
        pairs = option82.parse(value)
    except DecodeError:
        return f"#{value.hex()}"
    return " ".join(f"{code}={_sub_option_text(content)}" for code, content in pairs)


def _sub_option_text(content: bytes) -> str:
    readable = content and all(0x21 <= c <= 0x7E for c in content) and not content.startswith(b"#")
    return content.decode("ascii") if readable else f"#{content.hex()}"


def _relay_agent(text: str) -> bytes:
    if text.startswith("#"):
        return _octets(text)
    pairs = []
    for pair in text.split():
        code, _, content = pair.partition("=")
        pairs.append((int(code), _octets(content) if content.startswith("#") else content.encode("ascii")))
    return option82.build(tuple(pairs))


def _octets(text: Any) -> bytes:
    if not isinstance(text, str) or not text.startswith("#"):
        raise ValueError(f"octets are written as # and hex digits, not {text!r}")
    return bytes.fromhex(text[1:])


@lru_cache(maxsize=64)
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _object(cls: type, form: Mapping[str, Any]) -> Any:
    hints = _hints(cls)
    unknown = set(form) - set(hints)
    if unknown:
        raise ValueError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")
    fields = {n: _value(hints[n], v) for n, v in form.items() if (cls, n) != (DhcpPacket, "options")}
    if cls is DhcpPacket:
        fields["options"] = {
            int(code): _relay_agent(value) if int(code) == Option.RELAY_AGENT else _octets(value)
            for code, value in form.get("options", {}).items()
        }
    try:
        return cls(**fields)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _value(hint: Any, value: Any) -> Any:
    """A plain value as the type that the annotation says."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        chosen = next(a for a in arguments if a is not type(None))
        return None if value is None else _value(chosen, value)
    if origin is tuple:
        inner = arguments if arguments[-1] is not Ellipsis else (arguments[0],) * len(value)
        return tuple(_value(h, v) for h, v in zip(inner, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {key: _value(arguments[1], item) for key, item in value.items()}
    if hint is bytes:
        return value if isinstance(value, bytes) else _octets(value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast(type, hint), value)
    return value
