"""The generated loop over records writes what the general encoder writes, whatever the records have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yang.access import ALLOW_ALL
from yang.encode.batch import MAX_LOOPS, Batch, batches
from yang.encode.xml import XmlEncoder
from yang.query.plan import Body, Planner
from yang.schema import Schema

SESSIONS = "/aether-subscriber:sessions/session"
TEXT = st.one_of(
    st.none(),
    st.sampled_from(["", "plain", "a<b", "&", "]]>", "\r\n", "\x00", "\ud800", "\uffff", "ü\u00a0", "'{x}'"]),
    st.text(max_size=4),
)
NUMBER = st.one_of(st.none(), st.integers(0, 2**64 - 1))


class Loose:
    """Attributes that are not given are missing."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Fixed:
    """Has few attributes and can have no others."""

    __slots__ = ("counters", "id", "username")

    def __init__(self, **attributes: Any) -> None:
        self.id, self.username = attributes.get("id"), attributes.get("username")
        self.counters = attributes.get("counters")


def container(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.fixed_dictionaries({}, optional=fields).map(lambda given: Loose(**given)))


FIELDS = {
    "username": TEXT,
    "status": st.sampled_from([None, "active", "idle"]),
    "ip_address": st.sampled_from([None, "192.0.2.1"]),
    "download_rate": NUMBER,
    "profile": TEXT,
    "routed": st.sampled_from([None, True, False]),
    "access_line": container(remote_id=TEXT, circuit_id=TEXT),
    "counters": container(in_octets=NUMBER, out_octets=NUMBER, tick=NUMBER),
    "nat": container(address=TEXT, port_first=NUMBER),
}
RECORDS = st.lists(
    st.tuples(
        st.sampled_from([Loose, Loose, Fixed]),
        st.fixed_dictionaries({"id": st.text("0123456789abcdef<", min_size=1, max_size=4)}, optional=FIELDS),
    ).map(lambda made: made[0](**made[1])),
    max_size=12,
)


def body_of(schema: Schema) -> Body:
    planner = Planner(schema.root, ALLOW_ALL, {}, content="all", with_defaults="explicit", with_state=True)
    node = schema.find(SESSIONS)
    assert node is not None
    body = planner.body(node, None, (), None)
    assert body is not None
    return body


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(RECORDS)
def test_the_loop_writes_what_the_general_encoder_writes(schema: Schema, records: list[Any]) -> None:
    encoder, body = XmlEncoder(schema), body_of(schema)
    general = encoder.encoder(body)
    batch = Batch(encoder, body)
    for some in (records, records[::-1]):  # the second time with a loop that was made for another record
        assert batch.encode(some) == "".join(general(None, record, ()) for record in some)


def test_markup_is_escaped_and_the_others_are_not_held_up(schema: Schema) -> None:
    records = [Loose(id=f"{n}", username="<&>\r" if n == 3 else "user") for n in range(8)]
    text = Batch(XmlEncoder(schema), body_of(schema)).encode(records)
    assert text.count("<username>user</username>") == 7
    assert "<username>&lt;&amp;&gt;&#13;</username>" in text


def test_loops_are_not_made_for_ever(schema: Schema) -> None:
    encoder, body = XmlEncoder(schema), body_of(schema)
    batch, general = Batch(encoder, body), encoder.encoder(body)
    for number in range(3 * MAX_LOOPS):
        # each batch looks like nothing before
        kind = type("Kind", (Loose,), {})
        records = [Loose(id="0"), kind(id="1", username="a"), kind(id="2", username="b")]
        assert batch.encode(records) == "".join(general(None, record, ()) for record in records), number
    assert batch._made == MAX_LOOPS


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (5, [2, 2, 1]), (4, [2, 2])])
def test_batches(count: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches(iter(range(count)), 2)] == sizes
