"""Hostile variants of good inputs: flipped, cut, spliced, repeated, with lengths that lie.

Seeded: the same seed and number give the same input on every machine and Python.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

MAX_LENGTH = 16_384
"""Octets of an input; longer ones are cut. What is longer meets limits that are tested one by one."""

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Mutator:
    """Makes inputs of seeds.

    Args:
        seeds: good inputs.
        tokens: words of the language, put in at random places.
        generator: where chance comes from.
    """

    def __init__(self, seeds: Sequence[bytes], tokens: Sequence[bytes], generator: random.Random) -> None:
        self._seeds = seeds
        self._tokens = tokens
        self._random = generator
        self._ways: list[Callable[[bytearray], None]] = [
            self._flip,
            self._octet,
            self._number,
            self._cut,
            self._remove,
            self._repeat,
            self._insert,
            self._splice,
            self._swap,
        ]
        if tokens:
            self._ways += [self._token, self._token]

    def next(self) -> bytes:
        """The next input: one in fifty is noise, the others are seeds with one to eight changes."""
        chance = self._random
        if chance.random() < 0.02:
            return chance.randbytes(chance.randrange(0, 600))
        data = bytearray(chance.choice(self._seeds))
        for _ in range(min(8, int(chance.expovariate(0.6)) + 1)):
            chance.choice(self._ways)(data)
        return bytes(data[:MAX_LENGTH])

    def _place(self, data: bytearray) -> int:
        return self._random.randrange(len(data) + 1)

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _octet(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.randrange(256)

    def _number(self, data: bytearray) -> None:
        """Overwrite one, two or four octets with a number on an edge."""
        size = self._random.choice((1, 2, 4))
        order = self._random.choice(("big", "little"))
        value = self._random.choice(_NUMBERS) & ((1 << (8 * size)) - 1)
        at = self._place(data)
        data[at : at + size] = value.to_bytes(size, order)

    def _cut(self, data: bytearray) -> None:
        del data[self._place(data) :]

    def _remove(self, data: bytearray) -> None:
        at = self._place(data)
        del data[at : at + self._random.randrange(1, 17)]

    def _repeat(self, data: bytearray) -> None:
        at = self._place(data)
        part = bytes(data[at : at + self._random.randrange(1, 33)])
        data[at:at] = part * self._random.choice((1, 2, 3, 40))

    def _insert(self, data: bytearray) -> None:
        at = self._place(data)
        data[at:at] = self._random.randbytes(self._random.randrange(1, 9))

    def _splice(self, data: bytearray) -> None:
        """Go on with the end of another seed."""
        other = self._random.choice(self._seeds)
        at = self._place(data)
        data[at:] = other[self._random.randrange(len(other) + 1) :]

    def _swap(self, data: bytearray) -> None:
        at, size = self._place(data), self._random.randrange(1, 17)
        first, second = bytes(data[at : at + size]), bytes(data[at + size : at + 2 * size])
        data[at : at + 2 * size] = second + first

    def _token(self, data: bytearray) -> None:
        at = self._place(data)
        data[at:at] = self._random.choice(self._tokens)
