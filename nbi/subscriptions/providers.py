"""State of streams (RFC 5277 and RFC 8639) and of subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Final

from nbi.protocol.notification import event_time
from nbi.subscriptions.events import STREAM, log_times
from nbi.subscriptions.registry import Registry
from yang.provider import Keys, Record, StateProvider

_DESCRIPTION: Final = "All notifications of this server."


class StreamsProvider:
    """A container with the list of the one stream.

    Args:
        path: of the container.
        stream: makes the entry.
    """

    def __init__(self, path: str, stream: Callable[[], Record]) -> None:
        self._path = path
        self._stream = stream

    @property
    def path(self) -> str:
        """See `StateProvider`."""
        return self._path

    def get(self, keys: Keys) -> Record | None:
        """The container."""
        return None if keys else SimpleNamespace(stream=[self._stream()])

    def iter(self) -> Iterable[Record]:
        """The one record."""
        return (SimpleNamespace(stream=[self._stream()]),)


class SubscriptionsProvider:
    """``subscriptions/subscription`` of ietf-subscribed-notifications."""

    path = "/ietf-subscribed-notifications:subscriptions/subscription"

    def __init__(self, registry: Registry) -> None:
        self._subscriptions = registry.subscriptions

    def get(self, keys: Keys) -> Record | None:
        """The subscription with this identifier."""
        subscription = self._subscriptions.get(int(keys[0]))
        return None if subscription is None else subscription.record()

    def iter(self) -> Iterable[Record]:
        """All subscriptions, oldest first."""
        for subscription in tuple(self._subscriptions.values()):
            yield subscription.record()


def subscription_providers(registry: Registry) -> list[StateProvider]:
    """The providers of everything about notifications."""

    def times() -> tuple[str | None, str | None]:
        created, aged = (None, None) if registry.replay is None else log_times(registry.replay)
        return _text(created), _text(aged)

    def netconf_stream() -> Record:
        created, aged = times()
        return SimpleNamespace(
            name=STREAM,
            description=_DESCRIPTION,
            replaySupport=registry.replay is not None,
            replayLogCreationTime=created,
            replayLogAgedTime=aged,
        )

    def subscribed_stream() -> Record:
        created, aged = times()
        return SimpleNamespace(
            name=STREAM,
            description=_DESCRIPTION,
            replay_support=True if created is not None else None,
            replay_log_creation_time=created,
            replay_log_aged_time=aged,
        )

    return [
        StreamsProvider("/nc-notifications:netconf/streams", netconf_stream),
        StreamsProvider("/ietf-subscribed-notifications:streams", subscribed_stream),
        SubscriptionsProvider(registry),
    ]


def _text(time_ns: int | None) -> str | None:
    return None if time_ns is None else event_time(time_ns)
