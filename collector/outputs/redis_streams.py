"""Redis Streams: the stream `bng_events` of Aether's predecessor."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import orjson

from collector.outputs.interface import Displaced, Message, Output, Pace, Unavailable

ADD = """
local at = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if at ~= ARGV[2] then return {0, at} end
for i = 5, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', unpack(cjson.decode(ARGV[i])))
end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
return {1, ARGV[3]}
"""
"""Entries and position in one step: Redis runs a script alone, and persists and replicates its effects whole.

Ids are Redis's own ('*'): one stream holds the events of all BNGs, whose numbers do not rise together.
"""

TIMEOUT = 5.0
"""Seconds until a silent Redis counts as away."""


class RedisStreams:
    """A stream and, beside it, a hash of positions: `{STREAM}:positions`, in the same slot of a cluster."""

    def __init__(self, name: str, url: str, stream: str, depth: int, pace: Pace) -> None:
        self.name, self.stream, self.depth, self.pace = name, stream, depth, pace
        self.hash = f"{{{stream}}}:positions"
        self._url = url
        self._client: Any = None
        self._add: Any = None

    async def positions(self, bng_ids: Collection[str]) -> dict[str, int | None]:
        if not bng_ids:
            return {}
        found = await self._do(lambda client: client.hmget(self.hash, list(bng_ids)))
        return {
            bng_id: None if text is None else int(text) for bng_id, text in zip(bng_ids, found, strict=True)
        }

    async def publish(
        self, bng_id: str, after: int | None, upto: int | None, messages: Sequence[Message]
    ) -> None:
        entries = [orjson.dumps(list(itertools.chain(*message.items()))) for message in messages]
        done, at = await self._do(
            lambda _: self._add(
                keys=[self.stream, self.hash],
                args=[
                    bng_id,
                    "" if after is None else after,
                    "" if upto is None else upto,
                    self.depth,
                    *entries,
                ],
            )
        )
        if not done:
            raise Displaced(int(at) if at else None)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                await client.aclose()
            except Exception:  # it is gone either way
                return

    async def _do(self, command: Callable[[Any], Any]) -> Any:
        import redis.asyncio as redis  # only who uses it pays for it

        if self._client is None:
            self._client = redis.from_url(
                self._url,
                protocol=2,  # the newer one asks for a command that Redis 5 does not have
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                decode_responses=True,
            )
            self._add = self._client.register_script(ADD)
        try:
            # the script may be sent again after a break: then it is displaced, not doubled
            async with asyncio.timeout(4 * TIMEOUT):
                return await command(self._client)
        except (redis.RedisError, OSError, TimeoutError) as error:
            await self.close()
            raise Unavailable(str(error) or type(error).__name__) from None


def parse(name: str, settings: dict[str, Any]) -> Callable[[], Output]:
    """Check the settings of an output. Raises ValueError."""
    unknown = settings.keys() - {"url", "stream", "max_length", "interim", "health"}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    url, stream = settings.get("url"), settings.get("stream", "bng_events")
    if not isinstance(url, str) or not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("'url' must begin with redis://, rediss:// or unix://")
    from redis.asyncio.connection import parse_url

    try:
        parse_url(url)
    except ValueError as error:
        raise ValueError(f"'url': {error}") from None
    if not isinstance(stream, str) or not stream or "{" in stream or "}" in stream:
        raise ValueError("'stream' must be a name without braces")

    def number(key: str, default: float, low: float, high: float) -> float:
        value = settings.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"'{key}' must be a number from {low:g} to {high:g}, not {value!r}")
        return value

    most = int(number("max_length", 1_000_000, 100, 1e9))
    pace = Pace(number("interim", 30, 0, 3600), number("health", 5, 0, 3600))
    return lambda: RedisStreams(name, url, stream, most, pace)
