"""The dynamic authorization server: who is believed, what is executed once, what is answered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bng.aaa import coa as coa_module
from bng.aaa.coa import MAX_PENDING, Address, Command, DynamicAuthorization, Reply
from bng.aaa.coa_request import POLICY, ErrorCause, Nas
from bng.aaa.coa_settings import CoaClient, CoaSettings
from bng.aaa.dictionary import load
from bng.codec import radius
from bng.codec.radius import Attribute, Code, RadiusPacket
from bng.session.events import (
    ChangeSelected,
    DisconnectSelected,
    RadiusAccept,
    ReauthenticateSelected,
    Selector,
)

NS = 1_000_000_000
NOW = 1_800_000_000 * NS
SECRET = b"secret-of-radius"
SOURCE: Address = ("192.0.2.2", 40_000)
CLIENT = CoaClient("radius", "192.0.2.2", SECRET)
RELAXED = CoaClient("old", "192.0.2.3", b"another", require_message_authenticator=False)
DICTIONARY = load()
SESSION = ("Acct-Session-Id", "0123456789abcdef")

Pairs = tuple[str, str | int | bytes]


def attributes(*pairs: Pairs) -> tuple[Attribute, ...]:
    return tuple(DICTIONARY.attribute(name, value) for name, value in pairs)


def request(
    code: int, *pairs: Pairs, identifier: int = 1, secret: bytes = SECRET, more: tuple[Attribute, ...] = ()
) -> bytes:
    return radius.build_request(code, identifier, (*attributes(*pairs), *more), secret)


def unsigned(code: int, *pairs: Pairs, secret: bytes) -> bytes:
    """A request without Message-Authenticator."""
    body = radius.encode_attributes(attributes(*pairs))
    data = radius._pack(code, 1, bytes(16), body)
    return data[:4] + radius._md5(data + secret) + data[20:]


class Bench:
    """A server, its clock, and a machine that agrees."""

    def __init__(self, **changed: Any) -> None:
        changed.setdefault("clients", (CLIENT, RELAXED))
        self.server = DynamicAuthorization()
        self.server.configure(CoaSettings(**changed), Nas("bng-01", "192.0.2.1"))
        self.now = NOW
        self.executed: list[Command] = []

    def send(self, data: bytes, source: Address = SOURCE) -> Reply | Command | None:
        what = self.server.receive(data, source, self.now)
        if isinstance(what, Command):
            self.executed.append(what)
        return what

    def ask(self, code: int, *pairs: Pairs, tag: str = "", **more: Any) -> RadiusPacket:
        """The answer to a request; what is to be executed has the outcome `tag`."""
        data = request(code, *pairs, **more)
        what = self.send(data)
        if isinstance(what, Command):
            what = self.server.answer(what, tag)
        assert what is not None, self.discards
        assert what.destination == SOURCE
        return radius.verify_response(what.data, data[4:20], SECRET, demand_message_authenticator=True)

    @property
    def discards(self) -> dict[str, int]:
        return dict(next(self.server.clients).discards)

    @property
    def event(self) -> Any:
        return self.executed[-1].event


def values(packet: RadiusPacket, name: str) -> list[bytes]:
    definition = DICTIONARY.by_name[name]
    return packet.values(definition.number, definition.vendor)


def cause(packet: RadiusPacket) -> int | None:
    found = values(packet, "Error-Cause")
    return int.from_bytes(found[0], "big") if found else None


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


class TestMeaning:
    """Requests that never reach the machine, and how sessions are named."""

    @pytest.mark.parametrize(
        ("pairs", "expected"),
        [
            ((), 402),
            ((("NAS-Identifier", "bng-01"),), 402),
            ((SESSION, ("NAS-Identifier", "bng-02")), 403),
            ((SESSION, ("Called-Station-Id", "bng-02")), 403),
            ((SESSION, ("NAS-IP-Address", "192.0.2.77")), 403),
            ((SESSION, ("NAS-IP-Address", b"")), 403),
            ((SESSION, ("Class", b"x")), 401),
            ((SESSION, ("Framed-IP-Address", b"\1\2\3")), 407),
            ((("Acct-Session-Id", b"\xff"),), 407),
            ((("Calling-Station-Id", "not a station"),), 407),
            ((("ADSL-Agent-Circuit-Id", b""),), 407),
            ((SESSION, SESSION), 404),
        ],
    )
    @pytest.mark.parametrize("code", [40, 43])
    def test_refused(self, code: int, pairs: tuple[Pairs, ...], expected: int) -> None:
        bench = Bench()
        answer = bench.ask(code, *pairs)
        assert (answer.code, cause(answer)) == (code + 2, expected)
        assert not bench.executed

    @pytest.mark.parametrize(
        ("pairs", "expected"),
        [
            ((), 402),
            ((("Class", b"other"),), 401),
            ((("Cisco-AVPair", "subscriber:command=bounce-host-port"),), 401),
            ((("Cisco-AVPair", b"ip:unheard-of=1"),), 407),
            ((("Filter-Id", "gold"), ("Cisco-AVPair", b"ip:unheard-of=1")), 407),
            ((("Service-Type", 2),), 405),
            ((("Service-Type", b""),), 405),
            ((("Service-Type", 17),), 402),
            ((("Service-Type", 17), ("State", b"")), 402),
            ((("State", b"x"),), 402),
            ((("Service-Type", 17), ("State", b"x"), ("Filter-Id", "gold")), 404),
            (
                (
                    ("Service-Type", 17),
                    ("State", b"x"),
                    ("Cisco-AVPair", "subscriber:command=reauthenticate"),
                ),
                404,
            ),
            ((("Cisco-AVPair", "subscriber:reauthenticate-type=last"),), 402),
            ((("Session-Timeout", b"\1"),), 407),
            ((("OSS-Download-Speed", b""),), 407),
        ],
    )
    def test_changes_refused(self, pairs: tuple[Pairs, ...], expected: int) -> None:
        bench = Bench()
        answer = bench.ask(43, SESSION, *pairs)
        assert (answer.code, cause(answer)) == (Code.COA_NAK, expected)
        assert not bench.executed

    @pytest.mark.parametrize("name", sorted(POLICY & DICTIONARY.by_name.keys()))
    def test_a_disconnect_changes_nothing(self, name: str) -> None:
        assert cause(Bench().ask(40, SESSION, (name, bytes(4)))) == 401

    @pytest.mark.parametrize(
        "unknown", [Attribute(0, 79, b"eap"), Attribute(0, 26, b"odd"), Attribute(1234, 1, b"x")]
    )
    @pytest.mark.parametrize("code", [40, 43])
    def test_everything_is_mandatory(self, code: int, unknown: Attribute) -> None:
        assert cause(Bench().ask(code, SESSION, ("Proxy-State", b"x"), more=(unknown,))) == 401

    def test_all_names_of_a_session(self) -> None:
        bench = Bench()
        bench.ask(
            40,
            SESSION,
            ("User-Name", "bng-01/node 1/1"),
            ("Framed-IP-Address", "10.0.0.1"),
            ("Calling-Station-Id", "02-00-00-00-00-AB"),
            ("NAS-Port-Id", "sub0:node:1"),
            ("ADSL-Agent-Circuit-Id", b"eth 1/1"),
            ("ADSL-Agent-Remote-Id", b"node%"),
            ("NAS-Identifier", "bng-01"),
            ("Called-Station-Id", "bng-01"),
            ("NAS-IP-Address", "192.0.2.1"),
        )
        assert bench.event.selector == Selector(
            "0123456789abcdef",
            "bng-01/node 1/1",
            "10.0.0.1",
            "02:00:00:00:00:ab",
            "sub0:node:1",
            "eth%201/1",
            "node%25",
        )

    def test_a_nas_without_an_address_matches_none(self) -> None:
        bench = Bench()
        bench.server.configure(bench.server.settings, Nas())
        assert cause(bench.ask(40, SESSION, ("NAS-IP-Address", "0.0.0.0"))) == 403
        assert cause(bench.ask(40, SESSION, ("NAS-Identifier", b""))) == 403


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
