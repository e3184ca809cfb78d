"""Samples as PostgreSQL's binary COPY format. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from collector import decode, schema
from collector.template import SESSION_ID, Samples

SAMPLE = ("time", "bng_id", "session_id", "tick", *schema.COUNTERS)

STAGED_COUNTERS = ("time", "session_id", "tick", *schema.COUNTERS)

OCTETS_PER_ROW = 256
"""Memory of a sample on its way: its values, and its rows for COPY."""


class SampleEncoder:
    """Builds PostgreSQL's binary COPY format of samples with numpy: all rows have one length.

    A row is time, bng_id, session_id, tick and the six counters (`session_samples`), or without bng_id
    (`staged_counters`).
    """

    HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    TRAILER = b"\xff\xff"
    EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

    def __init__(self, bng_id: str) -> None:
        name = bng_id.encode()
        number = [("length", ">i4"), ("value", ">i8")]
        head = [("fields", ">i2"), ("time", number)]
        bng = [("bng_length", ">i4"), ("bng", f"S{len(name)}")]
        tail = [("id_length", ">i4"), ("id", SESSION_ID), ("numbers", number, (1 + len(schema.COUNTERS),))]
        self._short = self._blank([*head, *tail], 3)
        self._long = self._blank([*head, *bng, *tail], 4)
        self._long["bng_length"], self._long["bng"] = len(name), name

    @staticmethod
    def _blank(columns: list[Any], fields: int) -> np.ndarray:
        """A row without what differs between rows."""
        row = np.zeros(1, np.dtype(columns))
        row["fields"] = fields + len(schema.COUNTERS)
        row["id_length"], row["time"]["length"], row["numbers"]["length"] = 16, 8, 8
        return row

    def long(self, ticks: Sequence[Samples]) -> bytes:
        """What to COPY into `session_samples`."""
        return self._encode(self._long, ticks)

    def short(self, ticks: Sequence[Samples]) -> bytes:
        """What to COPY into `staged_counters`."""
        return self._encode(self._short, ticks)

    def _encode(self, blank: np.ndarray, ticks: Sequence[Samples]) -> bytes:
        pieces = []
        for samples in ticks:
            rows = np.repeat(blank, len(samples.sessions))
            rows["id"], rows["numbers"]["value"] = samples.sessions, samples.values
            rows["time"]["value"] = (decode.stamp(samples.time_ns) - self.EPOCH) // timedelta(microseconds=1)
            pieces.append(rows.tobytes())
        return b"".join((self.HEADER, *pieces, self.TRAILER))
