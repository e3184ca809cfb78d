"""The seam between who owns data and who serves it.

`nbi` (NETCONF) and `telemetry` (gNMI) serve whatever is registered here and know nothing of
subscribers. An element registers *providers* of state, one *config handler*, and *operations*
(RPCs and actions); `yang.tree.Tree` joins them with the datastores.

Records
-------
A provider hands out *records*: plain objects (slots classes, dataclasses, or anything with
attributes) with one attribute per child data node of the schema node, named as the YANG node with
``-`` written ``_``. ``None`` (or a missing attribute) means that the node does not exist. Containers
are nested records, leaf-lists are sequences of values, lists are sequences of records.

Values are Python's own: ``int`` for all integer types, ``bool``, ``str`` for strings, enumerations,
addresses, date-and-time (RFC 3339, already formatted) and identityrefs (``module:name``), ``bytes`` for
binary, ``decimal.Decimal`` for decimal64, for anydata the text of its XML element. Text that came from the
network has been cleaned before it got here: it holds no character that XML 1.0 forbids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

Record = Any
Keys = tuple[Any, ...]
"""Values of a list's keys, in the order of the YANG key statement, as the record holds them."""


class OperationError(Exception):
    """An error that a NETCONF client sees as rpc-error and a gNMI client as a status.

    Attributes:
        tag: an error-tag of RFC 6241 appendix A (``invalid-value``, ``data-missing``, ``in-use`` …).
        message: a sentence for a person: what is wrong and what to change.
        path: data path of what is at fault, RFC 7951 instance-identifier form, or None.
        app_tag: error-app-tag, or None.
        error_type: ``transport``, ``rpc``, ``protocol`` or ``application``.
        info: further error-info elements, name → text.
        operation: which of several operations of a request it is about, if that is known; from 0.
    """

    def __init__(
        self,
        tag: str,
        message: str,
        *,
        path: str | None = None,
        app_tag: str | None = None,
        error_type: str = "application",
        info: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.tag = tag
        self.message = message
        self.path = path
        self.app_tag = app_tag
        self.error_type = error_type
        self.info = dict(info or {})
        self.operation: int | None = None


class OperationErrors(OperationError):
    """Several errors of one request, each of which a NETCONF client sees as an rpc-error.

    It can be treated as the first of them; `errors` has all.
    """

    def __init__(self, errors: Sequence[OperationError]) -> None:
        first = errors[0]
        super().__init__(
            first.tag,
            first.message,
            path=first.path,
            app_tag=first.app_tag,
            error_type=first.error_type,
            info=first.info,
        )
        self.errors = tuple(errors)


@dataclass(slots=True)
class Columns:
    """A dense numeric view of the instances of a list: the fast path of gNMI sampling.

    Attributes:
        keys: keys of row 0, 1, 2 …
        leaves: for each column, the path of its leaf relative to the list entry, as YANG names:
            ``("counters", "in-octets")``.
        values: numpy uint64 array, shape (len(keys), len(leaves)); the reader may keep it.
        membership: changes whenever keys differs from what the last call returned; equal numbers
            mean equal keys in equal order.
        tick: number of the sweep that these values come from.
        time_ns: when that sweep was made, nanoseconds since the epoch.
    """

    keys: Sequence[Keys]
    leaves: Sequence[tuple[str, ...]]
    values: Any
    membership: int
    tick: int
    time_ns: int


@runtime_checkable
class StateProvider(Protocol):
    """Owner of the state (config false) below one schema node.

    ``path`` is the schema path of a container or a list, e.g. ``/aether-subscriber:sessions/session``
    or ``/aether-health:health``. Where a list holds configuration too (shaping profiles), the provider
    gives records with the state leaves only and `get` is asked for each configured entry.
    """

    @property
    def path(self) -> str: ...

    def get(self, keys: Keys) -> Record | None:
        """The record of the entry with these keys (``()`` for a container), or None. O(1)."""
        ...

    def iter(self) -> Iterable[Record]:
        """All records, in a stable order. Must tolerate that the caller pauses in between."""
        ...


@runtime_checkable
class OperationalProvider(StateProvider, Protocol):
    """A StateProvider of a list of configuration that also has entries which nobody configured (interfaces).

    Its records have the configuration leaves too, with the values in force: they are shown of what is not
    configured (RFC 8342 section 5.3), so that an entry is complete. Lists of configuration inside of such a
    record are shown in the same way.
    """

    def absent(self, keys: Keys) -> Record | None:
        """The record of a configured entry that is not there, for which `get` has none."""
        ...


@runtime_checkable
class FetchedProvider(Protocol):
    """A StateProvider of a list whose records are elsewhere and too many to be kept here.

    A server calls `yang.tree.Tree.prepare` before it reads, which has the entries fetched that the request
    names by all of their keys; `get` then gives them, `iter` gives nothing.
    """

    async def fetch(self, keys: Keys) -> None:
        """Have the record of an entry ready for `get`. Raises OperationError."""
        ...


@runtime_checkable
class ColumnProvider(Protocol):
    """A StateProvider of a list that can also give its counters as one matrix."""

    def columns(self) -> Columns: ...


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one state record, for ON_CHANGE subscribers: what it is now (None = gone)."""

    keys: Keys
    record: Record | None
    time_ns: int


@runtime_checkable
class WatchableProvider(Protocol):
    """A StateProvider that tells what changed.

    `version` grows by at least one with every change; `changes` answers the changes after a version,
    coalesced per key, or None if that is too long ago and the reader must read everything again. After
    each change the element calls `yang.bus.Bus.state_changed(path)`.
    """

    @property
    def version(self) -> int: ...

    def changes(self, since: int) -> Sequence[Change] | None: ...


@runtime_checkable
class LogProvider(Protocol):
    """A StateProvider of an append-only list with one integer key (the event journal).

    Its ON_CHANGE subscription is a log: every entry is delivered once, in order, as an atomic
    notification with the entry's own time; the gNMI History extension and NETCONF replay read from
    it. Entries that `read` returns are durable.
    """

    @property
    def oldest(self) -> int: ...

    @property
    def newest(self) -> int: ...

    def read(self, first: int, limit: int) -> Sequence[Record]:
        """Up to `limit` records from number `first` on. Raises LookupError when first < oldest."""
        ...

    def time_of(self, record: Record) -> int:
        """Nanoseconds since the epoch; strictly increasing over the log."""
        ...

    def seek(self, time_ns: int) -> int:
        """Number of the first entry at or after this time (newest + 1 when there is none).
        Raises LookupError when entries of that time are no longer retained."""
        ...


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """What a commit changes.

    Attributes:
        changed: instance-identifiers (RFC 7951) of every node created, deleted or given another
            value; of a created or deleted subtree only its root.
        new: the whole new configuration as RFC 7951 JSON objects in Python, defaults included.
        old: the same before the commit.
    """

    changed: Sequence[str]
    new: Mapping[str, Any]
    old: Mapping[str, Any]


class ConfigHandler(Protocol):
    """Who must agree before a configuration becomes running: first all prepare, then all commit.

    When one fails to commit, it and those that have committed are asked to prepare and commit the way back.
    One that cannot (its other end is away) brings itself to running when it can.
    """

    async def prepare(self, diff: ConfigDiff) -> Any:
        """Check and reserve. Returns a token for commit or abort. Raises OperationError."""
        ...

    async def commit(self, token: Any) -> None:
        """Put it in force. Raises OperationError, with the path of what could not be: then it is committed
        nowhere."""
        ...

    async def abort(self, token: Any) -> None:
        """Forget what was prepared."""
        ...


class Operation(Protocol):
    """What carries out an RPC or an action.

    Called with the keys of the enclosing lists (``()`` for an RPC), the input as RFC 7951-like dict
    (YANG names, Python values) and the name of the user. Returns the output in the same form, or None.
    Raises OperationError.
    """

    async def __call__(self, keys: Keys, input: Mapping[str, Any], user: str) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Notification:
    """A YANG notification on its way to subscribers.

    Attributes:
        path: schema path, ``/aether-subscriber:session-start``.
        record: its content.
        time_ns: eventTime.
        seq: number in the journal; 0 for notifications that are not kept.
        keys: values of all keys around a notification that is tied to a data node.
    """

    path: str
    record: Record
    time_ns: int
    seq: int = 0
    keys: Keys = ()


@dataclass(slots=True)
class Registration:
    """All that an element brings to its servers."""

    state: list[StateProvider] = field(default_factory=list)
    config: list[ConfigHandler] = field(default_factory=list)
    operations: dict[str, Operation] = field(default_factory=dict)
    """Schema path of an RPC or action (``/aether-subscriber:sessions/session/disconnect``) → operation."""
    essential: list[str] = field(default_factory=list)
    """Top-level nodes of the configuration (``aether-bng:bng``) that only a confirmed commit may remove."""
