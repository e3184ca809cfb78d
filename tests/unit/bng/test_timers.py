"""The timer wheel against a plain list of deadlines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bng.timers import GRANULARITY, Wheel

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 9), st.integers(0, 100)),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("take"), st.integers(0, 3), st.integers(0, 100)),
    ),
    max_size=60,
)


@given(STEPS)
def test_behaves_like_a_list_of_deadlines(steps: list) -> None:
    wheel: Wheel[int] = Wheel()
    model: dict[int, int] = {}
    for step, number, value in steps:
        if step == "set":
            wheel.set(number, value * GRANULARITY)
            model[number] = value
        elif step == "cancel":
            wheel.cancel(number)
            model.pop(number, None)
        else:
            due = wheel.take_due(value * GRANULARITY, limit=number + 1)
            ready = sorted(deadline for deadline in model.values() if deadline <= value)
            assert [model[key] for key in due] == ready[: number + 1]
            for key in due:
                del model[key]
        assert len(wheel) == len(model)
        assert all(key in wheel for key in model)
        expected = min(model.values()) * GRANULARITY if model else None
        assert wheel.next_due() == expected


def test_never_early() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.set("a", 1)
    assert wheel.take_due(1) == []
    assert wheel.take_due(GRANULARITY) == ["a"]


def test_what_is_due_goes_in_bounded_portions() -> None:
    wheel: Wheel[int] = Wheel()
    for number in range(10_000):
        wheel.set(number, number)
    taken = [wheel.take_due(10**12, 3000) for _ in range(5)]
    assert [len(part) for part in taken] == [3000, 3000, 3000, 1000, 0]
