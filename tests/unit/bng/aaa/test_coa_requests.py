"""What requests for dynamic authorization mean: which never reach the machine, and how sessions are named."""

from __future__ import annotations

import pytest

from bng.aaa.coa_request import POLICY, Nas
from bng.codec.radius import Attribute, Code
from bng.session.events import (
    Selector,
)
from tests.unit.bng.aaa.coa_bench import (
    DICTIONARY,
    SESSION,
    Bench,
    Pairs,
    cause,
)


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
