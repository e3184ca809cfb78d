"""Running a target: every input must be taken, or refused with the parser's own error."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.fuzz.mutate import Mutator


class Inputs(Protocol):
    """Makes one hostile input after the other."""

    def next(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Target:
    """A parser under fire.

    Attributes:
        name: of the parser.
        seeds: good inputs; each of them must be accepted.
        run: parses; True when it accepted, False when it refused with an error that it declares. Whatever
            else it raises is a fault, a broken promise (AssertionError) too.
        tokens: words of its language.
        xml: the seeds are XML, and most changes are to leave it well-formed.
        slow: a parser that takes a millisecond or more per input: fewer inputs tell as much.
        mutator: makes the inputs, of seeds, tokens and chance; None: `Mutator`.
    """

    name: str
    seeds: Sequence[bytes]
    run: Callable[[bytes], bool]
    tokens: Sequence[bytes] = field(default=())
    slow: bool = False
    xml: bool = False
    mutator: Callable[[Sequence[bytes], Sequence[bytes], random.Random], Inputs] | None = None


@dataclass(slots=True)
class Outcome:
    """What came of it. `slowest`: seconds of the slowest input, and that input."""

    accepted: int = 0
    refused: int = 0
    slowest: tuple[float, bytes] = (0.0, b"")


class Fault(Exception):
    """A parser broke its promise.

    Attributes:
        data: the input.
    """

    def __init__(self, target: str, data: bytes) -> None:
        super().__init__(f"{target} fails on {len(data)} octets: {data.hex()}")
        self.data = data


def run(target: Target, inputs: int, seed: int, seconds: float = math.inf) -> Outcome:
    """Give a target its seeds and so many hostile inputs, or as many as the time is enough for. Raises Fault
    from what went wrong."""
    end = time.monotonic() + seconds
    chance = random.Random(f"{target.name} {seed}")
    mutator: Inputs
    if target.mutator is None:
        mutator = Mutator(target.seeds, target.tokens, chance, xml=target.xml)
    else:
        mutator = target.mutator(target.seeds, target.tokens, chance)
    outcome = Outcome()
    for number in range(inputs + len(target.seeds)):
        if time.monotonic() > end:
            break
        is_seed = number < len(target.seeds)
        data = target.seeds[number] if is_seed else mutator.next()
        began = time.perf_counter()
        try:
            accepted = target.run(data)
            assert accepted or not is_seed, "a good input was refused"
        except Exception as error:
            raise Fault(target.name, data) from error
        took = time.perf_counter() - began
        if took > outcome.slowest[0]:
            outcome.slowest = took, data
        if accepted:
            outcome.accepted += 1
        else:
            outcome.refused += 1
    return outcome
