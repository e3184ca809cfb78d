"""From the kernel's counters to those of a session.

A row of the counter matrix holds, per counter, the session's *total* and an *offset*, and
``total = raw + offset (mod 2^64)`` at every sweep. The offset changes only when a slot is bound to a session
(it begins at minus what the class had carried before) and when the kernel's counter restarted (it takes up
the total). The last raw value is therefore always ``total - offset``: nothing else need be kept, and what
survives of the row survives of the counter.

Every change of an offset is written before the total that follows from it. If the writer dies in between,
the next sweep computes the same total: nothing counts twice.

The kernel's discards are a 32-bit number that goes round; octets and packets have 64 bits.

Rows are ``[generation, six totals, six offsets]``, uint64, as `bng.seam.matrix` lays them out. Functions
change the rows in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

UInt64s = NDArray[np.uint64]
Bools = NDArray[np.bool_]

TOTALS = slice(1, 7)
OFFSETS = slice(7, 13)

_IN = np.array([0, 2, 4])
_OUT = np.array([1, 3, 5])
_WORD = np.uint64(1 << 32)
_HALF = np.uint64(1 << 31)
_BELOW_ZERO = np.uint64((1 << 64) - (1 << 32))
"""From here on a last raw value of the drops is negative: the writer died when it had counted a round, but
not yet what followed."""
_LINK_HEADER = np.uint64(14)
"""Octets of Ethernet header: IP octets are the kernel's octets less so many per packet."""


def bind(rows: UInt64s, slot: int, generation: int, baseline: Sequence[int]) -> None:
    """Give a slot to a new session, whose counters are 0 where the raw counters are `baseline`.

    The generation is written last: a row with another generation than the session's was not bound to it.
    """
    row = rows[slot]
    row[OFFSETS] = np.uint64(0) - np.array(baseline, np.uint64)
    row[TOTALS] = 0
    row[0] = generation


def apply(rows: UInt64s, raw: UInt64s, valid: Bools) -> None:
    """Take a sweep over: `raw` has six columns, `valid` says which of its rows were read.

    Rows beyond the length of the shorter array stay as they are.
    """
    count = min(len(rows), len(raw), len(valid))
    (slots,) = np.nonzero(valid[:count])
    if len(slots) == 0:
        return
    now = raw[slots]
    last = rows[slots, TOTALS] - rows[slots, OFFSETS]
    for columns in (_IN, _OUT):
        _fold(rows, slots, columns, last[:, columns], now[:, columns])


def apply_one(rows: UInt64s, slot: int, raw: Sequence[int]) -> tuple[int, ...]:
    """Take the final counters of a slot over and tell its totals, in the order of the columns."""
    values = np.array([raw], np.uint64)
    apply(rows[slot : slot + 1], values, np.array([True]))
    return tuple(rows[slot, TOTALS].tolist())


def restart(rows: UInt64s, slots: Sequence[int], direction: Literal["in", "out"]) -> None:
    """The raw counters of one direction of these slots begin at 0 anew: their classes were made again."""
    known = np.array([slot for slot in slots if slot < len(rows)], np.intp)[:, None]
    columns = _IN if direction == "in" else _OUT
    rows[known, columns + OFFSETS.start] = rows[known, columns + TOTALS.start]


def totals(rows: UInt64s, slot: int) -> tuple[int, ...]:
    """The six totals of a slot."""
    return tuple(rows[slot, TOTALS].tolist())


def _fold(rows: UInt64s, slots: NDArray[Any], columns: NDArray[Any], last: UInt64s, now: UInt64s) -> None:
    """One direction of the sweep: columns are octets, packets, discards."""
    total = rows[slots[:, None], columns + TOTALS.start]
    offset = rows[slots[:, None], columns + OFFSETS.start]
    wrapped = _wrapped(last, now)
    restarted = _restarted(last, now) & ~wrapped
    offset[restarted] = total[restarted]
    offset[wrapped, 2] += _WORD
    # Octets may seem to go back by a header, see _restarted.
    now = np.where(restarted[:, None], now, np.column_stack((np.maximum(now, last)[:, :2], now[:, 2])))
    rows[slots[:, None], columns + OFFSETS.start] = offset
    rows[slots[:, None], columns + TOTALS.start] = now + offset


def _carried_less(last: UInt64s, now: UInt64s) -> Bools:
    """Where packets or octets went back. The kernel counts a packet after its octets and is read without
    a lock: octets may seem to shrink by a link header per packet counted meanwhile, and not by more."""
    headers = _LINK_HEADER * (np.maximum(now[:, 1], last[:, 1]) - last[:, 1])
    fewer_octets = (now[:, 0] < last[:, 0]) & (last[:, 0] - now[:, 0] > headers)
    return np.asarray((now[:, 1] < last[:, 1]) | fewer_octets, np.bool_)


def _wrapped(last: UInt64s, now: UInt64s) -> Bools:
    """Where the kernel's 32-bit count of drops went round."""
    went_round = (last[:, 2] >= _HALF) & (last[:, 2] < _WORD) & (now[:, 2] < _HALF)
    return np.asarray(went_round & ~_carried_less(last, now), np.bool_)


def _restarted(last: UInt64s, now: UInt64s) -> Bools:
    """Which classes started to count anew."""
    fewer_drops = (now[:, 2] < last[:, 2]) & (last[:, 2] < _BELOW_ZERO)
    return np.asarray(_carried_less(last, now) | fewer_drops, np.bool_)
