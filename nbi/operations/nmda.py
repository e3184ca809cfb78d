"""What the operations of NMDA share: datastores and origins as identities (RFC 8342, RFC 8526)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments, leaf_text, reject_attributes
from nbi.protocol.errors import invalid_value
from nbi.protocol.names import DATASTORES_NS, NMDA_NS, ORIGIN_NS, qualified

DATASTORE = qualified(NMDA_NS, "datastore")


def read_datastore(arguments: Arguments) -> str:
    """Name of the datastore: ``running``, ``candidate``, ``operational`` …

    Raises:
        RpcError: missing-element; invalid-value when it is no identity of ietf-datastores.
    """
    return identity(arguments.required("datastore"), DATASTORES_NS)


def target_datastore(arguments: Arguments, name: str) -> str | None:
    """The datastore that the NMDA augmentation of ``source`` or ``target`` names; None when it is not used.

    Raises:
        RpcError: invalid-value when it is no identity of ietf-datastores.
    """
    parent = arguments.required(name)
    if len(parent) != 1 or str(parent[0].tag) != DATASTORE:
        return None
    reject_attributes(parent)
    return identity(parent[0], DATASTORES_NS)


def configuration_target(arguments: Arguments) -> str:
    """The datastore in ``target``, as RFC 6241 names it or RFC 8526 does; of the latter only a writable one.

    Raises:
        RpcError: whatever `Arguments.datastore` raises; invalid-value for what cannot be locked.
    """
    datastore = target_datastore(arguments, "target")
    if datastore is None:
        return arguments.datastore("target")
    if datastore in ("operational", "intended"):
        raise invalid_value("datastore", f"{datastore} is not a datastore that can be locked")
    return datastore


def identity(element: etree._Element, namespace: str) -> str:
    """Name of the identity of a namespace that an element holds.

    Raises:
        RpcError: invalid-value.
    """
    prefix, _, name = leaf_text(element).rpartition(":")
    if element.nsmap.get(prefix or None) != namespace:
        what = "ietf-origin" if namespace == ORIGIN_NS else "ietf-datastores"
        local = etree.QName(element).localname
        raise invalid_value(local, f"<{local}> must be an identity of {what}")
    return name
