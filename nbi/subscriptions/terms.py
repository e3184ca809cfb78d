"""What a subscription was asked for with. Times are nanoseconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbi.protocol.event_filter import EventFilter
from yang.query import Selection


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as the state of a subscription shows it; at most one of these is given.

    Attributes:
        name: of a configured filter, whose expression is `xpath`.
        subtree: the children of the filter element as XML, not in any element.
        xpath: with module names as prefixes.
    """

    name: str | None = None
    subtree: str | None = None
    xpath: str | None = None


@dataclass(frozen=True, slots=True)
class EventTerms:
    """Of a subscription to a stream of events.

    Attributes:
        wanted: the filter, or None for everything.
        start: replay from here; None for no replay.
        stop: end here; None for no end.
    """

    wanted: EventFilter | None = None
    start: int | None = None
    stop: int | None = None
    filter: Filter = field(default_factory=Filter)


@dataclass(frozen=True, slots=True)
class PeriodicTerms:
    """Updates at regular intervals.

    Attributes:
        period: hundredths of a second.
        anchor: one of the moments of updates; None: the first one is at once.
    """

    period: int
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class OnChangeTerms:
    """Updates when something changed.

    Attributes:
        dampening: hundredths of a second between two updates at least.
        sync: whether everything is sent at the start.
        excluded: operations that are not told of.
    """

    dampening: int = 0
    sync: bool = True
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PushTerms:
    """Of a subscription to a datastore.

    Attributes:
        datastore: ``running`` or ``operational``.
        selection: what of it.
    """

    datastore: str
    selection: Selection
    trigger: PeriodicTerms | OnChangeTerms
    stop: int | None = None
    filter: Filter = field(default_factory=Filter)


Terms = EventTerms | PushTerms
