"""Access routers: what DHCP and echo probes tell of them."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from bng.config import Router
from bng.routers import MAX_DISCOVERED, RouterWatch, checksum, echo_request, parse_echo_reply


class Fixture:
    def __init__(self) -> None:
        self.now = 10**18
        self.events: list[dict] = []
        self.watch = RouterWatch(self.events.append, lambda remote_id: 3, clock=lambda: self.now)

    def configure(self, *names: str) -> None:
        self.watch.configure(
            {
                name: Router(name, f"id-{name}", address=IPv4Address(f"10.0.0.{number}"))
                for number, name in enumerate(names, 2)
            }
        )

    def answer(self, number: int = 2) -> None:
        assert self.watch._by_address[f"10.0.0.{number}"].probe
        sequence, _ = self.watch._by_address[f"10.0.0.{number}"].probe
        self.watch.answered(f"10.0.0.{number}", self.watch._identifier, sequence)

    def reachability(self) -> list[str]:
        return [record["reachability"] for record in self.watch.records()["configured"]]


def test_up_by_answer_down_by_three_losses_up_by_dhcp() -> None:
    fixture = Fixture()
    fixture.configure("a")
    assert fixture.reachability() == ["unknown"]
    fixture.watch.probe("id-a")
    fixture.now += 1_500_000
    fixture.answer()
    record = fixture.watch.records()["configured"][0]
    assert (record["reachability"], record["round_trip_time"], record["active_sessions"]) == ("up", 1500, 3)
    for _ in range(3):
        fixture.watch.probe("id-a")
        assert fixture.reachability() == ["up"]
    fixture.watch.probe("id-a")
    assert fixture.reachability() == ["down"]
    fixture.watch.seen("id-a", "10.0.0.2")
    assert fixture.reachability() == ["up"]
    assert [event["router"]["reachability"] for event in fixture.events] == ["up", "down", "up"]
    assert fixture.events[0]["router"] == {
        "name": "a", "remote-id": "id-a", "address": "10.0.0.2", "reachability": "up", "configured": True,
    }  # fmt: skip


def test_late_and_foreign_answers_count_nothing() -> None:
    fixture = Fixture()
    fixture.configure("a")
    fixture.watch.probe("id-a")
    watched = fixture.watch._by_address["10.0.0.2"]
    assert watched.probe
    fixture.watch.answered("10.0.0.2", fixture.watch._identifier, watched.probe[0] + 1)
    fixture.watch.answered("10.0.0.2", fixture.watch._identifier ^ 1, watched.probe[0])
    fixture.watch.answered("10.0.0.9", fixture.watch._identifier, watched.probe[0])
    assert fixture.reachability() == ["unknown"]


def test_discovered_once_then_configured() -> None:
    fixture = Fixture()
    for _ in range(3):
        fixture.watch.seen("id-b", "0.0.0.0")
    assert len(fixture.events) == 1
    assert fixture.events[0]["router"] == {
        "name": "id-b", "remote-id": "id-b", "reachability": "up", "configured": False,
    }  # fmt: skip
    assert [found["remote_id"] for found in fixture.watch.records()["discovered"]] == ["id-b"]
    fixture.watch.configure({"b": Router("b", "id-b")})
    assert fixture.watch.records()["discovered"] == []
    assert fixture.reachability() == ["up"]


def test_discovered_are_bounded() -> None:
    fixture = Fixture()
    for number in range(MAX_DISCOVERED + 5):
        fixture.watch.seen(f"n{number}", "10.0.0.1")
    found = fixture.watch.records()["discovered"]
    assert len(found) == MAX_DISCOVERED
    assert found[0]["remote_id"] == "n5"


def test_what_is_known_survives_another_configuration() -> None:
    fixture = Fixture()
    fixture.configure("a", "b")
    fixture.watch.probe("id-b")
    fixture.answer(3)
    fixture.configure("a", "b", "c")
    assert fixture.reachability() == ["unknown", "up", "unknown"]


def test_echo_round_trip() -> None:
    request = echo_request(7, 9)
    assert checksum(request) == 0
    header = bytes([0x45]) + bytes(8) + bytes([1]) + bytes(2) + bytes([10, 0, 0, 2]) + bytes(4)
    assert parse_echo_reply(header + request) is None
    reply = b"\0" + request[1:]
    assert parse_echo_reply(header + reply) == ("10.0.0.2", 7, 9)
    assert struct.unpack("!BB", request[:2]) == (8, 0)


@given(st.binary(max_size=80))
def test_any_packet_is_understood_or_ignored(packet: bytes) -> None:
    parse_echo_reply(packet)
