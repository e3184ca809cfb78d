"""get: configuration and state (RFC 6241 section 7.7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.filters import WITH_DEFAULTS, read_filter, read_with_defaults


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Everything that the filter selects and the user may read."""
    arguments = Arguments(operation, "filter", WITH_DEFAULTS)
    selection = read_filter(arguments.element("filter"), context.tree)
    await context.tree.prepare(selection)
    slices = await context.tree.read(
        selection, context.user, content="all", with_defaults=read_with_defaults(arguments)
    )
    return data_element(slices)


def data_element(slices: Iterable[bytes], start: bytes = b"<data>") -> Iterator[bytes]:
    """The slices inside a ``data`` element, by default one of NETCONF's namespace."""
    # The first slice is made before <data> is given out: its errors can still be reported.
    rest = iter(slices)
    first = next(rest, b"")
    yield start
    yield first
    yield from rest
    yield b"</data>"
