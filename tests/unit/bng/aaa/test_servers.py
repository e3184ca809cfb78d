"""Silent servers and their return, slow ones, and identifiers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bng.aaa.client import AaaClient
from bng.aaa.report import accounting_health, server_health
from bng.aaa.requests import Datagram
from bng.aaa.servers import DEAD_TIME_NS, Identifiers, Kind, Service
from bng.aaa.settings import AaaSettings, Server
from bng.aaa.spool import Spool
from bng.codec import radius
from bng.codec.radius import Code
from bng.session.effects import AccountKind
from bng.session.events import Counters
from tests.unit.bng.aaa.client_bench import NS, Bench, account, number, seen, texts

ONE = Server("one", "192.0.2.1", b"secret-1", timeout=1000, retries=0, priority=1)
TWO = Server("two", "192.0.2.2", b"secret-2", timeout=1000, retries=0, priority=2)


def codes(sent: list[Datagram]) -> list[tuple[str, int, int]]:
    """(server, port, code)"""
    return [(*datagram.destination, datagram.data[0]) for datagram in sent]


def dead(*servers: Server, **settings: Any) -> Bench:
    """The first server left three Access-Requests unanswered; the second answers."""
    bench = Bench(*servers, **settings)
    for n in range(3):
        bench.ask(n)
    while len(bench.answers) < 3:
        for datagram in bench.wait():
            bench.reply(datagram)
    first, *_ = bench.client.servers
    assert not first.authentication.up
    bench.answers.clear()
    return bench


def next_status(bench: Bench) -> Datagram:
    """Wait for the next Status-Server."""
    for _ in range(20):
        for datagram in bench.wait():
            if datagram.data[0] == Code.STATUS_SERVER:
                return datagram
    raise AssertionError("no Status-Server")


class TestStatusServer:
    def test_it_wakes_a_server_without_a_subscribers_request(self) -> None:
        bench = dead(ONE, TWO)
        first, _ = bench.client.servers
        requests = first.requests
        bench.now += DEAD_TIME_NS + NS
        assert codes(bench.ask(5)) == [("192.0.2.2", 1812, 1)], "it is not for a subscriber to try"
        status = next_status(bench)
        assert codes([status]) == [("192.0.2.1", 1812, 12)]
        packet = seen(status)
        assert {attribute.type for attribute in packet.attributes} == {80, 32, 4}
        bench.reply(status, Code.ACCESS_REJECT)
        bench.reply(status, Code.ACCESS_ACCEPT, message_authenticator=False)
        assert first.up
        assert (first.requests, first.dead_since) == (requests, 0)
        assert codes(bench.ask(6)) == [("192.0.2.1", 1812, 1)], "the first is asked first again"

    def test_a_server_that_does_not_know_it_is_tried_by_requests_as_well(self) -> None:
        bench = dead(ONE, TWO)
        first, _ = bench.client.servers
        for _ in range(3):
            next_status(bench)
        bench.wait()
        assert first.authentication.unanswered_status == 3
        bench.now += DEAD_TIME_NS + NS
        (request,) = bench.ask(5)
        assert codes([request]) == [("192.0.2.1", 1812, 1)]
        assert codes(bench.ask(6)) == [("192.0.2.2", 1812, 1)], "one is enough"
        bench.client.handle_timer(bench.now)
        assert bench.client.to_send() == [], "Status-Server waits for that one"
        bench.reply(request)
        assert first.up
        while bench.client.next_timer() is not None:
            assert not [d for d in bench.wait() if d.data[0] == Code.STATUS_SERVER], "the watch is over"

    def test_accounting_and_authentication_are_two_services(self) -> None:
        bench = Bench(ONE, TWO)
        for n in range(3):
            bench.account(AccountKind.START, n)
        first, second = bench.client.servers
        while first.accounting.up:
            for datagram in bench.wait():
                bench.reply(datagram)
        assert (first.authentication.up, first.accounting.up, first.up) == (True, False, False)
        (asked,) = bench.ask(5)
        (told,) = bench.account(AccountKind.START, 5)
        assert codes([asked, told]) == [("192.0.2.1", 1812, 1), ("192.0.2.2", 1813, 4)]
        bench.reply(asked)
        bench.reply(told)
        status = next_status(bench)
        assert codes([status]) == [("192.0.2.1", 1813, 12)]
        bench.reply(status, Code.ACCOUNTING_RESPONSE)
        assert first.up
        assert second.up

    def test_not_where_it_is_switched_off(self) -> None:
        bench = dead(replace(ONE, status_server=False), TWO)
        assert bench.client.next_timer() is None
        bench.client.configure(bench.settings, bench.now)
        bench.client.configure(replace(bench.settings, servers=(ONE, TWO)), bench.now)
        assert next_status(bench).destination == ("192.0.2.1", 1812)
        bench.client.configure(bench.settings, bench.now)
        assert bench.wait() == []
        assert bench.client.next_timer() is None

    def test_a_server_that_is_gone_is_watched_no_longer(self) -> None:
        bench = dead(ONE, TWO)
        bench.client.configure(replace(bench.settings, servers=(TWO,)), bench.now)
        assert bench.wait() == []
        assert bench.client.next_timer() is None

    def test_it_waits_for_an_identifier(self) -> None:
        bench = dead(ONE, TWO, source_ports=1)
        first, _ = bench.client.servers
        taken = [bench.client._identifiers.take(("192.0.2.1", 1812)) for _ in range(256)]
        assert None not in taken
        bench.now += DEAD_TIME_NS
        assert bench.wait() == []
        bench.client._identifiers.give_back(("192.0.2.1", 1812), 0, 7)
        assert next_status(bench).data[1] == 7
        assert first.in_flight == 0

    def test_one_failure_more_does_not_put_the_next_try_off(self) -> None:
        service = Service(ONE, Kind.AUTHENTICATION)
        for at in (1, 2, 3, 4):
            service.failed(at)
        assert (service.dead_since, service.dead_until) == (3, 3 + DEAD_TIME_NS)


class TestSlowServer:
    def test_the_answer_to_an_earlier_transmission_counts(self) -> None:
        bench = Bench(replace(ONE, retries=3))
        (first,) = bench.account(AccountKind.START)
        (second,) = bench.wait()
        assert (second.source, second.data[1]) != (first.source, first.data[1])
        bench.reply(first)
        assert len(bench.client.backlog) == 0
        assert bench.client.in_flight == 0
        (server,) = bench.client.servers
        assert server.accounting.latency > 900_000
        assert server.latency == server.accounting.latency
        bench.reply(second)
        assert bench.client.discarded == {"unexpected": 1}

    def test_a_retransmission_without_a_free_identifier_uses_its_own(self) -> None:
        bench = Bench(replace(ONE, retries=3), source_ports=1)
        (first,) = bench.account(AccountKind.START)
        for _ in range(255):
            bench.client._identifiers.take(("192.0.2.1", 1813))
        (second,) = bench.wait()
        assert second.data[1] == first.data[1]
        bench.reply(second)
        assert len(bench.client.backlog) == 0

    def test_a_record_that_is_lost_halves_the_window(self) -> None:
        bench = Bench(ONE, accounting_window=8)
        for n in range(20):
            bench.account(AccountKind.START, n)
        assert bench.client.backlog.flying == 8
        bench.wait()
        assert bench.client._window == 4


class TestIdentifiers:
    def test_more_and_fewer_source_ports(self) -> None:
        identifiers = Identifiers(1)
        there = ("192.0.2.1", 1812)
        taken = [identifiers.take(there) for _ in range(256)]
        assert identifiers.take(there) is None
        identifiers.resize(2)
        more = [identifiers.take(there) for _ in range(256)]
        assert {source for source, _ in more} == {1}  # type: ignore[misc]
        identifiers.resize(2)
        identifiers.resize(1)
        assert identifiers.take(there) is None
        identifiers.give_back(there, 1, 5)
        assert identifiers.take(there) is None, "a port that is used no longer"
        identifiers.give_back(there, 0, 5)
        assert identifiers.take(there) == (0, 5)
        assert len(set(taken)) == 256

    def test_the_client_takes_them_over(self) -> None:
        bench = Bench(ONE, source_ports=1)
        sent = [datagram for n in range(300) for datagram in bench.ask(n)]
        assert len(sent) == 256
        bench.client.configure(replace(bench.settings, source_ports=2), bench.now)
        bench.client.resume(bench.now)
        assert [datagram.source for datagram in bench.client.to_send()] == [1] * 44


class TestWithSpool:
    @pytest.fixture
    def settings(self) -> AaaSettings:
        return AaaSettings("bng-01", "192.0.2.9", "line", (ONE,))

    def test_records_of_an_earlier_life_go_on(self, tmp_path: Any, settings: AaaSettings) -> None:
        client = AaaClient(settings, store=Spool(tmp_path))
        stop = account(AccountKind.STOP)
        client.account(stop, Counters(in_octets=7), stop.time, 3)
        (before,) = client.to_send()
        spool = Spool(tmp_path, 9)
        again = AaaClient(settings, store=spool)
        assert (spool.given, len(again.backlog)) == (3, 1)
        later = stop.time + 3600 * NS
        again.resume(later)
        (after,) = again.to_send()
        first, second = seen(before), seen(after)
        assert number(second, "Acct-Delay-Time") == 3600
        for name in ("Acct-Session-Id", "Event-Timestamp", "Acct-Input-Octets"):
            assert texts(first, name) == texts(second, name), name
        assert radius.verify_request(after.data, b"secret-1").code == Code.ACCOUNTING_REQUEST

    def test_an_interim_of_an_earlier_life(self, tmp_path: Any, settings: AaaSettings) -> None:
        client = AaaClient(settings, store=Spool(tmp_path))
        interim = replace(account(AccountKind.INTERIM), counters=Counters(in_octets=9))
        client.restore(interim, Counters(in_octets=9), interim.time)
        (sent,) = client.to_send()
        assert number(seen(sent), "Acct-Input-Octets") == 9

    def test_what_health_says(self, tmp_path: Any, settings: AaaSettings) -> None:
        spool = Spool(tmp_path)
        client = AaaClient(settings, store=spool)
        client.account(account(AccountKind.START), Counters(), 0)
        (server,) = client.servers
        report = server_health(server)
        assert (report["up"], report["in_flight"], report["failures"]) == (True, 1, 0)
        assert report["dead_since"] is None
        server.accounting.dead_since = 1_800_000_000 * NS
        assert server_health(server)["dead_since"] == "2027-01-15T08:00:00.000000000Z"
        assert accounting_health(client, spool) == {
            "accounting_pending": 1,
            "accounting_lost": 0,
            "accounting_alarm": None,
        }
