"""What a session machine stands on, as JSON, and a machine that stands on the same.

`freeze` copies, quickly, what changes; `encode` makes JSON of the copy at leisure, in any thread; `decode`
makes a machine of it, `merge` adds the access lines of another one. Nothing here knows the machine's
attributes (but for slots and public addresses): what holds values, containers and objects of `bng.session` is
carried over, orders included.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum
from operator import attrgetter
from typing import Any, NamedTuple

from bng.session.machine import Machine
from bng.session.nat import NatAllocator
from bng.session.records import AccessLine, Session
from bng.session.store import SlotPool

_ATOMS: frozenset[type] = frozenset({str, int, float, bool, bytes, type(None)})
_KEYS = (str, bytes)
_MAPPINGS = {cls.__name__: cls for cls in (dict, OrderedDict, Counter)}
_SERIES = {cls.__name__: cls for cls in (list, set, frozenset, deque)}
_POOLS = (SlotPool, NatAllocator)
_PACKAGES = ("bng.session.", "bng.codec.")


class _Ref(NamedTuple):
    number: int


class _Map(NamedTuple):
    cls: str
    items: list[tuple[Any, Any]]


class _Series(NamedTuple):
    cls: str
    items: list[Any]


class Frozen(NamedTuple):
    """A copy of a machine.

    Attributes:
        objects: class, names and values of each object; the machine is the first.
    """

    objects: list[tuple[type, tuple[str, ...], tuple[Any, ...]]]


class _Freezer:
    def __init__(self, machine: Machine, lines: Collection[AccessLine] | None) -> None:
        self.objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._lines = lines
        self._store, self._nat = machine.store, machine.nat
        found = [machine.store.on_line(line) for line in lines or ()]
        self._sessions = [session for session in found if session is not None]
        self._immutable: set[type] = set(_ATOMS)
        self._mutable: set[type] = set()
        self._getters: dict[type, tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]] = {}
        self._copy(machine)

    def _copy(self, value: Any) -> Any:
        cls = type(value)
        if cls in self._immutable:
            return value
        number = self._numbers.get(id(value))
        if number is not None:
            return _Ref(number)
        if cls.__name__ in _MAPPINGS:
            items = self._items(value)
            kept = value.values() if self._lines is None else [item for _, item in items]
            if not self._immutable.issuperset(map(type, kept)):
                items = [(key, self._copy(item)) for key, item in items]
            return _Map(cls.__name__, items)
        if cls.__name__ in _SERIES:
            series = list(value)
            if not self._immutable.issuperset(map(type, series)):
                series = [self._copy(item) for item in series]
            return _Series(cls.__name__, series)
        if cls not in self._mutable:
            if _is_immutable(cls):
                self._immutable.add(cls)
                return value
            self._mutable.add(cls)
        return self._object(value, cls)

    def _object(self, value: Any, cls: type) -> _Ref:
        number = self._numbers[id(value)] = len(self.objects)
        self.objects.append(None)
        names, values = self._attributes(value, cls)
        if cls in _POOLS and self._lines is not None:
            values = self._share(names, values)
        if not self._immutable.issuperset(map(type, values)):
            values = tuple([self._copy(item) for item in values])
        self.objects[number] = cls, names, values
        return _Ref(number)

    def _share(self, names: tuple[str, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Of a pool only what the lines hold: who replays takes what was taken."""
        kept: dict[str, Any] = {
            "_used": {session.slot for session in self._sessions},
            "_generations": [],
            "_free": deque(),
            "_held": self._nat.blocks(session.nat for session in self._sessions),
            "_offered": deque(),
        }
        return tuple([kept.get(name, value) for name, value in zip(names, values, strict=True)])

    def _attributes(self, value: Any, cls: type) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        known = self._getters.get(cls)
        if known is not None:
            return known[0], known[1](value)
        pairs = [(name, item) for name, item in _attributes(value) if _is_data(name, item)]
        names = tuple([name for name, _ in pairs])
        if len(names) > 1 and not hasattr(value, "__dict__"):
            self._getters[cls] = names, attrgetter(*names)
        return names, tuple([item for _, item in pairs])

    def _items(self, value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
        """The entries of one of the lines, and those of none."""
        if self._lines is None:
            return list(value.items())
        key, item = next(iter(value.items()), (None, None))
        if isinstance(item, dict):
            item = next(iter(item.values()), None)
        if isinstance(item, Session) or isinstance(key, AccessLine):
            # an index: not to look at all sessions for a few, the keys that theirs can have
            probes: list[Any] = [*self._lines, *(part for line in self._lines for part in line)]
            for session in self._sessions:
                probes += (item for _, item in _attributes(session) if type(item) in _KEYS)
                probes.append(session.profile)
            return [(probe, value[probe]) for probe in dict.fromkeys(probes) if probe in value]
        return [(key, item) for key, item in value.items() if self._keeps(key)]

    def _keeps(self, key: Any) -> bool:
        assert self._lines is not None
        if isinstance(key, tuple) and key:
            key = key[0]  # of an exchange: its line
        if isinstance(key, AccessLine):
            return key in self._lines
        session = self._store.get(key) if isinstance(key, str) else None
        return session is None or session.line in self._lines


def freeze(machine: Machine, lines: Collection[AccessLine] | None = None) -> Frozen:
    """Copy a machine, or of it what concerns some access lines (and what concerns none)."""
    return Frozen(_Freezer(machine, lines).objects)


def _is_immutable(cls: type) -> bool:
    if issubclass(cls, tuple | Enum):
        return True
    parameters = getattr(cls, "__dataclass_params__", None)
    return parameters is not None and parameters.frozen


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for cls in type(value).__mro__:
        names = cls.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if hasattr(value, name):
                yield name, getattr(value, name)
    yield from getattr(value, "__dict__", {}).items()


def _is_data(name: str, item: Any) -> bool:
    """False for what a new machine has by itself, and for what only lasts while an event is handled."""
    if name in ("_out", "fired"):
        return False
    sample = next(iter(item.values()), None) if isinstance(item, dict) else item
    return not callable(sample)


# JSON


def encode(frozen: Frozen) -> Iterator[dict[str, Any]]:
    """One JSON object for each object of the copy."""
    for number, (cls, names, values) in enumerate(frozen.objects):
        fields = {name: _form(item) for name, item in zip(names, values, strict=True)}
        yield {"object": number, "class": cls.__name__, **fields}


def _form(value: Any) -> Any:
    cls = type(value)
    if cls in _ATOMS:
        return {"$octets": value.hex()} if cls is bytes else value
    if cls is _Ref:
        return {"$ref": value.number}
    if cls is _Series:
        items = sorted(value.items, key=repr) if "set" in value.cls else value.items
        return {f"${value.cls}": [_form(item) for item in items]}
    if cls is _Map:
        return {f"${value.cls}": [[_form(key), _form(item)] for key, item in value.items]}
    if isinstance(value, Enum):
        return {"$": cls.__name__, "value": value.value}
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
        return {"$": cls.__name__, **{name: _form(getattr(value, name)) for name in fields}}
    if isinstance(value, tuple):
        names = getattr(cls, "_fields", None)
        if names is None:
            return {"$tuple": [_form(item) for item in value]}
        return {"$": cls.__name__, **{name: _form(item) for name, item in zip(names, value, strict=True)}}
    if cls.__name__ in _MAPPINGS:
        return {f"${cls.__name__}": [[_form(key), _form(item)] for key, item in value.items()]}
    if cls.__name__ in _SERIES:
        return {f"${cls.__name__}": [_form(item) for item in value]}
    raise TypeError(f"{cls.__name__} cannot be written down")


class _Decoder:
    def __init__(self, forms: Sequence[Mapping[str, Any]]) -> None:
        self._classes = _classes()
        self._forms = forms
        self._made: list[Any] = [None] * len(forms)

    def machine(self) -> Machine:
        if not self._forms or self._forms[0].get("class") != "Machine":
            raise ValueError("the first object is no machine")
        root = self._forms[0]
        settings, profiles = self._value(root["settings"]), self._value(root["profiles"])
        machine = self._made[0] = Machine(settings, profiles)
        for number, form in enumerate(self._forms[1:], 1):
            cls = self._class(form.get("class"))
            self._made[number] = object.__new__(cls)
        for made, form in zip(self._made, self._forms, strict=True):
            for name, item in form.items():
                if name not in ("object", "class"):
                    setattr(made, name, self._value(item))
        return machine

    def _class(self, name: Any) -> type:
        cls = self._classes.get(name)
        if cls is None:
            raise ValueError(f"there is no class {name!r}")
        return cls

    def _value(self, form: Any) -> Any:
        if not isinstance(form, dict):
            return form
        if "$" in form:
            cls = self._class(form["$"])
            return cls(**{name: self._value(item) for name, item in form.items() if name != "$"})
        ((tag, content),) = form.items()
        name = tag[1:]
        if name == "ref":
            return self._made[content]
        if name == "octets":
            return bytes.fromhex(content)
        if name == "tuple":
            return tuple(self._value(item) for item in content)
        if name in _SERIES:
            return _SERIES[name](self._value(item) for item in content)
        if name in _MAPPINGS:
            return _MAPPINGS[name]({self._value(key): self._value(item) for key, item in content})
        raise ValueError(f"no such form: {tag}")


def decode(forms: Sequence[Mapping[str, Any]]) -> Machine:
    """The machine of what `encode` gave.

    Raises:
        ValueError: it gave something else.
    """
    try:
        return _Decoder(forms).machine()
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"this snapshot is of another version: {error!r}") from None


def _classes() -> dict[str, type]:
    """Classes of the session machine by name; nothing else is ever made of a recording."""
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith(_PACKAGES):
            for cls in vars(module).values():
                if isinstance(cls, type) and cls.__module__ == name:
                    found[cls.__name__] = cls
    return found


def merge(machine: Machine, other: Machine) -> None:
    """Add the access lines of another machine, which has none of ours."""
    for ours, theirs in (
        (machine, other),
        (machine.relay, other.relay),
        (machine.store, other.store),
        (machine.store.slots, other.store.slots),
    ):
        for name, item in _attributes(theirs):
            if isinstance(item, dict) and not isinstance(item, Counter) and _is_data(name, item):
                _add(getattr(ours, name), item)
            elif isinstance(item, set):
                getattr(ours, name).update(item)
    for session in other.store:
        if session.nat is not None:
            machine.nat.adopt(session.nat)


def _add(ours: dict[Any, Any], theirs: Mapping[Any, Any]) -> None:
    for key, item in theirs.items():
        if key in ours and isinstance(item, dict):
            _add(ours[key], item)
        else:
            ours[key] = item
