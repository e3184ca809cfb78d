"""Indexes and slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.session.records import AccessLine, Binding, Session
from bng.session.settings import Policy
from bng.session.states import State
from bng.session.store import MAX_SLOTS, QUARANTINE, SlotPool, Store


def session(number: int, *, mac: str = "02:00:00:00:00:01", remote: str = "node-a") -> Session:
    binding = Binding(
        AccessLine(remote, f"1/0/{number}"), mac, f"100.64.0.{number}", "sub0", "0.0.0.0", "192.0.2.53", None
    )
    made = Session(f"{number:016x}", "bng-01", binding, routed=False, now=0)
    made.state = State.ACTIVE
    return made


class TestSlotPool:
    def test_dense_from_zero(self) -> None:
        pool = SlotPool(10)
        assert [pool.take() for _ in range(3)] == [(0, 1), (1, 1), (2, 1)]
        assert len(pool) == 3

    def test_a_slot_freed_just_now_rests_while_there_are_others(self) -> None:
        pool = SlotPool(QUARANTINE + 3)
        slots = [pool.take()[0] for _ in range(QUARANTINE + 1)]
        for slot in slots:
            pool.give_back(slot)
        assert pool.take() == (0, 2)  # longest free, more than the quarantine wait
        assert pool.take()[0] == QUARANTINE + 1  # grows again rather than touch the rest
        assert pool.take()[0] == QUARANTINE + 2
        assert pool.take() == (1, 2)  # cannot grow

    def test_all_in_use(self) -> None:
        pool = SlotPool(1)
        pool.take()
        with pytest.raises(LookupError):
            pool.take()

    def test_never_more_than_class_numbers(self) -> None:
        assert SlotPool(200_000).size == MAX_SLOTS

    def test_adopted_slots_are_not_handed_out(self) -> None:
        pool = SlotPool(4, first_generation=100)
        pool.adopt(2, 7)
        assert {pool.take()[0] for _ in range(3)} == {0, 1, 3}
        pool.give_back(2)
        assert pool.take() == (2, 100)

    def test_a_free_slot_that_is_adopted_is_not_handed_out(self) -> None:
        pool = SlotPool(3)
        for slot in (pool.take()[0], pool.take()[0]):
            pool.give_back(slot)
        pool.adopt(0, 1)
        assert {pool.take()[0] for _ in range(2)} == {1, 2}

    def test_adopting_what_cannot_be(self) -> None:
        pool = SlotPool(4)
        pool.adopt(1, 1)
        for slot in (1, -1, MAX_SLOTS):
            with pytest.raises(ValueError, match="adopted"):
                pool.adopt(slot, 1)

    @given(st.lists(st.booleans(), max_size=300), st.sets(st.integers(0, 60), max_size=20))
    def test_a_pair_of_slot_and_generation_is_handed_out_once(
        self, takes: list[bool], adopted: set[int]
    ) -> None:
        pool, used, seen = SlotPool(80, first_generation=5), set(adopted), set()
        for slot in adopted:
            pool.adopt(slot, 3)
        for take in takes:
            if take and len(used) < 80:
                slot, generation = pool.take()
                assert slot not in used
                assert (slot, generation) not in seen
                assert generation >= 5
                used.add(slot)
                seen.add((slot, generation))
            elif used:
                pool.give_back(slot := used.pop())
        assert len(pool) == len(used)


def test_indexes_follow() -> None:
    store = Store(10)
    one, two = session(1), session(2)
    for number, s in enumerate((one, two)):
        s.slot = store.slots.take()[0]
        assert s.slot == number
        store.add(s)
    assert store.get(one.id) is one
    assert store.on_line(two.line) is two
    assert store.with_ip("100.64.0.2") is two
    assert list(store.with_mac(one.mac_address)) == [one, two]
    assert store.behind("node-a") == [one, two]
    assert store.count_behind("node-a") == 2
    assert list(store) == [one, two]
    one.policy = Policy("gold", 1, 1)
    store.reindex_profile(one, None)
    assert store.with_profile("gold") == [one]
    assert store.count_profile("gold") == 1
    one.policy = Policy("silver", 1, 1)
    store.reindex_profile(one, "gold")
    store.reindex_profile(one, "silver")
    assert (store.count_profile("gold"), store.count_profile("silver")) == (0, 1)
    one.policy = Policy(None, 1, 1)
    store.reindex_profile(one, "silver")
    assert store.count_profile("silver") == 0
    two.policy = Policy("gold", 1, 1)
    store.reindex_profile(two, None)
    store.remove(one)
    store.remove(two)
    assert len(store) == 0
    assert len(store.slots) == 0
    assert not list(store.with_mac(one.mac_address))
    assert store.behind("node-a") == store.with_profile("gold") == []
    assert store.by_status.total() == 0


def test_an_address_that_went_to_another_session_stays_there() -> None:
    store = Store(10)
    one, other = session(1), session(1)
    other.id = "f" * 16
    for s in (one, other):
        s.slot = store.slots.take()[0]
        store.add(s)
    store.remove(one)
    assert store.with_ip("100.64.0.1") is other
    assert store.on_line(other.line) is other


def test_full_and_resized() -> None:
    store = Store(1)
    one = session(1)
    one.slot = store.slots.take()[0]
    store.add(one)
    assert store.full
    store.resize(2)
    assert not store.full
    assert store.slots.take()[0] == 1
