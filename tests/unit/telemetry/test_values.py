"""gNMI values ↔ Python, without a schema."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.values import BadValue, octets, proto, python, text

scalars = (
    st.booleans()
    | st.integers(0, 2**64 - 1)
    | st.integers(-(2**63), -1)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.floats(allow_nan=False)
)


def wire(value: pb.TypedValue) -> pb.TypedValue:
    return pb.TypedValue.FromString(value.SerializeToString())


@given(scalars | st.lists(scalars, max_size=5))
def test_proto_round_trip(value):
    found = python(wire(proto(value)))
    assert found == value
    assert type(found) is type(value)


@given(scalars | st.lists(scalars, max_size=3), st.booleans())
def test_octets_are_what_protobuf_writes(value, signed):
    if signed and isinstance(value, int) and value >= 2**63:
        return
    if signed and isinstance(value, list):
        value = [item for item in value if not isinstance(item, int) or item < 2**63]
    assert octets(value, signed=signed) == proto(value, signed=signed).SerializeToString()


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_integers_stay_signed(value):
    encoded = proto(value, signed=True)
    assert encoded.WhichOneof("value") == "int_val"
    assert python(encoded) == value


def test_decimals_become_doubles():
    assert proto(Decimal("12.50")) == pb.TypedValue(double_val=12.5)


@given(st.binary(max_size=200))
def test_any_octets_are_a_value_or_refused(octets):
    value = pb.TypedValue(json_ietf_val=octets)
    try:
        python(value)
    except BadValue as error:
        assert "JSON" in str(error)


@pytest.mark.parametrize(
    "value",
    [
        pb.TypedValue(),
        pb.TypedValue(proto_bytes=b"x"),
        pb.TypedValue(json_val=b"{"),
        pb.TypedValue(decimal_val=pb.Decimal64(digits=1, precision=1_000_000)),
    ],
)
def test_refused(value):
    with pytest.raises(BadValue):
        python(value)


def test_withdrawn_decimal():
    assert python(pb.TypedValue(decimal_val=pb.Decimal64(digits=-1250, precision=2))) == Decimal("-12.50")


def test_text():
    assert [text(value) for value in (True, 7, "a", b"\x00", [1, 2], Decimal("1.5"))] == [
        "true",
        "7",
        "a",
        "AA==",
        "1,2",
        "1.5",
    ]
