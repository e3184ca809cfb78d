"""Moves that make one order of another."""

from hypothesis import given
from hypothesis import strategies as st

from yang.ordering import Order


@given(st.lists(st.integers(0, 9), unique=True), st.lists(st.integers(0, 9), unique=True))
def test_inserts_deletes_and_moves_make_one_order_of_another(before, after):
    old = Order()
    for entry in before:
        old.add(entry)
    new = old.begin()
    known = list(before)
    for entry in after:
        previous = new.add(entry)
        if entry not in before:
            known.insert(0 if previous is None else known.index(previous) + 1, entry)
    known = [entry for entry in known if entry in after]
    for entry, previous in new.finish():
        known.remove(entry)
        known.insert(0 if previous is None else known.index(previous) + 1, entry)
    assert known == after


def test_one_entry_to_the_front_is_one_move():
    old = Order((1, 2, 3))
    for entry in (3, 1, 2):
        old.add(entry)
    assert list(old.finish()) == [(3, None)]
