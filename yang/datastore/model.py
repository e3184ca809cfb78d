"""What callers of the datastores hand in and get back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from yang.access import User
from yang.path import DataPath

Datastore = Literal["running", "candidate", "startup"]


@dataclass(frozen=True, slots=True)
class Session:
    """A management session as the datastores know it.

    Attributes:
        id: NETCONF session-id, 1 … 2³²-1; unique among live sessions.
        user: who.
        origin: transport and peer, for the history: ``netconf 192.0.2.1``.
    """

    id: int
    user: User
    origin: str = "netconf"


@dataclass(frozen=True, slots=True)
class PathOperation:
    """One edit of a path.

    Attributes:
        op: ``delete`` (what is not there is not an error), ``replace``, ``update`` (merge), ``union`` (gNMI's
            union_replace: all of these together replace what is at their paths), or NETCONF's ``create`` and
            ``remove``.
        path: exact path of a container, list entry, leaf, leaf-list or leaf-list entry; the root, or its
            nodes of one module (`yang.path.DataPath.of_module`); for delete also a list (all its entries), or
            one with wildcards, and then what it leads to.
        value: RFC 7951 value; None for delete.
    """

    op: Literal["delete", "remove", "union", "replace", "update", "create"]
    path: DataPath
    value: Any = None


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit did.

    Attributes:
        number: of the commit, 1, 2, 3 … over the life of the state folder; 0 when nothing changed.
        changed: instance-identifiers, as `yang.provider.ConfigDiff.changed`.
    """

    number: int
    changed: Sequence[str] = field(default=())
