"""How fast this machine decodes and this database takes samples: `aether collector bench`."""

from __future__ import annotations

import time
from io import BytesIO
from typing import Any

import asyncpg

from collector import copyformat, decode, template
from collector.schema import COUNTERS
from telemetry.protocol import gnmi_pb2

PER_MESSAGE = 200
TABLE = "CREATE TEMP TABLE bench (LIKE session_samples)"


def message(first: int, tick: int) -> bytes:
    """Samples of PER_MESSAGE sessions, laid out as an element's."""
    updates = []
    for number in range(first, first + PER_MESSAGE):
        for at, name in enumerate(("tick", *COUNTERS)):
            elements = [
                gnmi_pb2.PathElem(name="session", key={"id": f"{number:016x}"}),
                gnmi_pb2.PathElem(name="counters"),
                gnmi_pb2.PathElem(name=name.replace("_", "-")),
            ]
            value = gnmi_pb2.TypedValue(uint_val=(1 << 40) + tick * 1000 + at)
            updates.append(gnmi_pb2.Update(path=gnmi_pb2.Path(elem=elements), val=value))
    prefix = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name="aether-subscriber:sessions")])
    notification = gnmi_pb2.Notification(timestamp=time.time_ns(), prefix=prefix, update=updates)
    octets: bytes = gnmi_pb2.SubscribeResponse(update=notification).SerializeToString()
    return octets


async def bench(database: str, sessions: int = 10_000, seconds: float = 5.0) -> dict[str, Any]:
    """Rows per second into a temporary table: the collector's way, and ordinary decoding with ordinary COPY.

    A temporary table is not logged and not synchronised: what the disk costs comes on top. Raises what
    asyncpg does.
    """
    connection = await asyncpg.connect(database, timeout=10)
    try:
        await connection.execute(TABLE)
        messages = [message(first, 1) for first in range(0, sessions, PER_MESSAGE)]
        reader, encoder = template.Reader(), copyformat.SampleEncoder("bench")
        for octets in messages:
            reader.read(octets)

        async def fast() -> int:
            parts = [samples for octets in messages if (samples := reader.read(octets))]
            await connection.copy_to_table(
                "bench", source=BytesIO(encoder.long(parts)), columns=copyformat.SAMPLE, format="binary"
            )
            return sum(len(part.sessions) for part in parts)

        async def ordinary() -> int:
            updates = [gnmi_pb2.SubscribeResponse.FromString(octets).update for octets in messages]
            records = [
                (decode.stamp(update.timestamp), "bench", session, tick, *values)
                for update in updates
                for session, tick, values in decode.samples(update)
            ]
            await connection.copy_records_to_table("bench", columns=copyformat.SAMPLE, records=records)
            return len(records)

        rates = []
        for way in (fast, ordinary):
            began, rows = time.monotonic(), 0
            while time.monotonic() - began < seconds:
                rows += await way()
            rates.append(rows / (time.monotonic() - began))
            await connection.execute("TRUNCATE bench")
        return {
            "rows_per_second": round(rates[0]),
            "ordinary_rows_per_second": round(rates[1]),
            "ratio": round(rates[0] / rates[1], 2),
            "sessions": len(messages) * PER_MESSAGE,
        }
    finally:
        await connection.close()
