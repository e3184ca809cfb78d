"""Protobuf's wire format by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.wire import delimited, padded_varint, tag, varint


@given(st.integers(0, 2**64 - 1))
def test_varint_is_what_protobuf_writes(number):
    assert tag(3, 0) + varint(number) == pb.TypedValue(uint_val=number).SerializeToString()


@given(st.integers(0, 2**64 - 1), st.integers(1, 10))
def test_padded_varint_means_the_same(number, width):
    if number >= 1 << 7 * width:
        with pytest.raises(ValueError, match="does not fit"):
            padded_varint(number, width)
        return
    octets = padded_varint(number, width)
    assert len(octets) == width
    assert pb.TypedValue.FromString(tag(3, 0) + octets).uint_val == number


@pytest.mark.parametrize("number", [-1, 2**64])
def test_out_of_range(number):
    with pytest.raises(ValueError, match="does not fit"):
        varint(number)


@given(st.binary(max_size=20) | st.integers(100, 20_000).map(bytes))
def test_delimited(content):
    assert delimited(5, content) == pb.TypedValue(bytes_val=content).SerializeToString()
