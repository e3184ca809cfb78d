"""The dictionary files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bng.aaa.attributes import TERMINATE_CAUSES
from bng.aaa.dictionary import Dictionary, load
from bng.codec.errors import DecodeError
from bng.codec.radius import Attribute

ROOT = Path(__file__).parents[4]


def test_the_vendors_attributes() -> None:
    dictionary = load()
    names = ("OSS-Download-Speed", "OSS-Upload-Speed", "OSS-Download-Burst", "OSS-Upload-Burst")
    for number, name in enumerate(names, 1):
        definition = dictionary.by_name[name]
        assert (definition.vendor, definition.number, definition.type) == (43242, number, "integer")
    assert dictionary.knows(Attribute(43242, 1, b""))
    assert not dictionary.knows(Attribute(43242, 5, b""))


def test_values() -> None:
    dictionary = load()
    assert dictionary.attribute("User-Name", "x" * 300).value == b"x" * 253
    assert dictionary.attribute("Acct-Input-Octets", (7 << 32) + 1).value == b"\0\0\0\1"
    assert dictionary.attribute("NAS-IP-Address", "192.0.2.1").value == bytes((192, 0, 2, 1))
    assert dictionary.attribute("Class", b"\0").value == b"\0"
    with pytest.raises(DecodeError):
        dictionary.attribute("NAS-IP-Address", "here")
    with pytest.raises(KeyError):
        dictionary.attribute("Colour", "red")


@pytest.mark.parametrize(
    "text", ["ATTRIBUTE x", "ATTRIBUTE x 1 colour", "BEGIN-VENDOR unknown", "VALUE x y 1", "VENDOR x"]
)
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        Dictionary(f"# a comment\n{text}\n")


def test_terminate_causes_are_those_of_the_model() -> None:
    module = (ROOT / "yang" / "modules" / "aether-types.yang").read_text()
    cause = module[module.index("typedef terminate-cause") :]
    assert dict(re.findall(r"enum ([\w-]+) \{\s+value (\d+);", cause)) == {
        name: str(number) for name, number in TERMINATE_CAUSES.items()
    }
