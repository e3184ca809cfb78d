"""A short run for each parser; `python -m tests.fuzz` has the long one."""

from __future__ import annotations

import pytest

from tests.fuzz.runner import Fault, Target, run
from tests.fuzz.targets import TARGETS

INPUTS = 2_000


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_inputs_are_taken_or_refused(name: str) -> None:
    target = TARGETS[name]
    inputs = INPUTS // 20 if target.slow else INPUTS
    outcome = run(target, inputs, seed=1)
    assert outcome.accepted >= len(target.seeds)
    assert outcome.refused, "no input was hostile"


def test_a_parser_that_breaks_its_promise_is_found() -> None:
    def parse(data: bytes) -> bool:
        assert b"\0" not in data, "zero octets are not expected"
        return True

    with pytest.raises(Fault, match="broken fails on") as caught:
        run(Target("broken", [b"good"], parse), 10_000, seed=1)
    assert b"\0" in caught.value.data


def test_a_seed_that_is_refused_is_a_fault() -> None:
    with pytest.raises(Fault, match="fails on 4 octets"):
        run(Target("refusing", [b"good"], lambda _: False), 0, seed=1)


def test_inputs_are_the_same_every_time() -> None:
    seen: list[list[bytes]] = []
    for _ in range(2):
        inputs: list[bytes] = []

        def note(data: bytes, inputs: list[bytes] = inputs) -> bool:
            inputs.append(data)
            return True

        run(Target("noted", [b"abcdefgh", b"12345678"], note), 200, seed=3)
        seen.append(inputs)
    assert seen[0] == seen[1]
