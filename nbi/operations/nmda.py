"""What get-data and edit-data share: datastores as identities (RFC 8342, RFC 8526)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments, leaf_text
from nbi.protocol.errors import invalid_value
from nbi.protocol.names import DATASTORES_NS


def read_datastore(arguments: Arguments) -> str:
    """Name of the datastore: ``running``, ``candidate``, ``operational`` …

    Raises:
        RpcError: missing-element; invalid-value when it is no identity of ietf-datastores.
    """
    element = arguments.required("datastore")
    prefix, _, name = leaf_text(element).rpartition(":")
    if _namespace(element, prefix) != DATASTORES_NS:
        raise invalid_value("datastore", "<datastore> must be an identity of ietf-datastores")
    return name


def _namespace(element: etree._Element, prefix: str) -> str | None:
    return element.nsmap.get(prefix or None)
