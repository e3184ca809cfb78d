"""Records: the objects that the servers read, one attribute per node of the model (`yang.provider`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bng.seam.clock import date_and_time

Event = Mapping[str, Any]


class AccessLine:
    """aether-types:access-line."""

    __slots__ = ("circuit_id", "remote_id")

    def __init__(self, line: Mapping[str, str]) -> None:
        self.remote_id = line.get("remote-id")
        self.circuit_id = line.get("circuit-id")


class Counters:
    """aether-subscriber:counters; `tick` is None in an event."""

    __slots__ = (
        "in_discards",
        "in_octets",
        "in_packets",
        "out_discards",
        "out_octets",
        "out_packets",
        "tick",
    )

    def __init__(self, values: list[int], tick: int | None) -> None:
        (
            self.in_octets,
            self.out_octets,
            self.in_packets,
            self.out_packets,
            self.in_discards,
            self.out_discards,
        ) = values
        self.tick = tick


class Translation:
    """aether-subscriber:translation/nat."""

    __slots__ = ("address", "port_first", "port_last")

    def __init__(self, nat: Mapping[str, Any]) -> None:
        self.address = nat["address"]
        self.port_first = nat["port-first"]
        self.port_last = nat["port-last"]


class RouterOfEvent:
    """aether-events:events/event/router."""

    __slots__ = ("address", "configured", "name", "reachability", "remote_id")

    def __init__(self, router: Mapping[str, Any]) -> None:
        self.name = router.get("name")
        self.remote_id = router.get("remote-id")
        self.address = router.get("address")
        self.reachability = router.get("reachability")
        self.configured = router.get("configured")


class EventRecord:
    """An event of the journal; the content of the notification that it becomes is part of it.

    `time_ns` is the event's time in nanoseconds since the epoch.
    """

    __slots__ = (
        "access_line",
        "counters",
        "download_rate",
        "instance_id",
        "interface",
        "ip_address",
        "lease_expiry",
        "mac_address",
        "nas_port_id",
        "nat",
        "new_access_line",
        "profile",
        "reason",
        "router",
        "seq",
        "session_id",
        "started",
        "status",
        "terminate_cause",
        "time",
        "time_ns",
        "type",
        "upload_rate",
        "username",
    )

    def __init__(self, event: Event) -> None:
        self.seq: int = event["seq"]
        self.time: str = event["time"]
        self.time_ns: int = event["_time_ns"]
        self.instance_id: str = event["instance-id"]
        self.type: str = event["type"]
        get = event.get
        self.session_id = get("session-id")
        line = get("access-line")
        self.access_line = None if line is None else AccessLine(line)
        new_line = get("new-access-line")
        self.new_access_line = None if new_line is None else AccessLine(new_line)
        self.username = get("username")
        self.mac_address = get("mac-address")
        self.ip_address = get("ip-address")
        self.interface = get("interface")
        self.nas_port_id = get("nas-port-id")
        self.status = get("status")
        self.profile = get("profile")
        self.download_rate = get("download-rate")
        self.upload_rate = get("upload-rate")
        nat = get("nat")
        self.nat = None if nat is None else Translation(nat)
        self.started = get("started")
        self.lease_expiry = get("lease-expiry")
        self.terminate_cause = get("terminate-cause")
        self.reason = get("reason")
        counters = get("counters")
        self.counters = None if counters is None else _final_counters(counters)
        router = get("router")
        self.router = None if router is None else RouterOfEvent(router)


def _final_counters(counters: Mapping[str, int]) -> Counters:
    names = ("in-octets", "out-octets", "in-packets", "out-packets", "in-discards", "out-discards")
    return Counters([counters.get(name, 0) for name in names], None)


class SessionRecord:
    """A session. Its counters are read from the matrix whenever they are asked for.

    `slot` and `generation` say which row of the matrix; `time_ns` when it was last changed.
    """

    __slots__ = (
        "_counters",
        "access_line",
        "authorization",
        "download_rate",
        "generation",
        "id",
        "idle_timeout",
        "interface",
        "ip_address",
        "last_change",
        "lease_expiry",
        "mac_address",
        "nas_port_id",
        "nat",
        "profile",
        "routed",
        "session_timeout",
        "slot",
        "started",
        "status",
        "time_ns",
        "upload_rate",
        "username",
    )

    def __init__(self, event: Event, counters: Any) -> None:
        get = event.get
        self.id: str = event["session-id"]
        self.access_line = AccessLine(event["access-line"])
        self.username = get("username")
        self.mac_address = get("mac-address")
        self.ip_address = get("ip-address")
        self.interface = get("interface")
        self.nas_port_id = get("nas-port-id")
        self.status: str = get("status", "")
        self.profile: str | None = get("profile")
        self.authorization = get("_authorization")
        self.download_rate = get("download-rate")
        self.upload_rate = get("upload-rate")
        nat = get("nat")
        self.nat = None if nat is None else Translation(nat)
        self.started = get("started")
        self.lease_expiry = get("lease-expiry")
        self.routed: bool = get("_routed", False)
        self.session_timeout: int | None = get("_session_timeout")
        self.idle_timeout: int | None = get("_idle_timeout")
        changed = get("_last_change")
        self.last_change = None if changed is None else date_and_time(changed)
        self.slot: int = get("_slot", -1)
        self.generation: int = get("_generation", 0)
        self.time_ns: int = event["_time_ns"]
        self._counters = counters

    @property
    def counters(self) -> Counters:
        """As of the last tick; zero before the data plane counts for this session."""
        counters: Counters = self._counters.of(self.slot, self.generation)
        return counters
