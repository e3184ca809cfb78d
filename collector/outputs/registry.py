"""The types of outputs, by name; a new one is a line here. Each brings its own settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from collector.outputs import redis_streams
from collector.outputs.interface import Output

TYPES: Mapping[str, Callable[[str, dict[str, Any]], Callable[[], Output]]] = {
    "redis-streams": redis_streams.parse,
}
"""Type → checks the settings of an output of a given name (ValueError), returns what makes it."""


@dataclass(frozen=True, slots=True)
class Configured:
    """Makes an output. Two of the same settings are equal: a new configuration may differ."""

    name: str
    settings: dict[str, Any] = field(repr=False, hash=False)
    make: Callable[[], Output] = field(repr=False, compare=False)

    def __call__(self) -> Output:
        return self.make()


def parse(source: Any) -> tuple[Callable[[], Output], ...]:
    """Check the member `outputs` of the configuration: name → settings. Raises ValueError."""
    if not isinstance(source, dict):
        raise ValueError("'outputs' must be an object of outputs by name")
    made = []
    for name, settings in source.items():
        where = f"outputs.{name}"
        if not isinstance(settings, dict):
            raise ValueError(f"{where}: must be an object")
        kind = settings.get("type")
        if not isinstance(kind, str) or kind not in TYPES:
            raise ValueError(f"{where}: 'type' must be one of {', '.join(TYPES)}, not {kind!r}")
        try:
            make = TYPES[kind](name, {key: settings[key] for key in settings if key != "type"})
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        made.append(Configured(name, settings, make))
    return tuple(made)
