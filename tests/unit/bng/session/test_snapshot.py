"""A machine that stands on what another one stood on."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from bng.session import snapshot
from bng.session.machine import Machine
from bng.session.nat import NatBinding, NatPool
from bng.session.records import AccessLine
from tests.replay.record import EXTRA, online
from tests.replay.scenario import Player, from_client


def played(name: str, count: int | None = None) -> Player:
    player = Player()
    for step in EXTRA[name]()[:count]:
        (key, fields), *_ = [(key, value) for key, value in step.items() if key != "at"]
        player.step(step["at"], key, fields or {})
    return player


def forms(machine: Machine, lines: Collection[AccessLine] | None = None) -> list[dict]:
    """What is read back from a file."""
    return [json.loads(json.dumps(form)) for form in snapshot.encode(snapshot.freeze(machine, lines))]


@pytest.mark.parametrize("name", sorted(EXTRA))
def test_every_step_of_every_scenario_can_be_stood_on(name: str) -> None:
    for count in range(len(EXTRA[name]())):
        machine = played(name, count).machine
        written = forms(machine)
        assert forms(snapshot.decode(written)) == written


def test_sessions_are_the_same_object_in_all_indexes() -> None:
    machine = snapshot.decode(forms(played("many-lines", 30).machine))
    for session in machine.store:
        assert machine.store.on_line(session.line) is session
        assert machine.store.with_ip(session.ip_address) is session


def test_a_snapshot_is_not_changed_by_what_happens_later() -> None:
    player = played("many-lines", 18)
    frozen = snapshot.freeze(player.machine)
    before = list(snapshot.encode(frozen))
    player.do(30, from_client("discover", "node-z 1/0/9", xid=77))
    for session in player.machine.store:
        session.attempt += 1
    assert list(snapshot.encode(frozen)) == before


def test_of_one_line_only_that_line_is_there() -> None:
    line = AccessLine("node-b", "2/0/3")
    player = played("many-lines", 50)
    written = forms(player.machine, {line})
    assert "2/0/4" not in json.dumps(written)
    machine = snapshot.decode(written)
    assert [session.line for session in machine.store] == [line]
    other = snapshot.decode(forms(player.machine, {AccessLine("node-b", "2/0/4")}))
    snapshot.merge(machine, other)
    assert [session.line.circuit_id for session in machine.store.behind("node-b")] == ["2/0/3", "2/0/4"]
    assert machine.store.with_ip("100.64.1.4") is not None


def test_public_addresses_of_lines_that_come_later_are_not_free() -> None:
    pool = NatPool((("203.0.113.1", "203.0.113.1"),), ("100.64.0.0/10",), 64512)
    player = played("many-lines", 50)
    session = player.machine.store.on_line(AccessLine("node-b", "2/0/4"))
    assert session is not None
    session.nat = NatBinding("203.0.113.1", 1024, 65535)
    player.machine.nat.change(pool, [session.nat])
    machine = snapshot.decode(forms(player.machine, {AccessLine("node-b", "2/0/3")}))
    before = machine.nat.held
    snapshot.merge(machine, snapshot.decode(forms(player.machine, {AccessLine("node-b", "2/0/4")})))
    assert machine.nat.held == max(before, 1)
    with pytest.raises(LookupError):
        machine.nat.take()


def test_of_two_lines_all_that_is_theirs_is_there() -> None:
    player = played("many-lines", 50)
    lines = {AccessLine("node-b", "2/0/3"), AccessLine("node-b", "2/0/5")}
    machine = snapshot.decode(forms(player.machine, lines))
    assert {session.line for session in machine.store} == lines
    for session in machine.store:
        assert machine.store.with_ip(session.ip_address) is machine.store.on_line(session.line)
        assert [s.id for s in machine.store.with_mac(session.mac_address)] == [session.id]
    assert len(machine.store.behind("node-b")) == len(machine.store.with_profile("gold")) == 2


def test_what_is_no_snapshot_is_refused() -> None:
    written = forms(Player().machine)
    for wrong in (
        [],
        [{"object": 0, "class": "Relay"}],
        [{**written[0], "settings": {"$": "Popen", "args": ["true"]}}, *written[1:]],
        [{**written[0], "relay": {"$ref": 99}}, *written[1:]],
        [{**written[0], "relay": {"$eval": []}}, *written[1:]],
        written[:1],
    ):
        with pytest.raises(ValueError, match=r"class|machine|form|version"):
            snapshot.decode(wrong)


def test_online_sessions_are_written_by_name() -> None:
    player = Player()
    for step in online():
        (key, fields), *_ = [(key, value) for key, value in step.items() if key != "at"]
        player.step(step["at"], key, fields)
    (session,) = [form for form in forms(player.machine) if form["class"] == "Session"]
    assert (session["ip_address"], session["state"]["value"]) == ("100.64.0.10", "active")


def test_containers_of_any_kind_are_carried_over() -> None:
    machine: Any = played("many-lines", 50).machine
    session = next(iter(machine.store))
    machine.settings = replace(machine.settings, servers=[("192.0.2.53", 67)])
    machine.later = [session, 1]
    other: Any = snapshot.decode(forms(machine))
    assert other.settings == machine.settings
    assert other.later == [other.store.get(session.id), 1]


def test_what_cannot_be_written_is_no_snapshot() -> None:
    machine = Player().machine
    machine.settings = replace(machine.settings, servers=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="object cannot be written down"):
        forms(machine)


def test_an_attribute_that_was_not_recorded_is_not_there() -> None:
    """A recording of an earlier version, whose sessions did not have it."""
    written = forms(played("many-lines", 50).machine)
    for form in written:
        form.pop("attempt", None)
    machine = snapshot.decode(written)
    assert not any(hasattr(session, "attempt") for session in machine.store)
    assert forms(machine) == written
