"""How the RADIUS client delivers accounting, against a server that is a function."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bng.aaa.requests import Datagram
from bng.aaa.servers import Kind
from bng.aaa.settings import Server
from bng.codec.radius import Code
from bng.session.effects import AccountKind
from bng.session.events import Counters
from tests.unit.bng.aaa.client_bench import (
    NS,
    START,
    Bench,
    account,
    number,
    seen,
    texts,
)


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
