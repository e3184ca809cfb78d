"""The RADIUS client against a server that is a function."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bng.aaa.client import AaaClient
from bng.aaa.dictionary import load
from bng.aaa.requests import Datagram
from bng.aaa.settings import AaaSettings, Server
from bng.codec import radius
from bng.codec.radius import Attribute, Code
from bng.session.effects import AccountKind
from bng.session.events import Counters, RadiusAccept, RadiusReject, RadiusUnanswered
from tests.unit.bng.aaa.client_bench import (
    NS,
    ONE,
    START,
    TWO,
    Bench,
    account,
    ask,
    number,
    seen,
    texts,
)


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
