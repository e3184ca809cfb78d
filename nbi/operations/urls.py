"""Configurations in files (RFC 6241 section 8.8), for copy-config, edit-config, validate and delete-config.

A file holds what its writer may read, and whoever uses it may do with it what he may do with a ``<config>``
that he sends himself. To replace a file one needs the right to delete-config.
"""

from __future__ import annotations

import asyncio

from lxml import etree

from nbi.files import ConfigFiles
from nbi.operations.arguments import Arguments, Source
from nbi.operations.context import Context
from nbi.protocol.errors import RpcError, bad_element
from nbi.protocol.names import BASE_NS, qualified
from nbi.protocol.xml import MalformedXml, parse, serialize
from yang.query.plan import WithDefaults

CONFIG = qualified(BASE_NS, "config")


def files_of(context: Context) -> ConfigFiles:
    """The folder of this server. Raises RpcError: ``operation-not-supported`` when it has none."""
    if context.files is None:
        raise RpcError("operation-not-supported", "this server has no :url capability")
    return context.files


async def resolve(context: Context, source: Source) -> str | etree._Element:
    """A source as name of a datastore or ``config`` element: that of the file, where it is a url."""
    return await read(context, source.url) if source.url is not None else source.given


async def read(context: Context, url: str) -> etree._Element:
    """The ``config`` element in a file.

    Raises:
        RpcError: no such file, or it is no configuration (``operation-failed``).
    """
    files = files_of(context)
    name = files.name_of(url)
    content = await asyncio.to_thread(files.read, name)
    try:
        root = await asyncio.to_thread(parse, content)
    except MalformedXml as error:
        raise RpcError("operation-failed", f"{name} is no configuration: {error}", "application") from None
    if root.tag != CONFIG:
        raise RpcError(
            "operation-failed",
            f"{name} is no configuration: its root is not <config> of NETCONF's namespace",
            "application",
        )
    return root


async def edit_content(context: Context, arguments: Arguments) -> etree._Element:
    """What an edit holds: its ``config``, or that of the file that its ``url`` names.

    Raises:
        RpcError: both are given (``bad-element``) or none (``missing-element``).
    """
    url = arguments.text("url")
    if url is None:
        return arguments.required("config")
    if arguments.element("config") is not None:
        raise bad_element("url", "only one of <config> and <url> can be given")
    return await read(context, url)


async def write(context: Context, url: str, source: Source, with_defaults: WithDefaults) -> None:
    """Write a source into a file; of a datastore only what the user may read."""
    files = files_of(context)
    name = files.name_of(url)
    if source.url is not None and files.name_of(source.url) == name:
        raise RpcError("invalid-value", "source and target are the same", info={"bad-element": "url"})
    if await asyncio.to_thread(files.exists, name):
        # replacing is deleting as well
        context.tree.check_exec("/ietf-netconf:delete-config", context.user)
    given = await resolve(context, source)
    content: list[bytes]
    if isinstance(given, str):
        content = [f'<config xmlns="{BASE_NS}">'.encode()]
        for part in await context.tree.read(
            context.tree.select_all(),
            context.user,
            content="config",
            source=given,
            with_defaults=with_defaults,
            session=context.session.id,
        ):
            content.append(part)
            await asyncio.sleep(0)
        content.append(b"</config>")
    else:
        await context.tree.datastores.parse(given)
        content = [serialize(given)]
    await asyncio.to_thread(files.write, name, content, context.user.name)


async def delete(context: Context, url: str) -> None:
    """Delete a file."""
    files = files_of(context)
    await asyncio.to_thread(files.delete, files.name_of(url))
