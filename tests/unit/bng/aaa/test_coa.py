"""The dynamic authorization server: who is believed, what is executed once, what is answered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bng.aaa import coa as coa_module
from bng.aaa.coa import MAX_PENDING, Command, Reply
from bng.aaa.coa_request import ErrorCause, Nas
from bng.aaa.coa_settings import CoaClient, CoaSettings
from bng.codec import radius
from bng.codec.radius import Attribute, Code
from bng.session.events import (
    ChangeSelected,
    DisconnectSelected,
    RadiusAccept,
    ReauthenticateSelected,
    Selector,
)
from tests.unit.bng.aaa.coa_bench import (
    CLIENT,
    NOW,
    NS,
    RELAXED,
    SECRET,
    SESSION,
    SOURCE,
    Bench,
    attributes,
    cause,
    request,
    unsigned,
    values,
)


class TestBelief:
    """What is dropped in silence, and counted."""

    def test_strangers(self) -> None:
        bench = Bench()
        assert bench.send(request(Code.COA_REQUEST, SESSION), ("192.0.2.9", 1)) is None
        assert bench.server.unknown == 1

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (request(40, SESSION, secret=b"guessed"), "wrong Request-Authenticator"),
            (unsigned(40, SESSION, secret=SECRET), "no Message-Authenticator"),
            (b"", "malformed"),
            (request(40, SESSION)[:-1], "malformed"),
            (request(Code.ACCOUNTING_REQUEST, SESSION), "wrong code"),
            (radius.build_request(1, 1, attributes(SESSION), SECRET, bytes(16)), "wrong code"),
            (
                request(40, SESSION, ("Event-Timestamp", NOW // NS - 301)),
                "Event-Timestamp outside of the window",
            ),
            (
                request(40, SESSION, ("Event-Timestamp", NOW // NS + 301)),
                "Event-Timestamp outside of the window",
            ),
            (
                request(40, SESSION, ("Event-Timestamp", b"\1\2\3")),
                "Event-Timestamp outside of the window",
            ),
        ],
    )
    def test_reasons(self, data: bytes, reason: str) -> None:
        bench = Bench()
        assert bench.send(data) is None
        assert bench.discards == {reason: 1}
        assert not bench.executed

    def test_a_secret_is_one_clients_own(self) -> None:
        bench = Bench()
        assert bench.send(request(40, SESSION), ("192.0.2.3", 1)) is None
        assert bench.send(request(40, SESSION, secret=b"another"), ("192.0.2.3", 1)) is not None

    def test_message_authenticator_is_demanded_unless_relaxed(self) -> None:
        bench = Bench()
        assert bench.send(unsigned(40, SESSION, secret=b"another"), ("192.0.2.3", 1)) is not None

    def test_an_event_timestamp_can_be_demanded(self) -> None:
        bench = Bench(require_event_timestamp=True)
        assert bench.send(request(40, SESSION)) is None
        assert bench.discards == {"no Event-Timestamp": 1}
        assert cause(bench.ask(40, SESSION, ("Event-Timestamp", NOW // NS - 300))) is None

    def test_rate_limit(self) -> None:
        bench = Bench(rate_limit=2)
        for number in range(5):
            bench.send(request(40, SESSION, identifier=number))
        assert len(bench.executed) == 2
        assert bench.discards == {"rate limit": 3}
        bench.now += NS // 2
        bench.send(request(40, SESSION, identifier=9))
        assert len(bench.executed) == 3
        bench.now -= NS  # the clock was set back
        assert bench.send(request(40, SESSION, identifier=10)) is None

    def test_bad_packets_do_not_use_up_the_rate(self) -> None:
        bench = Bench(rate_limit=1)
        for number in range(100):
            bench.send(request(40, SESSION, identifier=number, secret=b"guessed"))
        assert bench.send(request(40, SESSION)) is not None

    def test_a_machine_that_does_not_keep_up(self) -> None:
        bench = Bench(rate_limit=1000)
        for number in range(MAX_PENDING + 1):
            bench.now += NS // 100
            bench.send(
                request(40, SESSION, identifier=number & 255, more=(Attribute(0, 33, b"%d" % number),))
            )
        assert (len(bench.executed), bench.discards) == (MAX_PENDING, {"busy": 1})
        bench.server.answer(bench.executed[0], "")
        assert bench.send(request(40, SESSION, ("Proxy-State", b"once more"))) is not None

    def test_what_could_not_be_sent_back(self) -> None:
        bench = Bench()
        states = tuple(Attribute(0, 33, bytes(250)) for _ in range(16))
        assert bench.send(request(40, more=states)) is None
        assert bench.discards == {"too much to send back": 1}
        assert bench.send(request(40, more=states[:15])) is not None


class TestDuplicates:
    def test_answered_as_the_first_time(self) -> None:
        bench = Bench()
        data = request(43, SESSION, ("Filter-Id", "gold"))
        assert isinstance(bench.send(data), Command)
        assert bench.send(data) is None, "it is being carried out"
        first = bench.server.answer(bench.executed[0], "")
        again = bench.send(data)
        assert isinstance(again, Reply)
        assert again.data == first.data
        assert len(bench.executed) == 1
        client = next(bench.server.clients)
        assert (client.coa_requests, client.acks, client.duplicates) == (1, 1, 2)

    def test_refusals_are_known_as_well(self) -> None:
        bench = Bench()
        data = request(43, SESSION)
        first, again = bench.send(data), bench.send(data)
        assert isinstance(first, Reply)
        assert isinstance(again, Reply)
        assert first.data == again.data
        assert next(bench.server.clients).naks == 1

    def test_without_a_timestamp_another_port_is_another_request(self) -> None:
        bench = Bench()
        data = request(40, SESSION)
        bench.send(data)
        bench.send(data, (SOURCE[0], 40_001))
        assert len(bench.executed) == 2

    def test_a_recording_does_nothing_from_any_port_and_at_any_time(self) -> None:
        bench = Bench()
        stamp = NOW // NS + 300
        data = request(40, SESSION, ("Event-Timestamp", stamp))
        for second in range(0, 1200, 10):
            bench.now = NOW + second * NS
            bench.send(data, (SOURCE[0], 1024 + second))
            # others come and go, so that what is old is forgotten
            bench.send(request(40, SESSION, ("Event-Timestamp", NOW // NS + second), identifier=2))
            bench.server.answer(bench.executed[-1], "")
        assert sum(command.request.packet.identifier == 1 for command in bench.executed) == 1
        assert bench.discards["Event-Timestamp outside of the window"] == 59

    def test_forgotten_after_the_window(self) -> None:
        bench = Bench(event_timestamp_window=10)
        data = request(40, SESSION)
        bench.send(data)
        bench.now += 10 * NS + 1
        bench.send(data)
        assert len(bench.executed) == 2

    def test_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(coa_module, "MAX_REMEMBERED", 3)
        bench = Bench()
        for number in range(5):
            bench.send(request(40, identifier=number))
        assert len(bench.server._known) == 3
        assert bench.send(request(40, identifier=4)) is not None
        assert next(bench.server.clients).duplicates == 1


class TestAnswers:
    def test_disconnect(self) -> None:
        bench = Bench()
        answer = bench.ask(
            40, SESSION, ("Proxy-State", b"b"), ("Proxy-State", b"a"), ("Reply-Message", "unpaid"),
            ("Event-Timestamp", NOW // NS - 5),
        )  # fmt: skip
        assert answer.code == Code.DISCONNECT_ACK
        assert values(answer, "Proxy-State") == [b"b", b"a"]
        assert values(answer, "Acct-Terminate-Cause") == [bytes((0, 0, 0, 6))]
        assert values(answer, "Event-Timestamp") == [(NOW // NS).to_bytes(4, "big")]
        assert bench.event == DisconnectSelected(
            0, Selector(session_id="0123456789abcdef"), "Disconnect-Request of radius: unpaid"
        )

    def test_change(self) -> None:
        bench = Bench()
        answer = bench.ask(
            43, SESSION, ("OSS-Download-Speed", 9000), ("OSS-Upload-Speed", 4000), ("Idle-Timeout", 60),
        )  # fmt: skip
        assert (answer.code, cause(answer)) == (Code.COA_ACK, None)
        assert values(answer, "Acct-Terminate-Cause") == []
        assert bench.event == ChangeSelected(
            0,
            Selector(session_id="0123456789abcdef"),
            RadiusAccept("", 0, (), 9000, 4000, idle_timeout=60),
            "CoA-Request of radius",
        )

    @pytest.mark.parametrize(
        ("tag", "disconnect", "change"),
        [
            ("data-missing", 503, 503),
            ("operation-not-supported", 508, 508),
            ("invalid-value", 407, 407),
            ("resource-denied", 504, 506),
            ("operation-failed", 504, 506),
        ],
    )
    def test_refusals_of_the_machine(self, tag: str, disconnect: int, change: int) -> None:
        bench = Bench()
        answer = bench.ask(40, SESSION, tag=tag)
        assert (answer.code, cause(answer)) == (Code.DISCONNECT_NAK, disconnect)
        answer = bench.ask(43, SESSION, ("Filter-Id", "gold"), tag=tag)
        assert (answer.code, cause(answer)) == (Code.COA_NAK, change)

    def test_authorize_only(self) -> None:
        bench = Bench()
        answer = bench.ask(43, SESSION, ("Service-Type", 17), ("State", b"opaque"), ("Proxy-State", b"p"))
        assert (answer.code, cause(answer)) == (Code.COA_NAK, ErrorCause.REQUEST_INITIATED)
        assert values(answer, "Service-Type") == [bytes((0, 0, 0, 17))]
        assert values(answer, "State") == [b"opaque"]
        assert bench.event == ReauthenticateSelected(0, Selector(session_id="0123456789abcdef"), b"opaque")
        assert cause(bench.ask(43, SESSION, ("Service-Type", 17), ("State", b"y"), tag="data-missing")) == 503

    def test_reauthenticate(self) -> None:
        bench = Bench()
        answer = bench.ask(
            43,
            SESSION,
            ("Cisco-AVPair", "subscriber:command=reauthenticate"),
            ("Cisco-AVPair", "subscriber:reauthenticate-type=last"),
        )
        assert answer.code == Code.COA_ACK
        assert bench.event == ReauthenticateSelected(0, Selector(session_id="0123456789abcdef"))


def test_a_changed_configuration_keeps_the_statistics() -> None:
    bench = Bench()
    bench.ask(40, SESSION)
    moved = CoaClient("radius", "192.0.2.4", b"new")
    bench.server.configure(CoaSettings(clients=(moved,)), Nas("bng-01", ""))
    (client,) = bench.server.clients
    assert (client.settings, client.acks) == (moved, 1)
    assert bench.send(request(40, SESSION, identifier=2)) is None
    assert bench.server.unknown == 1
    assert bench.send(request(40, SESSION, secret=b"new"), ("192.0.2.4", 1)) is not None


@given(data=st.binary(max_size=200), port=st.integers(1, 65535))
def test_nothing_upsets_it(data: bytes, port: int) -> None:
    bench = Bench()
    for client in (CLIENT, RELAXED):
        assert bench.send(data, (client.address, port)) is None


@given(
    code=st.sampled_from([40, 43]),
    found=st.lists(
        st.builds(
            Attribute,
            st.sampled_from([0, 0, 0, 9, 3561, 14122, 43242]),
            st.integers(1, 255).filter(lambda number: number not in (26, 80)),
            st.binary(max_size=20),
        ),
        max_size=6,
    ),
)
@settings(max_examples=300)
def test_whatever_a_client_says_it_gets_one_answer(code: int, found: list[Attribute]) -> None:
    bench = Bench()
    stale = any((a.vendor, a.type) == (0, 55) for a in found)
    data = radius.build_request(code, 1, tuple(found), SECRET)
    what = bench.send(data)
    if isinstance(what, Reply):
        packet = radius.verify_response(what.data, data[4:20], SECRET, demand_message_authenticator=True)
        assert packet.code == code + 2, "no ACK without the machine"
        assert cause(packet) is not None
    else:
        assert stale or isinstance(what, Command)


@given(data=st.data())
def test_a_changed_octet_is_not_believed(data: st.DataObject) -> None:
    good = bytearray(request(40, SESSION, ("Proxy-State", b"abc")))
    place = data.draw(st.integers(0, len(good) - 1))
    good[place] ^= data.draw(st.integers(1, 255))
    assert Bench().send(bytes(good)) is None
