"""What the dynamic authorization server is told: `aether-bng:bng/aaa/dynamic-authorization`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CoaClient:
    """Who may send requests.

    Attributes:
        name, address: as configured; dotted text.
        secret: shared secret.
        require_message_authenticator: requests without one are dropped.
    """

    name: str
    address: str
    secret: bytes
    require_message_authenticator: bool = True


@dataclass(frozen=True, slots=True)
class CoaSettings:
    """Configuration of the server.

    Attributes:
        enabled: False: it does not listen.
        port: UDP port.
        event_timestamp_window: seconds that an Event-Timestamp may lie in the past or in the future.
        require_event_timestamp: requests without one are dropped.
        rate_limit: requests per second of one client, and its burst.
        clients: no two of them have the same address.
    """

    enabled: bool = True
    port: int = 3799
    event_timestamp_window: int = 300
    require_event_timestamp: bool = False
    rate_limit: int = 50
    clients: tuple[CoaClient, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether there is anybody to listen for."""
        return self.enabled and bool(self.clients)


def parse(values: Mapping[str, Any]) -> CoaSettings:
    """Settings from the container's RFC 7951 form. Raises KeyError, TypeError, ValueError."""
    return CoaSettings(
        enabled=bool(values.get("enabled", True)),
        port=int(values.get("port", 3799)),
        event_timestamp_window=int(values.get("event-timestamp-window", 300)),
        require_event_timestamp=bool(values.get("require-event-timestamp", False)),
        rate_limit=int(values.get("rate-limit", 50)),
        clients=tuple(
            CoaClient(
                client["name"],
                client["address"],
                client["secret"].encode(),
                bool(client.get("require-message-authenticator", True)),
            )
            for client in values.get("client", ())
        ),
    )
