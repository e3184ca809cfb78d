"""Set's messages in pieces are what protobuf makes of them at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import pace, set_messages
from telemetry.errors import Code, Refused
from telemetry.pace import Pace
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.set_messages import Results, read_request, response
from telemetry.snapshot import Progress

TEXT = st.text(max_size=30)
PATHS = st.builds(
    lambda names, key: pb.Path(elem=[pb.PathElem(name=name, key={"k": key}) for name in names]),
    st.lists(TEXT, max_size=3),
    TEXT,
)
UPDATES = st.builds(
    lambda path, value: pb.Update(path=path, val=pb.TypedValue(json_ietf_val=value)),
    PATHS,
    st.binary(max_size=60),
)
REQUESTS = st.builds(
    pb.SetRequest,
    prefix=st.none() | PATHS,
    delete=st.lists(PATHS, max_size=5),
    replace=st.lists(UPDATES, max_size=5),
    update=st.lists(UPDATES, max_size=5),
    union_replace=st.lists(UPDATES, max_size=5),
)


def read(octets: bytes) -> pb.SetRequest:
    return asyncio.run(read_request(octets, Pace()))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_messages, "_AT_ONCE", 8)


@given(REQUESTS)
def test_a_request_in_pieces(request: pb.SetRequest) -> None:
    assert read(request.SerializeToString()) == request


@given(REQUESTS)
def test_a_response_in_pieces(request: pb.SetRequest) -> None:
    kind = pb.UpdateResult
    expected = [
        *(kind(path=path, op=kind.DELETE) for path in request.delete),
        *(kind(path=update.path, op=kind.UNION_REPLACE) for update in request.union_replace),
        *(kind(path=update.path, op=kind.REPLACE) for update in request.replace),
        *(kind(path=update.path, op=kind.UPDATE) for update in request.update),
    ]
    made = pb.SetResponse.FromString(asyncio.run(response(request, Pace())))
    assert list(made.response) == expected
    assert made.timestamp
    assert (made.HasField("prefix"), made.prefix) == (request.HasField("prefix"), request.prefix)
    results = Results(request)
    assert list(results) == [results[number] for number in range(len(results))] == expected
    with pytest.raises(IndexError):
        results[len(results)]


@given(st.binary(max_size=80))
def test_what_is_no_request_is_refused_as_protobuf_does(octets: bytes) -> None:
    try:
        expected = pb.SetRequest.FromString(octets)
    except Exception:
        with pytest.raises(Refused) as caught:
            read(octets)
        assert caught.value.code is Code.INVALID_ARGUMENT
    else:
        assert read(octets) == expected


def test_a_number_without_an_end_takes_no_time() -> None:
    """Adding it up took hours, and with it the event loop."""
    for octets in (b"\xff" * 4_000_000, b"\x22" + b"\x80" * 4_000_000):
        began = time.perf_counter()
        with pytest.raises(Refused):
            read(octets)
        assert time.perf_counter() - began < 1


async def turns_during(work: Any) -> int:
    """How often another task got its turn meanwhile."""
    doing = asyncio.ensure_future(work)
    count = 0
    while not doing.done():
        count += 1
        await asyncio.sleep(0)
    await doing
    return count


async def test_others_get_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PAUSE_AFTER", -1.0)  # at each chance
    monkeypatch.setattr(set_messages, "_AT_ONCE", 1024)
    path = pb.Path(elem=[pb.PathElem(name="profiles"), pb.PathElem(name="profile", key={"name": "gold"})])
    request = pb.SetRequest(update=[pb.Update(path=path)] * 5000)
    octets = request.SerializeToString()
    assert await turns_during(read_request(octets, Pace())) > len(octets) // 2048
    assert (
        await turns_during(read_request(pb.SetRequest(delete=[pb.Path()] * 5000).SerializeToString(), Pace()))
        > 8
    )
    assert await turns_during(response(request, Pace())) > 5000 // 512
    pieces = [bytes(64 * 1024)] * 40
    assert await turns_during(Progress(1 << 24).written(list(pieces))) > 2 * len(pieces)
    assert await Progress(1 << 24).written(list(pieces)) == b"".join(pieces)
