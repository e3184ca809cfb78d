"""The bus without I/O: messages, chains, seats, places, configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import orjson
import pytest

from collector.bus import chain, members, message
from collector.bus.chain import Age, Chain, Follower, Place, Seat, Watch
from collector.bus.members import Members
from collector.bus.message import EXPECTED, Assembler, FormatError, Message
from collector.config import ConfigError, parse


@pytest.mark.parametrize("bng_id", ["bng-01", "a.b", "ü *>=3D", "="])
def test_any_name_is_one_token_of_a_subject(bng_id: str) -> None:
    token = message.token(bng_id)
    assert not set(token) & set(". *>")
    assert token.isascii()
    assert message.name(token) == bng_id


@pytest.mark.parametrize("token", ["=", "=4", "=zz", "=41", "a b", "", "a=00", "=FF", "x" * 1025])
def test_tokens_of_others_are_no_names(token: str) -> None:
    with pytest.raises(ValueError):
        message.name(token)


def test_bodies() -> None:
    octets = [b"a", b"", b"bc" * 100]
    assert message.unpack(message.pack(octets)) == octets
    for cut in (1, 5, 40):
        with pytest.raises(FormatError):
            message.unpack(message.pack(octets)[:-cut])
    groups = [list(group) for group in message.groups([b"12345678"] * 5 + [b"x" * 100], 24)]
    assert groups == [[b"12345678"] * 2, [b"12345678"] * 2, [b"12345678"], [b"x" * 100]]


def test_headers_there_and_back() -> None:
    made = Message(message.EVENTS, "t.7", "", (12, 34), b"x", 1, 2)
    headers = made.headers(99)
    assert (headers["Nats-Msg-Id"], headers[EXPECTED]) == ("t.7", "99")
    assert message.parse(headers, b"x", 5, 6) == dataclasses.replace(made, seq=5, time_ns=6)
    for broken in (
        {"Aether-Format": "2"},
        {"Aether-Kind": "spam"},
        {"Aether-Cursor": "1"},
        {"Aether-Cursor": "a b"},
        {"Aether-Part": "3 2"},
        {"Aether-Part": "0 1"},
        {"Aether-Part": f"1 {message.MOST_PARTS + 1}"},
        {"Aether-Part": "1 " + "9" * 4000},
        {"Aether-Cursor": f"{2**63} 1"},
        {"Aether-Cursor": f"1 {2**63}"},
        {"Aether-Cursor": "-1 1"},
        {"Aether-Cursor": "1 " * 3},
        {"Nats-Msg-Id": "x" * 201},
        {"Nats-Msg-Id": "a\0"},
        {"Aether-After": ""},
    ):
        with pytest.raises(FormatError):
            message.parse({**headers, **broken}, b"", 1, 1)
    with pytest.raises(FormatError):
        message.parse(None, b"", 1, 1)


def test_parts_are_joined_and_half_a_message_is_dropped() -> None:
    def part(number: int, count: int, identity: int, body: bytes) -> Message:
        return Message(
            message.BASELINE, f"t.{identity}", f"t.{identity - 1}", (0, 0), body, number, count, identity
        )

    assert list(chain.parts(b"abcde", 2)) == [(1, 3, b"ab"), (2, 3, b"cd"), (3, 3, b"e")]
    assert list(chain.parts(b"", 2)) == [(1, 1, b"")]
    joined = Assembler()
    assert joined.add(part(1, 3, 1, b"ab")) is None
    assert joined.add(part(2, 3, 2, b"cd")) is None
    whole = joined.add(part(3, 3, 3, b"e"))
    assert whole is not None
    assert (whole.body, whole.seq, whole.id) == (b"abcde", 3, "t.3")
    joined.add(part(1, 2, 4, b"lost"))
    single = joined.add(part(1, 1, 6, b"new"))
    assert single is not None
    assert single.body == b"new"
    joined.add(part(1, 3, 7, b"a"))
    assert joined.add(part(3, 3, 9, b"c")) is None  # the one in between is gone
    assert joined.add(part(2, 3, 10, b"b")) is None


def test_what_is_forged_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "MOST_WHOLE", 10)
    monkeypatch.setattr(chain, "MOST_WHOLE", 10)
    monkeypatch.setattr(message, "MOST_PACKED", 3)

    def part(number: int, kind: str = message.BASELINE, parts: int = 4) -> Message:
        return Message(kind, f"t.{number}", f"t.{number - 1}", (0, 0), b"abcd", number, parts, number)

    joined = Assembler()
    assert [joined.add(part(1)), joined.add(part(2))] == [None, None]
    with pytest.raises(FormatError, match="more than"):
        joined.add(part(3))
    assert joined.add(part(4)) is None
    for other in (part(2, message.EVENTS), part(2, parts=5)):  # no parts of one message
        joined.add(part(1))
        assert joined.add(other) is None
        assert joined.add(part(3)) is None
    with pytest.raises(FormatError, match="more than 3"):
        message.unpack(message.pack([b""] * 3) + message.pack([b""]))
    with pytest.raises(message.TooLargeError):  # publishers make none that readers refuse
        message.pack([b""] * 4)
    with pytest.raises(message.TooLargeError):
        list(chain.parts(b"x" * 11, 5))


class Server:
    """What JetStream does with a subject."""

    def __init__(self) -> None:
        self.kept: list[Message] = []

    def publish(self, made: Message, expected: int) -> int | None:
        if expected != (self.kept[-1].seq if self.kept else 0):
            return None
        self.kept.append(dataclasses.replace(made, seq=len(self.kept) + 1, time_ns=len(self.kept) + 1))
        return len(self.kept)

    @property
    def last(self) -> Message | None:
        return self.kept[-1] if self.kept else None


def send(publisher: Chain, server: Server, cursor: tuple[int, int] | None = None) -> bool:
    seq = server.publish(publisher.next(message.EVENTS, b"", cursor, 1, 1), publisher.seq)
    if seq is not None:
        publisher.stored(seq)
    return seq is not None


def test_a_doubled_publisher_is_refused_and_learns_who_was_before_it() -> None:
    server, first, second = Server(), Chain("one"), Chain("two")
    assert send(first, server, (3, 30))
    second.follow(server.last)
    assert second.cursor == (3, 30)
    assert send(second, server)
    assert not send(first, server, (4, 40))
    assert first.settle(server.last) == chain.TAKEN


def test_what_was_not_acknowledged_is_settled() -> None:
    server, publisher = Server(), Chain("one")
    send(publisher, server, (1, 10))
    made = publisher.next(message.EVENTS, b"", (2, 20), 1, 1)
    assert publisher.settle(server.last) == chain.ABSENT
    server.publish(made, publisher.seq)  # stored, but the answer is lost
    assert publisher.settle(server.last) == chain.STORED
    assert (publisher.seq, publisher.cursor, publisher.pending) == (2, (2, 20), None)


def test_a_server_that_lost_its_tail_takes_the_publisher_back() -> None:
    server, publisher = Server(), Chain("one")
    for seq in range(1, 5):
        send(publisher, server, (seq, 10 * seq))
    del server.kept[2:]
    assert not send(publisher, server, (5, 50))
    assert publisher.settle(server.last) == chain.BACK
    assert (publisher.seq, publisher.cursor) == (2, (2, 20))
    assert send(publisher, server, (3, 30))
    server.kept.clear()
    assert not send(publisher, server, (4, 40))
    assert publisher.settle(server.last) == chain.BACK
    assert (publisher.seq, publisher.cursor) == (0, (3, 30))
    assert send(publisher, server, (4, 40))


def test_a_seat_is_free_when_its_holder_is_silent_by_our_clock() -> None:
    watch = Watch()
    assert watch.free(None, 0.0)
    assert watch.free(Seat("a", 3, released=True), 0.0)
    assert not watch.free(Seat("a", 3, seq=1), 100.0)
    assert not watch.free(Seat("a", 3, seq=1), 102.9)
    assert not watch.free(Seat("a", 3, seq=2), 103.1)
    assert not watch.free(Seat("a", 3, seq=2), 106.0)
    assert watch.free(Seat("a", 3, seq=2), 106.2)


def follow(server: Server, place: Place) -> tuple[list[str], Follower]:
    """Read as `Bus.read` does. Returns the ids of what was taken."""
    follower, taken = Follower(place), list[str]()
    while True:
        follower.resume(len(server.kept))
        by_time = follower.anew
        found = [m for m in server.kept if by_time or m.seq > follower.place.seq]
        for one in found:
            verdict = follower.accept(one)
            if verdict is False:
                break
            if verdict:
                taken.append(one.id)
        if not follower.anew or by_time:
            return taken, follower


def filled(count: int) -> Server:
    server, publisher = Server(), Chain("t")
    for _ in range(count):
        send(publisher, server)
    return server


def test_a_follower_sees_what_is_gone() -> None:
    server = filled(6)
    assert follow(server, Place())[0] == [f"t.{n}" for n in range(1, 7)]
    place = Place(2, "t.2", 2)
    taken, follower = follow(server, place)
    assert (taken, follower.holes) == (["t.3", "t.4", "t.5", "t.6"], 0)
    fifth = server.kept[4]  # the limits took what is before it
    follower = Follower(place)
    follower.resume(6)
    assert follower.accept(fifth) is False
    assert follower.accept(fifth) is True
    assert (follower.holes, follower.place) == (1, Place(5, "t.5", 5))


def test_a_follower_of_a_server_that_went_back_takes_what_is_new() -> None:
    """Numbers are given again, to other messages; what was stored before is not taken twice."""
    server = filled(6)
    place = Place(6, "t.6", 6)
    del server.kept[4:]
    again = Chain("t2")
    again.follow(server.last)
    for _ in range(3):
        send(again, server)
        server.kept[-1] = dataclasses.replace(server.kept[-1], time_ns=100 + server.kept[-1].seq)
    taken, follower = follow(server, place)
    assert (taken, follower.holes) == (["t2.1", "t2.2", "t2.3"], 1)
    del server.kept[5:]
    assert follow(server, place)[0] == ["t2.1"]  # fewer than there were


def configuration(**bus: Any) -> dict[str, Any]:
    return {"targets": [], "bus": {"url": "nats://192.0.2.1", **bus}}


def test_configuration() -> None:
    config = parse(configuration(nkey="seed", size=100), Path("/etc/aether"))
    assert config.bus
    assert (config.bus.nkey, config.bus.size, config.bus.stream) == (Path("/etc/aether/seed"), 100, "AETHER")
    assert config.database == ""
    secret = parse(configuration(user="u", password="hidden"))
    assert "hidden" not in repr(secret)
    with pytest.raises(ConfigError, match="database"):
        parse({"targets": []})


@pytest.mark.parametrize(
    ("bus", "text"),
    [
        ({"url": "http://x"}, "nats://"),
        ({"url": []}, "address"),
        ({"url": ["nats://a", "tls://b"]}, "all of them"),
        ({"url": "nats://u:p@x"}, "credentials"),
        ({"user": "u"}, "together"),
        ({"user": "u", "password": "p", "nkey": "f"}, "not both"),
        ({"ca": "f"}, "tls://"),
        ({"url": "tls://x", "cert": "f"}, "together"),
        ({"stream": "a.b"}, "letters"),
        ({"size": 1}, "16"),
        ({"age": True}, "whole number"),
        ({"spam": 1}, "unknown: spam"),
    ],
)
def test_configurations_that_are_refused(bus: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        parse(configuration(**bus))


@pytest.mark.parametrize("more", [{"registry": True}, {"foreign": {"targets": {}, "subscriptions": {}}}])
def test_what_does_not_go_with_a_bus(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="another collector"):
        parse({**configuration(), **more})


def test_when_a_message_was_stored_by_postgresqls_clock() -> None:
    age = Age()
    age.hear(5_000, 1_000)  # the server's is ahead
    assert age.at(4_500) == 500
    age.hear(None, 2_000)
    assert (age.at(4_500), age.at(9_000)) == (500, 2_000)  # it is set while nobody looks: not after now
    age.hear(8_500, 2_100)
    assert age.at(8_400) == 2_000


class Told:
    """What publishers say of themselves, as a bus keeps it."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, int]] = {}
        self._count = 0

    def member(self, owner: str) -> str:
        return f"@{owner}"

    async def tell_member(self, owner: str, octets: bytes) -> None:
        self._count += 1
        self.kept[self.member(owner)] = octets, self._count

    async def members(self, most: int) -> dict[str, tuple[bytes, int]]:
        return dict(sorted(self.kept.items())[:most])

    async def forget_member(self, subject: str) -> None:
        self.kept.pop(subject, None)


async def test_publishers_know_of_each_other_by_their_own_clocks() -> None:
    bus: Any = Told()
    clocks = {"a": 100.0, "b": 5000.0}
    one, two = (Members(bus, name, 3.0, lambda name=name: clocks[name]) for name in "ab")
    await one.alive({"x", "y"}, {})
    clocks["a"] += 7
    found = await two.alive({"y"}, {"x": "a", "y": "a"})
    assert {owner: (member.held, set(member.wants)) for owner, member in found.items()} == {
        "a": (2, {"x", "y"}),
        "b": (0, {"y"}),
    }
    assert not any(member.settled for member in found.values())
    assert (await one.alive({"x", "y"}, {}))["a"].settled
    clocks["b"] += 2.9
    await two.alive({"y"}, {})
    clocks["b"] += 3.1  # a has been silent
    assert set(await two.alive({"y"}, {})) == {"b"}
    await one.alive({"x"}, {})  # and is back
    assert set(await two.alive({"y"}, {})) == {"a", "b"}
    await one.leave()
    assert set(await two.alive({"y"}, {})) == {"b"}
    await one.alive({"x"}, {})
    await two.alive({"y"}, {})
    clocks["b"] += members.FORGET + 1
    await two.alive({"y"}, {})
    assert set(bus.kept) == {"@b"}


async def test_what_a_publisher_says_of_itself_is_bounded() -> None:
    bus: Any = Told()
    one = Members(bus, "a", 3.0)
    many = {f"bng-{number:05}" for number in range(20_000)}
    assert set((await one.alive(many, {}))["a"].wants) == many
    assert len(bus.kept["@a"][0]) < 1000
    good = {"owner": "b", "tenure": "t", "ttl": 3, "age": 1, "targets": ["x"]}
    assert members.read(orjson.dumps(good), 1) is not None
    for wrong in (
        *({name: None} for name in ("owner", "tenure", "ttl", "age")),
        {"ttl": 0},
        {"ttl": 1e9},
        {"age": -1},
        {"targets": [1]},
        {"targets": 7},
        {"targets": ["x" * members.MOST_TOLD]},
    ):
        assert members.read(orjson.dumps({**good, **wrong}), 1) is None
    huge = [orjson.dumps({**good, name: 7}).replace(b":7", b":7" + b"0" * 400) for name in ("ttl", "age")]
    for octets in (b"", b"[]", b"7", b"{", b"[" * 10_000, *huge):
        assert members.read(octets, 1) is None
