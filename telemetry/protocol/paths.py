"""gNMI paths as steps and as text.

A step is a name and the keys given with it. The name of the first step, and of each step where the
module changes, may carry its module (`aether-subscriber:sessions`, RFC 7951); `*` stands for any name
or key value, `...` for any number of steps. The text form is that of the gNMI path conventions:
`/a/b[key=value]/c`, with `]` and `\\` escaped by `\\` in values, `/` and `[` too in names, `\\n`, `\\r`
and `\\u1234` for other characters (gNMI path strings).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from telemetry.protocol import gnmi_pb2 as pb

ANY = "*"
ANY_DEPTH = "..."
MAXIMUM_STEPS = 64
MAXIMUM_TEXT = 4096


class PathError(ValueError):
    """A path that is malformed. Its text is for the client."""


@dataclass(frozen=True, slots=True)
class Step:
    """One element of a path; a key that is not given stands for all its values."""

    name: str
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str | None:
        """The module that the name carries, or None."""
        module, colon, _ = self.name.partition(":")
        return module if colon else None

    @property
    def local_name(self) -> str:
        """The name without its module."""
        return self.name.rpartition(":")[2]


def steps_of(*parts: pb.Path | None) -> tuple[Step, ...]:
    """The steps of paths joined one after the other (a prefix and a path).

    Raises PathError: the withdrawn `element` form, an empty name, more than `MAXIMUM_STEPS` steps, or
    a name or key of more than `MAXIMUM_TEXT` characters.
    """
    steps: list[Step] = []
    for part in parts:
        if part is None:
            continue
        if part.element:
            raise PathError("the path uses the withdrawn field 'element'; use 'elem'")
        steps.extend(_checked(element) for element in part.elem)
    if len(steps) > MAXIMUM_STEPS:
        raise PathError(f"the path has {len(steps)} elements; at most {MAXIMUM_STEPS} are possible")
    return tuple(steps)


def _checked(element: pb.PathElem) -> Step:
    keys = dict(element.key)
    if not element.name:
        raise PathError("the path has an element without a name")
    if any(len(text) > MAXIMUM_TEXT for text in (element.name, *keys, *keys.values())):
        raise PathError(f"the path has a name or key of more than {MAXIMUM_TEXT} characters")
    return Step(element.name, keys)


def build(steps: Iterable[Step], *, origin: str = "", target: str = "") -> pb.Path:
    """The protobuf form of these steps."""
    path = pb.Path(origin=origin, target=target)
    for step in steps:
        element = path.elem.add(name=step.name)
        for name, value in step.keys.items():
            element.key[name] = value
    return path


def to_text(steps: Iterable[Step]) -> str:
    """The text form; `/` for no steps."""
    return "".join(map(_step_text, steps)) or "/"


def _step_text(step: Step) -> str:
    keys = "".join(f"[{_escape(name, '=]')}={_escape(step.keys[name], ']')}]" for name in sorted(step.keys))
    return f"/{_escape(step.name, '/[')}{keys}"


def _escape(text: str, special: str) -> str:
    special += "\\"
    escaped = "".join(f"\\{character}" if character in special else character for character in text)
    return escaped.replace("\n", "\\n").replace("\r", "\\r")


def from_text(text: str) -> tuple[Step, ...]:
    """The steps of a path in text form; a leading `/` may be left out. Raises PathError."""
    if len(text) > MAXIMUM_STEPS * MAXIMUM_TEXT:
        raise PathError("the path is too long")
    reader = _Characters(text.removeprefix("/"))
    steps: list[Step] = []
    while not reader.at_end:
        steps.append(_read_step(reader))
        if len(steps) > MAXIMUM_STEPS:
            raise PathError(f"the path has more than {MAXIMUM_STEPS} elements")
    return tuple(steps)


def _read_step(reader: _Characters) -> Step:
    name, end = reader.until("/[")
    if not name:
        raise PathError(f"a name is missing in the path {reader.text!r}")
    keys: dict[str, str] = {}
    while end == "[":
        key, equals = reader.until("=]")
        if not key or equals != "=":
            raise PathError(f"a key without a value in the path {reader.text!r}")
        value, bracket = reader.until("]")
        if bracket != "]":
            raise PathError(f"']' is missing in the path {reader.text!r}")
        keys[key] = value
        between, end = reader.until("/[")
        if between:
            raise PathError(f"text between ']' and '/' in the path {reader.text!r}")
    return Step(name, keys)


class _Characters:
    """Reads a text up to given characters, taking what is escaped as it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._source: Iterator[str] = iter(text)
        self._read = 0

    @property
    def at_end(self) -> bool:
        return self._read >= len(self.text)

    def until(self, ends: str) -> tuple[str, str]:
        """The text before the next of `ends`, and which one it was ('' at the end of the text)."""
        found: list[str] = []
        for character in self._source:
            self._read += 1
            if character == "\\":
                character = self._escaped()
            elif character in ends:
                return "".join(found), character
            found.append(character)
        return "".join(found), ""

    def _escaped(self) -> str:
        """What follows a backslash."""
        character = self._next(1)
        if character in ("n", "r"):
            return {"n": "\n", "r": "\r"}[character]
        if character not in ("u", "U"):
            return character
        digits = self._next(4 if character == "u" else 8)
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise PathError(f"'\\{character}' without a character's number in {self.text!r}") from None

    def _next(self, count: int) -> str:
        self._read += count
        return "".join(next(self._source, "") for _ in range(count))
