"""A NETCONF client on the element's unix socket, base:1.0."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lxml import etree

from nbi.protocol.names import BASE_NS, CAP_BASE_10

_END = b"]]>]]>"
_WITHIN = 60.0


class Client:
    """One session. Use `connect`.

    Attributes:
        id: session-id.
        notifications: what came in between, content only.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.id = 0
        self.notifications: list[etree._Element] = []

    async def say(self, text: str) -> None:
        self._writer.write(text.encode() + _END)
        await self._writer.drain()

    async def message(self) -> etree._Element:
        async with asyncio.timeout(_WITHIN):
            data = await self._reader.readuntil(_END)
        return etree.fromstring(data[: -len(_END)], etree.XMLParser(huge_tree=True))

    async def rpc(self, operation: str) -> etree._Element:
        """The reply; notifications that come before it are kept."""
        await self.say(f'<rpc xmlns="{BASE_NS}" message-id="1">{operation}</rpc>')
        while etree.QName(message := await self.message()).localname == "notification":
            self.notifications.append(message[1])
        return message

    async def told(self, name: str) -> etree._Element:
        """The next notification of that name."""
        while True:
            for found in self.notifications:
                if etree.QName(found).localname == name:
                    return found
            self.notifications.append((await self.message())[1])

    def close(self) -> None:
        self._writer.close()


async def connect(socket: Path, *capabilities: str) -> Client:
    """A session whose hello has these capabilities as well."""
    client = Client(*await asyncio.open_unix_connection(str(socket), limit=1 << 26))
    offered = "".join(f"<capability>{uri}</capability>" for uri in (CAP_BASE_10, *capabilities))
    await client.say(f'<hello xmlns="{BASE_NS}"><capabilities>{offered}</capabilities></hello>')
    hello = await client.message()
    client.id = int(hello.findtext(f"{{{BASE_NS}}}session-id") or 0)
    return client


def error_tags(reply: etree._Element) -> list[str]:
    """error-tag of each rpc-error of a reply."""
    return [found.text or "" for found in reply.iter(f"{{{BASE_NS}}}error-tag")]
