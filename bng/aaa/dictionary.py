"""Names and types of RADIUS attributes, from the dictionary files beside this module.

The files are of the common form (``ATTRIBUTE name number type``, ``VENDOR``, ``BEGIN-VENDOR``), so that a
server can include them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bng.codec.address import ip_octets
from bng.codec.radius import Attribute

FOLDER = Path(__file__).parent
VENDOR_FILE = FOLDER / "dictionary.oss"
"""Vendor 43242's attributes; for a server's ``$INCLUDE``."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What an attribute is. type: ``string``, ``octets``, ``integer`` (32 bits) or ``ipaddr``."""

    name: str
    vendor: int
    number: int
    type: str


class Dictionary:
    """Definitions by name and by number.

    Args:
        text: a dictionary file.

    Raises:
        ValueError: a line is not understood; the text says which.
    """

    def __init__(self, text: str) -> None:
        self.by_name: dict[str, Definition] = {}
        self.by_number: dict[tuple[int, int], Definition] = {}
        vendors: dict[str, int] = {}
        vendor = 0
        for number, line in enumerate(text.splitlines(), 1):
            match line.partition("#")[0].split():
                case []:
                    continue
                case ["VENDOR", name, value]:
                    vendors[name] = int(value)
                case ["BEGIN-VENDOR", name] if name in vendors:
                    vendor = vendors[name]
                case ["END-VENDOR", _]:
                    vendor = 0
                case ["ATTRIBUTE", name, value, ("string" | "octets" | "integer" | "ipaddr") as kind]:
                    definition = Definition(name, vendor, int(value), kind)
                    self.by_name[name] = definition
                    self.by_number[vendor, int(value)] = definition
                case _:
                    raise ValueError(f"dictionary line {number} is not understood: {line.strip()}")

    def attribute(self, name: str, value: str | int | bytes) -> Attribute:
        """An attribute by name; text is cut to what fits, integers are taken modulo 2³².

        Raises:
            KeyError: there is no such attribute.
            DecodeError: an address is none.
        """
        definition = self.by_name[name]
        if isinstance(value, int):
            octets = (value & 0xFFFFFFFF).to_bytes(4, "big")
        elif isinstance(value, bytes):
            octets = value
        elif definition.type == "ipaddr":
            octets = ip_octets(value)
        else:
            octets = value.encode("utf-8")[:253]
        return Attribute(definition.vendor, definition.number, octets)

    def knows(self, attribute: Attribute) -> bool:
        """Whether an attribute is defined."""
        return (attribute.vendor, attribute.type) in self.by_number


@lru_cache(maxsize=1)
def load() -> Dictionary:
    """The dictionary of this package."""
    files = (FOLDER / "dictionary.standard", FOLDER / "dictionary.dynamic", VENDOR_FILE)
    return Dictionary("\n".join(file.read_text() for file in files))
