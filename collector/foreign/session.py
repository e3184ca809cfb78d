"""One target of others, as long as this collector owns it: its subscriptions into `foreign_samples`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg

from collector import gnmi, link, metrics, writer
from collector.budget import WINDOW_MOST, Budget
from collector.config import CollectorConfig
from collector.foreign import decode
from collector.foreign.config import ForeignTarget, Subscription, parse_path
from collector.metrics import FOREIGN
from collector.store import Store
from telemetry.protocol import gnmi_pb2

MOST_MESSAGES = 256
REPEAT_DEFAULT = 10.0
"""Seconds between two runs of a subscription of mode once or poll that names no interval."""

COLUMNS = ("time", "target", "subscription", "path", "kind", "number", "value")


def path(text: str) -> gnmi_pb2.Path:
    """A gNMI path of text."""
    origin, elements = parse_path(text)
    return gnmi_pb2.Path(
        origin=origin, elem=[gnmi_pb2.PathElem(name=name, key=keys) for name, keys in elements]
    )


def request(asked: Subscription) -> gnmi_pb2.SubscribeRequest:
    """What goes to the target. Mode poll is asked as once, again and again: what comes back is the same."""
    stream = asked.mode == "stream"
    subscriptions = [
        gnmi_pb2.Subscription(
            path=path(text),
            mode=asked.stream_mode.upper().replace("-", "_") if stream else "TARGET_DEFINED",
            sample_interval=asked.sample_interval if stream and asked.stream_mode == "sample" else 0,
            heartbeat_interval=asked.heartbeat_interval if stream else 0,
            suppress_redundant=asked.suppress_redundant,
        )
        for text in asked.paths
    ]
    modes = gnmi_pb2.SubscriptionList
    made = gnmi_pb2.SubscriptionList(
        subscription=subscriptions,
        mode=modes.STREAM if stream else modes.ONCE,
        encoding=asked.encoding.upper(),
        updates_only=asked.updates_only,
    )
    if asked.prefix or asked.target:
        made.prefix.CopyFrom(path(asked.prefix))
        made.prefix.target = asked.target
    return gnmi_pb2.SubscribeRequest(subscribe=made)


class ForeignSession(link.Link):
    """Collects from one target."""

    def __init__(
        self,
        config: CollectorConfig,
        target: ForeignTarget,
        epoch: int,
        budget: Budget | None = None,
        window: int = WINDOW_MOST,
        store: Store | None = None,
    ) -> None:
        super().__init__(config, target, target.name, epoch, budget, window, store)
        self.target = target
        self._is_up = False

    async def connected(self) -> None:
        """A stream per subscription. A target is up when it has answered the first."""
        client = self.client()
        self._is_up = False
        try:
            async with asyncio.TaskGroup() as group:
                for asked in self.target.subscriptions:
                    group.create_task(self._collect(client, asked))
        finally:
            await client.close()

    async def _collect(self, client: gnmi.Client, asked: Subscription) -> None:
        while True:
            batches = client.notifications(request(asked), most=MOST_MESSAGES, quiet=0.2)
            await self._write(asked, batches)
            if asked.mode == "stream":
                raise ConnectionError(f"the target ended the stream of subscription {asked.name}")
            await asyncio.sleep(asked.sample_interval / 1e9 or REPEAT_DEFAULT)

    async def _write(
        self, asked: Subscription, batches: AsyncIterator[Sequence[gnmi_pb2.Notification]]
    ) -> None:
        async for batch in batches:
            if not self._is_up:
                self._is_up = True
                self.log.info("collector.connected", address=self.target.address)
                await self.say(True, None)
            now = await self.store.clock.now()
            records = [
                (row.time, self.name, asked.name, *row[1:])
                for notification in batch
                for row in decode.rows(notification, now)
            ]
            async with self.store.borrow() as connection:
                with metrics.writing("foreign"):
                    await write(connection, (self.name, self.epoch), records)
            FOREIGN.labels(self.name).inc(len(records))


async def write(
    connection: asyncpg.Connection, owner: tuple[str, int], records: Sequence[tuple[object, ...]]
) -> None:
    """Append rows. Raises FencedError."""
    async with connection.transaction():
        await writer.fence(
            connection,
            "UPDATE cursors SET sampled_at = now() WHERE bng_id = $1 AND epoch = $2",
            *owner,
        )
        await connection.copy_records_to_table("foreign_samples", columns=COLUMNS, records=records)
