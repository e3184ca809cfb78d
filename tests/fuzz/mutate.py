"""Hostile variants of good inputs: flipped, cut, spliced, repeated, with lengths that lie.

Seeded: the same seed and number give the same input on every machine and Python.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

MAX_LENGTH = 16_384
"""Octets of an input; longer ones are cut. What is longer meets limits that are tested one by one."""

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


_WORD = re.compile(rb"[\w.:/-]+")
_ELEMENT = re.compile(rb"<([\w:]+)(?:\s[^<>]*)?(?:/>|>.*?</\1>)", re.DOTALL)


class Mutator:
    """Makes inputs of seeds.

    Args:
        seeds: good inputs.
        tokens: words of the language, put in at random places.
        generator: where chance comes from.
        xml: the seeds are XML: most changes leave it well-formed.
    """

    def __init__(
        self, seeds: Sequence[bytes], tokens: Sequence[bytes], generator: random.Random, *, xml: bool = False
    ) -> None:
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
        if xml:
            self._ways = [self._octet, self._cut, *[self._word] * 8, *[self._element] * 12]

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

    def _found(self, pattern: re.Pattern[bytes], data: bytes | bytearray) -> re.Match[bytes] | None:
        return pattern.search(data, self._place(bytearray(data)))

    def _word(self, data: bytearray) -> None:
        """Another word, of the language or of a seed, in the place of one."""
        old = self._found(_WORD, data)
        other = self._found(_WORD, self._random.choice(self._seeds))
        words = [*self._tokens, *([other[0]] if other else [])]
        if old is not None and words:
            new = words[-1] if self._random.random() < 0.5 else self._random.choice(words)
            data[old.start() : old.end()] = new

    def _element(self, data: bytearray) -> None:
        """An element goes, comes twice, or makes room for one of a seed, or has one beside it."""
        old = self._found(_ELEMENT, data)
        other = self._found(_ELEMENT, self._random.choice(self._seeds))
        if old is None:
            return
        new = other[0] if other else b""
        data[old.start() : old.end()] = self._random.choice((b"", old[0] * 2, new, new, old[0] + new))
