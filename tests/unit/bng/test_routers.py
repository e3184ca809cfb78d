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
        sequence = next(
            sequence
            for sequence, watched in self.watch._under_way.items()
            if str(watched.router.address) == f"10.0.0.{number}"
        )
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
    (sequence,) = fixture.watch._under_way
    fixture.watch.answered("10.0.0.2", fixture.watch._identifier, sequence + 1)
    fixture.watch.answered("10.0.0.2", fixture.watch._identifier ^ 1, sequence)
    fixture.watch.answered("10.0.0.9", fixture.watch._identifier, sequence)
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
        fixture.now += 10**9 // 10
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


def test_names_that_somebody_makes_up_are_limited() -> None:
    fixture = Fixture()
    for number in range(1000):
        fixture.watch.seen(f"n{number}", "10.0.0.1")
    assert len(fixture.events) == len(fixture.watch.records()["discovered"]) == 200
    fixture.now += 10**9
    for number in range(1000):
        fixture.watch.seen(f"n{number}", "10.0.0.1")
    assert len(fixture.events) == 220


def test_jitter_of_the_round_trip() -> None:
    fixture = Fixture()
    fixture.configure("a")
    for milliseconds in (1, 5, 5):
        fixture.watch.probe("id-a")
        fixture.now += milliseconds * 1_000_000
        fixture.answer()
    record = fixture.watch.records()["configured"][0]
    assert record["round_trip_jitter"] == round(4000 / 16 * 15 / 16)


def test_a_routed_node_tells_its_own_mac_address() -> None:
    fixture = Fixture()
    fixture.configure("a")
    fixture.watch.seen("id-a", "0.0.0.0", "02:00:00:00:00:01")
    assert fixture.watch.records()["configured"][0]["mac_address"] is None, "that is a subscriber's"
    fixture.watch.seen("id-a", "10.0.0.2", "02:00:00:00:00:02")
    fixture.watch.seen("id-b", "10.0.0.3", "02:00:00:00:00:03")
    records = fixture.watch.records()
    assert records["configured"][0]["mac_address"] == "02:00:00:00:00:02"
    assert records["discovered"][0]["mac_address"] == "02:00:00:00:00:03"
    fixture.watch.configure({"b": Router("b", "id-b")})
    assert fixture.watch.records()["configured"][0]["mac_address"] == "02:00:00:00:00:03"


def test_removed_and_added_again() -> None:
    fixture = Fixture()
    fixture.configure("a")
    fixture.watch.probe("id-a")
    fixture.configure()
    assert (fixture.watch.records()["configured"], fixture.watch._under_way) == ([], {})
    fixture.watch.seen("id-a", "10.0.0.2")
    fixture.configure("a")
    assert fixture.reachability() == ["up"]
    assert fixture.watch.records()["discovered"] == []
    fixture.watch.probe("id-a")
    fixture.now += 1000
    fixture.answer()
    assert [event["router"]["configured"] for event in fixture.events] == [False]


def test_another_address_is_another_to_probe() -> None:
    fixture = Fixture()
    fixture.configure("a")
    fixture.watch.probe("id-a")
    (sequence,) = fixture.watch._under_way
    fixture.watch.configure({"a": Router("a", "id-a", address=IPv4Address("10.0.0.77"))})
    fixture.watch.answered("10.0.0.2", fixture.watch._identifier, sequence)
    assert fixture.reachability() == ["unknown"]


def test_two_routers_with_one_address_are_both_probed() -> None:
    fixture = Fixture()
    address = IPv4Address("10.0.0.2")
    fixture.watch.configure({name: Router(name, f"id-{name}", address=address) for name in "ab"})
    for _ in range(2):
        fixture.watch.probe_next()
        fixture.answer()
    assert fixture.reachability() == ["up", "up"]


def test_each_router_has_its_turn_also_while_others_come_and_go() -> None:
    fixture = Fixture()
    fixture.configure("a", "b", "c")
    fixture.watch.probe_next()
    fixture.configure("a", "b", "c", "d")
    for _ in range(4):
        fixture.watch.probe_next()
    probed = sorted(watched.router.name for watched in fixture.watch._under_way.values())
    assert probed == ["a", "b", "c", "d"]


async def test_gathered_in_slices_is_the_same() -> None:
    fixture = Fixture()
    fixture.configure("a", "b")
    fixture.watch.seen("n", "10.0.0.1")
    assert await fixture.watch.gather() == fixture.watch.records()
    assert len(fixture.watch) == 3


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
