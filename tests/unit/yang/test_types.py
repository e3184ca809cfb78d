"""Values: text, Python and JSON."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yang.types import INTEGER_BITS, LeafType, map_prefixes, prefixes_in

UNION = LeafType(
    "union", members=(LeafType("uint16"), LeafType("enumeration", enums={"auto": 0}), LeafType("string"))
)


@given(st.sampled_from(sorted(INTEGER_BITS)), st.data())
def test_integers(base: str, data: st.DataObject) -> None:
    low, high = INTEGER_BITS[base]
    value = data.draw(st.integers(low, high))
    kind = LeafType(base)
    assert kind.parse(kind.format(value)) == value
    assert kind.from_json(kind.to_json(value)) == value
    assert isinstance(kind.to_json(value), str) == base.endswith("64")
    for outside in (low - 1, high + 1):
        with pytest.raises(ValueError, match=base):
            kind.parse(str(outside))


@given(st.binary(max_size=40))
def test_binary(value: bytes) -> None:
    kind = LeafType("binary")
    assert kind.parse(kind.format(value)) == value
    assert kind.from_json(kind.to_json(value)) == value


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=3))
def test_decimal64(value: Decimal) -> None:
    kind = LeafType("decimal64", fraction_digits=3)
    assert kind.parse(kind.format(value)) == value
    assert kind.from_json(kind.to_json(value)) == value


def test_decimal64_is_written_canonically() -> None:
    kind = LeafType("decimal64", fraction_digits=2)
    assert kind.format(kind.parse("+01.50")) == "1.5"
    assert kind.format(kind.parse("7")) == "7.0"
    with pytest.raises(ValueError, match="fraction"):
        kind.parse("1.234")


@given(st.text(max_size=30))
def test_text_never_breaks_a_parser(text: str) -> None:
    for base in ("uint8", "boolean", "decimal64", "binary", "identityref", "bits", "enumeration"):
        try:
            LeafType(base, fraction_digits=2).parse(text)
        except ValueError:
            continue


def test_union_takes_the_first_member_that_fits() -> None:
    assert UNION.parse("10") == 10
    assert UNION.parse("auto") == "auto"
    assert UNION.parse("70000") == "70000"
    assert UNION.to_json(10) == 10


def test_identityrefs_are_named_by_module() -> None:
    kind = LeafType("identityref", identities=frozenset({"m:a", "n:b"}))
    assert kind.parse("p:a", {"p": "m"}.get) == "m:a"
    assert kind.parse("b") == "n:b"
    with pytest.raises(ValueError, match="identity"):
        kind.parse("p:b", {"p": "m"}.get)


def test_bits_are_ordered_by_position() -> None:
    kind = LeafType("bits", enums={"x": 0, "y": 1})
    assert kind.parse(" y  x ") == "x y"
    with pytest.raises(ValueError, match="each once"):
        kind.parse("x x")


def test_empty() -> None:
    kind = LeafType("empty")
    assert kind.parse("") is True
    assert kind.to_json(True) == [None]
    assert kind.from_json([None]) is True


def test_prefixes_in_expressions_are_replaced_outside_of_literals() -> None:
    text = "/p:a[p:k='p:v']/q:b"
    assert prefixes_in(text) == ["p", "q"]
    assert map_prefixes(text, {"p": "one", "q": "two"}.get) == "/one:a[one:k='p:v']/two:b"
    with pytest.raises(ValueError, match="unknown prefix"):
        map_prefixes("/z:a", {}.get)


@pytest.mark.parametrize(
    ("typedef", "text", "canonical"),
    [
        ("ietf-yang-types:mac-address", "02:AB:00:00:00:FF", "02:ab:00:00:00:ff"),
        ("ietf-inet-types:ipv6-address", "2001:DB8:0:0::1", "2001:db8::1"),
        ("ietf-inet-types:ipv6-prefix", "2001:DB8::1/32", "2001:db8::/32"),
        ("", "As-It-Is", "As-It-Is"),
    ],
)
def test_canonical_forms(typedef: str, text: str, canonical: str) -> None:
    assert LeafType("string", typedef=typedef).parse(text) == canonical
