"""The fixed layout parses to what ordinary protobuf says, whatever the keys, values and memberships."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.encoder import BLOCK_ENTRIES, MAXIMUM_MESSAGE, ColumnEncoder
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import Step, build
from telemetry.rows import MAXIMUM_DUPLICATES, ColumnShape

LEAVES = (("counters", "in-octets"), ("counters", "out-octets"), ("tick",))
PREFIX = build([Step("m:sessions")], target="bng-01")
TIME = 1_790_000_000_123_456_789


def shape(keys=("id",), leaves=LEAVES):
    return ColumnShape(PREFIX, "session", keys, leaves)


def ordinary(of, layout, values, duplicates=0, mask=None):
    """The same messages, made by protobuf."""
    found = []
    for block, rows in layout.blocks:
        response = pb.SubscribeResponse()
        response.update.timestamp = TIME
        response.update.prefix.CopyFrom(of.prefix)
        for key, row in zip(block.keys, rows.tolist(), strict=True):
            for column, leaf in enumerate(of.leaves):
                if mask is not None and not mask[row, column]:
                    continue
                update = response.update.update.add(duplicates=min(duplicates, MAXIMUM_DUPLICATES))
                element = update.path.elem.add(name=of.list_name)
                for name, value in of.key_texts(key).items():
                    element.key[name] = value
                for name in leaf:
                    update.path.elem.add(name=name)
                update.val.uint_val = int(values[row, column])
        found.append(response)
    return found


def parsed(octets):
    return [pb.SubscribeResponse.FromString(message) for message in octets]


keys = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), unique=True, max_size=30
)
numbers = st.sampled_from([0, 1, 127, 128, 2**28, 2**56 - 1, 2**56, 2**63, 2**64 - 1]) | st.integers(
    0, 2**64 - 1
)


@given(
    st.lists(keys, min_size=1, max_size=4), st.lists(numbers, min_size=1, max_size=20), st.integers(0, 20_000)
)
@settings(max_examples=60, deadline=None)
def test_layout_is_ordinary_protobuf(memberships, some, duplicates):
    of = shape()
    encoder = ColumnEncoder(of)
    before = None
    for number, names in enumerate(memberships):
        entries = [(name,) for name in names]
        cycled = (some * (len(entries) * 3 // len(some) + 1))[: len(entries) * 3]
        values = np.array(cycled, np.uint64).reshape(-1, 3)
        layout = encoder.layout(entries, number)
        assert sorted(key for block, _ in layout.blocks for key in block.keys) == sorted(entries)
        made = [block.message(values[rows], TIME, duplicates) for block, rows in layout.blocks]
        assert parsed(made) == ordinary(of, layout, values, duplicates)
        if before is not None:
            assert set(before.gone(layout)) == set(before.rows()) - set(entries)
        before = layout


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_changed_leaves_only(flags):
    of = shape()
    mask = np.array(flags).reshape(4, 3)
    values = np.arange(12, dtype=np.uint64).reshape(4, 3)
    layout = ColumnEncoder(of).layout([(name,) for name in "abcd"], 1)
    ((block, rows),) = layout.blocks
    made = block.changed(values[rows], mask[rows], TIME)
    assert (made is None) == (not mask.any())
    if made is not None:
        assert parsed([made]) == ordinary(of, layout, values, mask=mask)


def test_a_column_takes_the_octets_that_it_needs():
    of = shape()
    ((block, rows),) = ColumnEncoder(of).layout([("a",), ("b",)], 1).blocks
    sizes = []
    for largest in (0, 2**14 - 1, 2**14, 2**28, 2**56, 0):
        values = np.array([[0, 0, 0], [largest, 0, 0]], np.uint64)
        made = block.message(values[rows], TIME)
        assert parsed([made]) == ordinary(of, ColumnEncoder(of).layout([("a",), ("b",)], 1), values)
        sizes.append(len(made))
    assert [size - sizes[0] for size in sizes] == [0, 0, 4, 12, 16, 16]  # two entries; never back


def test_several_keys():
    of = shape(("router", "port"))
    layout = ColumnEncoder(of).layout([("r1", 7), ("r2", 8)], 1)
    values = np.ones((2, 3), np.uint64)
    made = [block.message(values[rows], TIME) for block, rows in layout.blocks]
    assert parsed(made) == ordinary(of, layout, values)


def test_blocks_are_bounded_and_survive_changes_elsewhere():
    encoder = ColumnEncoder(shape())
    entries = [(f"{number:08}",) for number in range(3 * BLOCK_ENTRIES)]
    first = encoder.layout(entries, 1)
    assert [len(block.keys) for block, _ in first.blocks] == [BLOCK_ENTRIES] * 3
    assert encoder.layout(entries, 1) is first
    without = [entry for entry in entries if entry != ("00000250",)]
    second = encoder.layout([*without, ("99999999",)], 2)
    assert first.gone(second) == [("00000250",)]
    kept = {block for block, _ in first.blocks} & {block for block, _ in second.blocks}
    assert len(kept) == 2


def test_an_old_tick_can_be_made_after_the_membership_changed():
    of = shape()
    encoder = ColumnEncoder(of)
    values = np.arange(6, dtype=np.uint64).reshape(2, 3)
    old = encoder.layout([("a",), ("b",)], 1)
    new = encoder.layout([("b",), ("c",)], 2)
    for layout in (new, old):
        made = [block.message(values[rows], TIME) for block, rows in layout.blocks]
        assert parsed(made) == ordinary(of, layout, values)


def test_messages_stay_below_the_limit_with_long_names():
    leaves = tuple((f"{'x' * 60}-{number}",) for number in range(30))
    encoder = ColumnEncoder(shape(leaves=leaves))
    layout = encoder.layout([(f"{number:063}",) for number in range(500)], 1)
    values = np.zeros((500, 30), np.uint64)
    sizes = [len(block.message(values[rows], TIME)) for block, rows in layout.blocks]
    assert max(sizes) <= MAXIMUM_MESSAGE
    assert len(sizes) < 20
