"""The RADIUS client against a server that is a function."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bng.aaa.client import AaaClient, Answer
from bng.aaa.dictionary import load
from bng.aaa.requests import Datagram
from bng.aaa.servers import Kind
from bng.aaa.settings import AaaSettings, Server
from bng.codec import radius
from bng.codec.radius import Attribute, Code, RadiusPacket
from bng.session.effects import Account, AccountKind, AskRadius
from bng.session.events import Counters, RadiusAccept, RadiusReject, RadiusUnanswered

NS = 1_000_000_000
START = 1_800_000_000 * NS
ONE = Server("one", "192.0.2.1", b"secret-1", timeout=1000, retries=2, priority=1, status_server=False)
TWO = Server("two", "192.0.2.2", b"secret-2", timeout=1000, retries=1, priority=2, status_server=False)
SECRETS = {"192.0.2.1": b"secret-1", "192.0.2.2": b"secret-2"}


def ask(number: int = 1, attempt: int = 1) -> AskRadius:
    return AskRadius(
        f"{number:016x}", attempt, "bng-01/node-a/1", "02:00:00:00:00:01", "100.64.0.1", "sub0:node-a:1"
    )


def account(kind: AccountKind, number: int = 1, at: int = START) -> Account:
    cause = "Lost-Carrier" if kind is AccountKind.STOP else None
    return Account(
        kind, f"{number:016x}", 0, 1, "bng-01/node-a/1", "02:00:00:00:00:01", "100.64.0.1",
        "sub0:node-a:1", (b"c",), 60, None, cause, at,
    )  # fmt: skip


class Bench:
    """A client, its clock, and what it sent."""

    def __init__(self, *servers: Server, **settings: Any) -> None:
        self.settings = AaaSettings("bng-01", "192.0.2.9", "line", servers or (ONE, TWO), **settings)
        self.client = AaaClient(self.settings, random.Random(1))
        self.now = START
        self.answers: list[Answer] = []

    def ask(self, number: int = 1, attempt: int = 1) -> list[Datagram]:
        self.answers += self.client.authenticate(ask(number, attempt), self.now)
        return self.client.to_send()

    def account(self, kind: AccountKind, number: int = 1) -> list[Datagram]:
        self.client.account(account(kind, number, self.now), Counters(in_octets=5), self.now)
        return self.client.to_send()

    def reply(
        self,
        datagram: Datagram,
        code: int | None = None,
        attributes: tuple[Attribute, ...] = (),
        change: Callable[[bytes], bytes] = lambda data: data,
        **options: bool,
    ) -> list[Datagram]:
        """Let the server answer; what the client sends next comes back."""
        request = radius.parse(datagram.data)
        if code is None:
            access = request.code == Code.ACCESS_REQUEST
            code = Code.ACCESS_ACCEPT if access else Code.ACCOUNTING_RESPONSE
        data = radius.build_response(
            code,
            request.identifier,
            request.authenticator,
            attributes,
            SECRETS[datagram.destination[0]],
            **options,
        )
        self.now += NS // 1000
        self.answers += self.client.receive(change(data), datagram.destination, datagram.source, self.now)
        return self.client.to_send()

    def wait(self) -> list[Datagram]:
        """Until the next timer."""
        deadline = self.client.next_timer()
        assert deadline is not None
        self.now = max(self.now, deadline)
        self.answers += self.client.handle_timer(self.now)
        return self.client.to_send()


def seen(datagram: Datagram) -> RadiusPacket:
    """A request as its server sees it, verified."""
    return radius.verify_request(datagram.data, SECRETS[datagram.destination[0]])


def texts(packet: RadiusPacket, name: str) -> list[bytes]:
    definition = load().by_name[name]
    return packet.values(definition.number, definition.vendor)


def number(packet: RadiusPacket, name: str) -> int:
    (value,) = texts(packet, name)
    return int.from_bytes(value, "big")


class TestAuthentication:
    def test_an_access_request_says_who_and_where(self) -> None:
        (datagram,) = Bench().ask()
        packet = seen(datagram)
        assert datagram.destination == ("192.0.2.1", 1812)
        assert packet.code == Code.ACCESS_REQUEST
        assert texts(packet, "User-Name") == [b"bng-01/node-a/1"]
        assert texts(packet, "Calling-Station-Id") == [b"02:00:00:00:00:01"]
        assert texts(packet, "Called-Station-Id") == texts(packet, "NAS-Identifier") == [b"bng-01"]
        assert texts(packet, "NAS-Port-Id") == [b"sub0:node-a:1"]
        assert texts(packet, "NAS-IP-Address") == [bytes((192, 0, 2, 9))]
        assert texts(packet, "Framed-IP-Address") == [bytes((100, 64, 0, 1))]
        assert number(packet, "NAS-Port-Type") == 15
        assert number(packet, "Event-Timestamp") == 1_800_000_000
        (hidden,) = texts(packet, "User-Password")
        assert radius.reveal_password(hidden, b"secret-1", packet.authenticator) == b"line"

    def test_authorize_only_is_asked_with_the_state(self) -> None:
        bench = Bench()
        bench.client.authenticate(replace(ask(), state=b"opaque"), bench.now)
        (datagram,) = bench.client.to_send()
        packet = seen(datagram)
        assert (number(packet, "Service-Type"), texts(packet, "State")) == (17, [b"opaque"])
        assert texts(packet, "User-Password") == []

    def test_accept(self) -> None:
        bench = Bench()
        (datagram,) = bench.ask()
        dictionary = load()
        bench.reply(
            datagram,
            attributes=(
                dictionary.attribute("Filter-Id", "gold"),
                dictionary.attribute("Class", b"\1\2"),
                dictionary.attribute("Session-Timeout", 60),
                dictionary.attribute("OSS-Download-Speed", 1000),
                dictionary.attribute("OSS-Upload-Burst", 80),
                Attribute(0, 28, b"odd"),
                Attribute(9999, 1, b"unknown"),
            ),
        )
        assert bench.answers == [
            RadiusAccept(ask().session_id, 1, ("gold",), 1000, None, None, 80, (b"\1\2",), session_timeout=60)
        ]
        assert (bench.client.reader.unknown, bench.client.reader.malformed) == (1, 1)
        assert bench.client.in_flight == 0
        assert bench.client.next_timer() is None
        one = next(iter(bench.client.servers))
        assert (one.requests, one.timeouts, one.latency, one.up) == (1, 0, 1000, True)

    def test_speeds_as_hotspots_have_them(self) -> None:
        bench = Bench()
        (datagram,) = bench.ask()
        make = load().attribute
        pair = (make("WISPr-Bandwidth-Max-Down", 2_000_000), make("WISPr-Bandwidth-Max-Up", 1_000_999))
        bench.reply(datagram, attributes=pair)
        (answer,) = bench.answers
        assert isinstance(answer, RadiusAccept)
        assert (answer.download_kbps, answer.upload_kbps) == (2000, 1000)

    def test_reject_and_challenge(self) -> None:
        bench = Bench()
        make = load().attribute
        message = (make("Reply-Message", "pay\n"), make("Reply-Message", "first"))
        (datagram,) = bench.ask(1)
        bench.reply(datagram, Code.ACCESS_REJECT, message)
        (datagram,) = bench.ask(2)
        bench.reply(datagram, Code.ACCESS_CHALLENGE)
        assert bench.answers == [
            RadiusReject(ask(1).session_id, 1, "pay%0A first"),
            RadiusReject(ask(2).session_id, 1, "the RADIUS server sent an Access-Challenge"),
        ]
        assert [answer.server for answer in bench.answers] == ["one", "one"]  # type: ignore[union-attr]

    def test_what_is_not_believed(self) -> None:
        bench = Bench()
        (datagram,) = bench.ask()
        bench.reply(datagram, message_authenticator=False)
        bench.reply(datagram, change=lambda data: data[:-1] + bytes([data[-1] ^ 1]))
        bench.reply(datagram, change=lambda data: data[:19])
        bench.reply(datagram, Code.ACCOUNTING_RESPONSE)
        wrong = Datagram(datagram.source + 1, datagram.destination, datagram.data)
        bench.reply(wrong)
        assert bench.client.receive(b"", ("192.0.2.1", 1812), 0, bench.now) == []
        assert bench.answers == []
        assert bench.client.discarded == {
            "no Message-Authenticator": 1,
            "wrong Response-Authenticator": 1,
            "malformed": 1,
            "wrong code": 1,
            "unexpected": 2,
        }
        bench.reply(datagram)  # the true one still counts
        assert len(bench.answers) == 1
        bench.reply(datagram)  # and once only
        assert len(bench.answers) == 1

    @given(st.binary(max_size=100))
    def test_garbage(self, data: bytes) -> None:
        bench = Bench()
        (datagram,) = bench.ask()
        for candidate in (data, b"\2" + datagram.data[1:2] + data):
            assert bench.client.receive(candidate, datagram.destination, datagram.source, bench.now) == []

    def test_retransmission_then_the_next_server_then_nothing(self) -> None:
        bench = Bench()
        (first,) = bench.ask()
        times, sent = [], []
        while not bench.answers:
            sent += bench.wait()
            times.append((bench.now - START) / NS)
        assert [d.destination[0] for d in sent] == ["192.0.2.1"] * 2 + ["192.0.2.2"] * 2
        assert sent[0] == sent[1] == first
        assert sent[2].data[4:20] != first.data[4:20]
        gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
        for gap, expected in zip(gaps, (1, 2, 4, 1, 2), strict=True):
            assert 0.9 * expected <= gap <= 1.1 * expected
        assert bench.answers == [RadiusUnanswered(ask().session_id, 1)]
        assert [state.timeouts for state in bench.client.servers] == [1, 1]

    def test_a_silent_server_is_asked_last_until_it_is_back(self) -> None:
        bench = Bench()
        for number_ in range(3):
            bench.ask(number_)
        while len(bench.answers) < 3:
            for datagram in bench.wait():
                if datagram.destination[0] == "192.0.2.2":
                    bench.reply(datagram)
        one, two = bench.client.servers
        assert (one.up, two.up) == (False, True)
        assert one.dead_since > START
        (datagram,) = bench.ask(4)
        assert datagram.destination[0] == "192.0.2.2"
        bench.reply(datagram)
        bench.now += 11 * NS
        (probe,) = bench.ask(5)
        (other,) = bench.ask(6)
        assert (probe.destination[0], other.destination[0]) == ("192.0.2.1", "192.0.2.2")
        bench.reply(probe)
        assert one.up
        (datagram,) = bench.ask(7)
        assert datagram.destination[0] == "192.0.2.1"

    def test_a_probe_that_fails_costs_one_interval(self) -> None:
        bench = Bench()
        one, _ = bench.client.servers
        one = one.authentication
        one.failures, one.dead_until = 3, START
        (probe,) = bench.ask()
        assert probe.destination[0] == "192.0.2.1"
        (after,) = bench.wait()
        assert after.destination[0] == "192.0.2.2"
        assert bench.now - START < 2 * NS
        assert one.dead_until > bench.now

    def test_more_than_256_in_flight_use_several_ports(self) -> None:
        bench = Bench(ONE, source_ports=4)
        sent = [datagram for n in range(1024) for datagram in bench.ask(n)]
        assert len({(d.source, d.data[1]) for d in sent}) == 1024
        assert {d.source for d in sent} == {0, 1, 2, 3}
        assert bench.ask(2000) == []
        (waited,) = bench.reply(sent[0])
        assert texts(seen(waited), "Acct-Session-Id") == [b"00000000000007d0"]

    def test_too_many_waiting_are_refused_at_once(self) -> None:
        bench = Bench(ONE, source_ports=1, max_waiting=1)
        for n in range(257):
            bench.ask(n)
        assert bench.answers == []
        bench.ask(257)
        assert bench.answers == [RadiusUnanswered(ask(257).session_id, 1)]
        assert bench.answers[0].reason == "too many requests wait"  # type: ignore[union-attr]

    def test_a_request_whose_next_server_has_no_identifier_waits(self) -> None:
        bench = Bench(ONE, TWO, source_ports=1)
        bench.ask(0)
        two = Server("two", "192.0.2.2", b"secret-2", priority=0, timeout=100_000, retries=0)
        bench.client.configure(AaaSettings("bng-01", "192.0.2.9", "line", (two,), source_ports=1), bench.now)
        sent = [datagram for n in range(1, 257) for datagram in bench.ask(n)]
        assert len(sent) == 256
        for _ in range(3):
            assert all(d.destination[0] == "192.0.2.1" for d in bench.wait())
        (moved,) = bench.reply(sent[0])
        assert texts(seen(moved), "Acct-Session-Id") == [b"0000000000000000"]

    def test_no_server_at_all(self) -> None:
        client = AaaClient(AaaSettings("bng-01", "192.0.2.9", "line", ()))
        (answer,) = client.authenticate(ask(), START)
        assert answer == RadiusUnanswered(ask().session_id, 1)
        assert answer.reason == "there is no server to ask"  # type: ignore[union-attr]
        client.account(account(AccountKind.START), Counters(), START)
        assert client.to_send() == []
        assert len(client.backlog) == 1

    def test_what_is_known_of_a_server_outlives_a_commit(self) -> None:
        bench = Bench()
        bench.ask()
        moved = Server("one", "192.0.2.7", b"x")
        bench.client.configure(AaaSettings("b", "192.0.2.9", "line", (TWO, ONE)), bench.now)
        assert [s.requests for s in bench.client.servers] == [1, 0]
        bench.client.configure(AaaSettings("b", "192.0.2.9", "line", (TWO, moved)), bench.now)
        assert [(s.server.name, s.requests) for s in bench.client.servers] == [("two", 0), ("one", 0)]


class TestAccounting:
    def test_what_a_record_says(self) -> None:
        bench = Bench()
        big = Counters((5 << 32) + 7, (1 << 32) - 1, 3, 4, 1, 2)
        bench.client.account(account(AccountKind.STOP), big, START + 2 * NS)
        (datagram,) = bench.client.to_send()
        packet = seen(datagram)
        assert datagram.destination == ("192.0.2.1", 1813)
        for name, value in {
            "Acct-Status-Type": 2,
            "Acct-Input-Octets": 7,
            "Acct-Input-Gigawords": 5,
            "Acct-Output-Octets": 0xFFFFFFFF,
            "Acct-Output-Gigawords": 0,
            "Acct-Input-Packets": 3,
            "Acct-Output-Packets": 4,
            "Acct-Session-Time": 60,
            "Acct-Terminate-Cause": 2,
            "Acct-Delay-Time": 2,
            "Event-Timestamp": 1_800_000_000,
        }.items():
            assert number(packet, name) == value, name
        assert texts(packet, "Acct-Session-Id") == [b"0000000000000001"]
        assert texts(packet, "Class") == [b"c"]

    def test_a_start_has_no_counters(self) -> None:
        (datagram,) = Bench().account(AccountKind.START)
        assert texts(seen(datagram), "Acct-Input-Octets") == []

    def test_on_and_off(self) -> None:
        bench = Bench()
        bench.client.accounting_on("0a", bench.now)
        (on,) = bench.client.to_send()
        assert number(seen(on), "Acct-Status-Type") == 7
        bench.client.accounting_off("0a", bench.now)
        assert bench.client.to_send() == []
        (off,) = bench.reply(on, message_authenticator=False)
        assert number(seen(off), "Acct-Status-Type") == 8

    def test_in_order_per_session_and_interims_overtake(self) -> None:
        bench = Bench()
        (start,) = bench.account(AccountKind.START)
        for kind in (AccountKind.INTERIM, AccountKind.INTERIM, AccountKind.STOP):
            bench.now += NS
            assert bench.account(kind) == []
        assert len(bench.client.backlog) == 2
        (stop,) = bench.reply(start)
        assert number(seen(stop), "Acct-Status-Type") == 2
        assert bench.reply(stop) == []
        assert len(bench.client.backlog) == 0

    def test_a_retransmission_says_the_new_delay_under_a_new_identifier(self) -> None:
        bench = Bench()
        (first,) = bench.account(AccountKind.START)
        bench.wait()
        (third,) = bench.wait()
        assert (third.source, third.data[1]) != (first.source, first.data[1])
        assert number(seen(third), "Acct-Delay-Time") >= 2
        bench.reply(third)
        assert len(bench.client.backlog) == 0

    def test_while_no_server_answers_one_record_probes(self) -> None:
        bench = Bench()
        for n in range(20):
            bench.account(AccountKind.START, n)
        for _ in range(200):
            bench.wait()
        assert bench.client.in_flight == 1
        assert not bench.client.servers.any_up(Kind.ACCOUNTING)
        assert len(bench.client.backlog) == 20
        (probe,) = bench.wait()
        sent = bench.reply(probe)
        flights = []
        while sent:  # the window opens with each answer
            flights.append(len(sent))
            sent = [datagram for d in sent for datagram in bench.reply(d)]
        assert flights == [2, 4, 8, 5]
        assert len(bench.client.backlog) == bench.client.in_flight == 0

    def test_records_are_lost_by_number(self) -> None:
        bench = Bench(accounting_window=1, window=2, max_records=3)
        for n in range(8):
            bench.account(AccountKind.START, n)
        assert len(bench.client.backlog) == 5
        assert bench.client.backlog.lost == 3, "of those behind the window, the oldest"

    def test_records_are_lost_by_age(self) -> None:
        bench = Bench(accounting_window=1, max_age=3600)
        (first,) = bench.account(AccountKind.START, 1)
        bench.account(AccountKind.START, 2)
        bench.now += 4000 * NS
        bench.account(AccountKind.START, 3)
        (sent,) = bench.reply(first)
        assert texts(seen(sent), "Acct-Session-Id") == [b"0000000000000003"]
        assert bench.client.backlog.lost == 1

    def test_no_identifier_for_a_record(self) -> None:
        same = Server("one", "192.0.2.1", b"secret-1", auth_port=1812, acct_port=1812)
        bench = Bench(same, source_ports=1)
        sent = [datagram for n in range(256) for datagram in bench.ask(n)]
        assert bench.account(AccountKind.START) == []
        (record,) = bench.reply(sent[0])
        assert seen(record).code == Code.ACCOUNTING_REQUEST

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from(list(AccountKind))), max_size=30),
        st.randoms(use_true_random=False),
    )
    def test_whatever_is_lost_on_the_way(
        self, records: list[tuple[int, AccountKind]], chance: random.Random
    ) -> None:
        """Every Start and Stop arrives at least once and in order per session."""
        bench = Bench()
        arrived: dict[bytes, list[int]] = {}
        expected: dict[bytes, list[int]] = {}
        sent: list[Datagram] = []
        for n, kind in records:
            if kind is not AccountKind.INTERIM:
                status = {AccountKind.START: 1, AccountKind.STOP: 2}[kind]
                expected.setdefault(f"{n:016x}".encode(), []).append(status)
            sent += bench.account(kind, n)
        for _ in range(2000):
            if not sent and not len(bench.client.backlog):
                break
            if not sent:
                sent = bench.wait()
                continue
            datagram = sent.pop(0)
            if chance.random() < 0.25:
                continue
            packet = seen(datagram)
            (session_id,) = texts(packet, "Acct-Session-Id")
            status = number(packet, "Acct-Status-Type")
            arrived.setdefault(session_id, []).append(status)
            sent += bench.reply(datagram)
        assert len(bench.client.backlog) == 0
        for session_id, statuses in expected.items():
            came = [status for status in arrived[session_id] if status != 3]
            deduplicated = [s for i, s in enumerate(came) if i == 0 or came[i - 1] != s]
            wanted = [s for i, s in enumerate(statuses) if i == 0 or statuses[i - 1] != s]
            assert deduplicated == wanted


@pytest.mark.parametrize("cause", ["User-Request", "Host-Request"])
def test_causes_have_the_numbers_of_the_rfc(cause: str) -> None:
    from bng.aaa.attributes import TERMINATE_CAUSES

    assert TERMINATE_CAUSES[cause] == {"User-Request": 1, "Host-Request": 18}[cause]
