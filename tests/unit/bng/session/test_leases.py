"""What the machine makes of the DHCP servers' leases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bng.session import events as ev
from bng.session.leases import Verdict
from bng.session.machine import Machine
from bng.session.settings import AccessRouter, Settings, SubscriberInterface

NS = 1_000_000_000
NOW = 1_800_000_000 * NS
SETTINGS = Settings("bng-01", "bng-01", interfaces={"sub0": SubscriberInterface("10.0.0.1")})
LEASE = ev.LeaseFound(
    "node-a", "1/0/1", "sub0", "0.0.0.0", "02:00:00:00:00:01", "10.0.0.10", NOW + 3600 * NS, NOW, "192.0.2.53"
)


def holding(lease: ev.LeaseFound | None = LEASE, settings: Settings = SETTINGS) -> Machine:
    machine = Machine(settings, {}, now=NOW)
    if lease is not None:
        machine.handle(lease, NOW)
    return machine


def later(seconds: float, **changes: object) -> ev.LeaseFound:
    """The lease as it was renewed so much later."""
    assert LEASE.expires is not None
    shift = int(seconds * NS)
    return replace(LEASE, renewed=NOW + shift, expires=LEASE.expires + shift, **changes)  # type: ignore[arg-type]


OTHER_DEVICE = {"mac_address": "02:00:00:00:00:02", "ip_address": "10.0.0.11"}


@pytest.mark.parametrize(
    ("lease", "verdict"),
    [
        (LEASE, None),
        (later(4), None),
        (later(100), Verdict.RENEWED),
        (replace(LEASE, expires=None), Verdict.RENEWED),
        (replace(LEASE, expires=NOW + 600 * NS), Verdict.RENEWED),
        (replace(LEASE, expires=NOW + 600 * NS, renewed=NOW - 60 * NS), None),
        (later(1, **OTHER_DEVICE), None),
        (later(100, **OTHER_DEVICE), Verdict.REPLACED),
        (later(100, circuit_id="1/0/2", mac_address="02:00:00:00:00:02"), Verdict.DENIED),
        (later(1, circuit_id="1/0/2", mac_address="02:00:00:00:00:02"), None),
        (later(0, circuit_id="1/0/2", **OTHER_DEVICE), Verdict.RECOVERED),
        (later(-4000, circuit_id="1/0/2", **OTHER_DEVICE), None),
    ],
)
def test_verdicts_and_that_they_are_carried_out(lease: ev.LeaseFound, verdict: Verdict | None) -> None:
    machine = holding()
    assert machine.judge_lease(lease, NOW + NS) is verdict
    assert bool(machine.handle(lease, NOW + NS)) is (verdict is not None)
    if verdict is Verdict.RENEWED:
        session = machine.store.with_ip(LEASE.ip_address)
        assert session is not None
        assert (session.lease_expiry_ns, session.renewed_ns) == (lease.expires, lease.renewed)
        assert machine.judge_lease(lease, NOW + NS) is None


def test_infinite_on_both_sides() -> None:
    endless = replace(LEASE, expires=None)
    assert holding(endless).judge_lease(endless, NOW) is None


def test_who_may_not_start_is_not_recovered() -> None:
    full = holding(None, replace(SETTINGS, max_sessions=0))
    assert full.judge_lease(LEASE, NOW) is None
    down = replace(SETTINGS, routers={"node-a": AccessRouter(in_service=False)})
    assert holding(None, down).judge_lease(LEASE, NOW) is None
    assert holding(None).judge_lease(LEASE, NOW) is Verdict.RECOVERED


def test_a_lease_passes_no_limit_that_kept_its_ack_away() -> None:
    """The ACKs of many that asked at once come together: the server has leases for one too many."""
    machine = holding(settings=replace(SETTINGS, max_sessions_per_access_router=1))
    other = later(100, circuit_id="1/0/2", **OTHER_DEVICE)
    assert machine.judge_lease(other, NOW + NS) is None
    elsewhere = replace(other, remote_id="node-b")
    assert machine.judge_lease(elsewhere, NOW + NS) is Verdict.RECOVERED


def test_a_lease_is_no_second_device_where_none_may_be() -> None:
    machine = holding(settings=replace(SETTINGS, second_device="deny"))
    assert machine.judge_lease(later(100, **OTHER_DEVICE), NOW + NS) is None
    assert machine.judge_lease(later(100, ip_address="10.0.0.11"), NOW + NS) is Verdict.REPLACED


def test_while_another_session_is_ending_nothing_is_told() -> None:
    machine = holding()
    session = machine.store.with_ip(LEASE.ip_address)
    assert session is not None
    machine.handle(ev.RadiusReject(session.id, session.attempt), NOW)
    session.enforcing = True  # its stop is under way
    machine.handle(ev.Disconnect(1, session.id), NOW)
    assert machine.judge_lease(later(100), NOW) is None


@pytest.mark.parametrize(("policy", "verdict"), [("deny", Verdict.DENIED), ("move", Verdict.RECOVERED)])
def test_a_lease_moves_what_a_session_has_only_where_that_is_allowed(policy: str, verdict: Verdict) -> None:
    machine = holding(settings=replace(SETTINGS, port_move=policy))
    session = machine.store.with_ip(LEASE.ip_address)
    assert session is not None
    assert machine.judge_lease(later(100, circuit_id="1/0/2"), NOW + NS) is verdict


def test_gone_only_if_not_renewed_since() -> None:
    machine = holding()
    session = machine.store.with_ip(LEASE.ip_address)
    assert session is not None
    assert machine.handle(ev.LeaseGone(session.id, NOW - 1, "gone"), NOW) == []
    assert machine.handle(ev.LeaseGone("f" * 16, NOW, "gone"), NOW) == []
    machine.handle(ev.LeaseGone(session.id, NOW, "gone"), NOW)
    assert len(machine.store) == 0
    # the lease is still in a page that was read before: it does not bring the session back
    assert machine.judge_lease(LEASE, NOW + NS) is None
