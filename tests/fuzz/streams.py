"""A stream that holds an input, for parsers that read from one."""

from __future__ import annotations

import asyncio
from typing import Any

JSON_TOKENS = [b"null", b"[]", b"{}", b'"x"', b"-1", b"1e9", b"18446744073709551615"]


class Writer:
    """Takes what is written, and lets no coroutine wait."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.transport = self

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        return

    def close(self) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return 0


class Streams:
    """A loop that is always the same, and streams that hold an input and end with it."""

    def __init__(self) -> None:
        self.runner: asyncio.Runner | None = None

    def run(self, coroutine: Any) -> Any:
        if self.runner is None:
            self.runner = asyncio.Runner()
        return self.runner.run(coroutine)

    @staticmethod
    def reader(data: bytes) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(1 << 16)
        reader.feed_data(data)
        reader.feed_eof()
        return reader
