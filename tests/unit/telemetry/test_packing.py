"""Messages put together from octets are those that protobuf writes."""

from hypothesis import given
from hypothesis import strategies as st

from telemetry.packing import SYNC_RESPONSE, Entry, atomic, elements, messages
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import Step, build
from telemetry.protocol.values import octets, proto

PREFIX = build([Step("m:sessions")], origin="rfc7951", target="bng-01")
TIME = 1_790_000_000_123_456_789

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.lists(texts, max_size=3).map(tuple)
steps = st.lists(st.tuples(texts, st.dictionaries(texts, texts, max_size=3)), max_size=4)
numbers = st.integers(0, 2**64 - 1) | texts | st.booleans()
leaves = st.lists(st.tuples(names, numbers), max_size=5)


def parsed(responses):
    return [pb.SubscribeResponse.FromString(response) for response in responses]


def joined(above, below):
    return build([*(Step(name, keys) for name, keys in above), *map(Step, below)])


@given(steps)
def test_elements(some):
    assert pb.Path.FromString(elements(some)) == joined(some, ())


@given(
    steps, st.lists(st.tuples(names, numbers), max_size=5), st.lists(names, max_size=3), st.integers(0, 1000)
)
def test_a_message(path, updates, deletes, duplicates):
    entry = Entry(elements(path), [(below, octets(value)) for below, value in updates], deletes)
    expected = pb.Notification(timestamp=TIME, prefix=PREFIX)
    expected.delete.extend(joined(path, below) for below in deletes)
    for below, value in updates:
        expected.update.add(path=joined(path, below), val=proto(value), duplicates=duplicates)
    made = parsed(messages(PREFIX, [entry], TIME, duplicates))
    assert made == ([pb.SubscribeResponse(update=expected)] if updates or deletes else [])


@given(steps, leaves)
def test_an_atomic_message(path, updates):
    prefix = joined(path, ())
    prefix.origin, prefix.target = "rfc7951", "bng-01"
    expected = pb.Notification(timestamp=TIME, prefix=prefix, atomic=True)
    for below, value in updates:
        expected.update.add(path=joined((), below), val=proto(value))
    encoded = [(below, octets(value)) for below, value in updates]
    made = atomic(path, encoded, TIME, origin="rfc7951", target="bng-01")
    assert parsed([made]) == [pb.SubscribeResponse(update=expected)]


def test_messages_are_packed_and_bounded():
    entries = [
        Entry(elements([("e", {"k": str(number)})]), [(("leaf",), octets("x" * 100))], [("old",)])
        for number in range(300)
    ]
    made = list(messages(PREFIX, entries, TIME, size=4096))
    assert max(map(len, made)) <= 4096 + 8
    assert 5 < len(made) < 20
    found = parsed(made)
    assert [u.path.elem[0].key["k"] for r in found for u in r.update.update] == [str(n) for n in range(300)]
    assert sum(len(response.update.delete) for response in found) == 300
    assert all(r.update.prefix == PREFIX and r.update.timestamp == TIME for r in found)


def test_one_large_value_is_sent_alone():
    values = [(("a",), octets("small")), (("b",), octets("x" * 10_000)), (("c",), octets("small"))]
    found = parsed(messages(PREFIX, [Entry(b"", values)], TIME, size=1000))
    assert [len(response.update.update) for response in found] == [1, 1, 1]


def test_nothing_to_say_is_no_message():
    assert list(messages(PREFIX, [Entry(b"")], TIME)) == []


def test_sync_response():
    assert pb.SubscribeResponse.FromString(SYNC_RESPONSE) == pb.SubscribeResponse(sync_response=True)
