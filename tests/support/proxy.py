"""A wire that may be cut: `python -m tests.support.proxy LISTEN PORT [NAMESPACE]` passes TCP on to a port of
127.0.0.1, there of a network namespace, if one is named.

Stopped (SIGSTOP) it is a network where packets vanish, killed it is one that resets connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from tests.support.netns import enter


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def main(listen: int, port: int, namespace: str = "") -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", listen)
    if namespace:  # what listens stays where it was made
        enter(namespace)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
