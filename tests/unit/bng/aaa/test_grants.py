"""What an Access-Accept or a CoA-Request grants, in all the forms that servers send; and what they may not
smuggle in."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from bng.aaa.attributes import Reader, Writer
from bng.aaa.dictionary import load
from bng.aaa.grants import MAX_CLASSES, GrantReader
from bng.aaa.settings import AaaSettings
from bng.codec import radius
from bng.codec.radius import Attribute, Code, RadiusPacket
from bng.codec.text import clean_agent_id
from bng.session import policy
from bng.session.effects import Account, AccountKind, AskRadius
from bng.session.events import Counters, RadiusAccept, RadiusReject
from bng.session.records import AccessLine, Binding, Session, to_event
from bng.session.settings import Policy, Profile

PROFILES = {"gold": Profile(100_000_000, 50_000_000), "silver": Profile(10_000_000, 5_000_000)}
ID = "0" * 16


def packet(*pairs: tuple[str, Any]) -> RadiusPacket:
    make = load().attribute
    attributes = tuple(make(name, value) for name, value in pairs)
    data = radius.build_request(Code.COA_REQUEST, 1, attributes, b"secret")
    return radius.verify_request(data, b"secret")


def read(*pairs: tuple[str, Any]) -> RadiusAccept:
    return GrantReader().read(packet(*pairs), ID)


def granted(*pairs: tuple[str, Any]) -> Policy | str:
    return policy.of_accept(read(*pairs), PROFILES)


def av(text: str) -> tuple[str, str]:
    return "Cisco-AVPair", text


def rates(download: int, upload: int, bursts: tuple[int | None, int | None] = (None, None)) -> Policy:
    return Policy(None, download, upload, *bursts)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("OSS-Download-Speed", 50_000), ("OSS-Upload-Speed", 20_000)], rates(50_000_000, 20_000_000)),
        (
            [("WISPr-Bandwidth-Max-Down", 2_000_999), ("WISPr-Bandwidth-Max-Up", 1_000_000)],
            rates(2_000_000, 1_000_000),
        ),
        (
            [("Cisco-Account-Info", "QU;512000;96000;192000;D;1000000;200000;400000")],
            rates(1_000_000, 512_000, (200_000, 96_000)),
        ),
        (
            [("Cisco-Service-Info", "QD;1000000;200000;400000;U;512000;96000;192000")],
            rates(1_000_000, 512_000, (200_000, 96_000)),
        ),
        ([("Cisco-Account-Info", "QU;;512000;D;;1000000")], rates(1_000_000, 512_000)),
        (
            [("Cisco-Account-Info", "Ainternet"), ("Cisco-Service-Info", "QU;512000;;D;1000000")],
            rates(1_000_000, 512_000),
        ),
        (
            [
                av("lcp:interface-config#1=rate-limit output 2048000 1024000 8192 conform-action transmit"),
                av("lcp:interface-config=rate-limit input  1024000"),
            ],
            rates(2_048_000, 1_024_000, (1_024_000, None)),
        ),
        ([av("ip:sub-qos-policy-out=gold")], policy.of_profile("gold", PROFILES["gold"])),
        (
            [av("subscriber:sub-qos-policy-in=silver"), av("subscriber:sub-qos-policy-out=gold")],
            policy.of_profile("gold", PROFILES["gold"]),
        ),
        ([("Filter-Id", "none"), ("Filter-Id", "silver"), av("ip:sub-qos-policy-out=gold")],
         policy.of_profile("silver", PROFILES["silver"])),
        ([("Filter-Id", "no"), ("OSS-Download-Speed", 64), ("OSS-Upload-Speed", 64)], rates(64_000, 64_000)),
        # those before win over those behind
        (
            [
                ("Cisco-Account-Info", "QU;1;1;1;D;1;1;1"),
                ("WISPr-Bandwidth-Max-Down", 2_000_000),
                ("WISPr-Bandwidth-Max-Up", 1_000_000),
                ("OSS-Download-Speed", 64),
                ("OSS-Upload-Speed", 64),
                ("OSS-Download-Burst", 80),
            ],
            rates(64_000, 64_000, (10_000, None)),
        ),
    ],
)  # fmt: skip
def test_rates(pairs: list[tuple[str, Any]], expected: Policy) -> None:
    assert granted(*pairs) == expected


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([], "neither Filter-Id nor speeds"),
        ([("Filter-Id", "none"), ("Filter-Id", "gone")], "unknown shaping profile: none"),
        ([("OSS-Download-Speed", 0), ("OSS-Upload-Speed", 0)], "a speed of 0 kbit/s, outside of 8 to"),
        ([("OSS-Download-Speed", 2**32 - 1), ("OSS-Upload-Speed", 64)], "4294967295 kbit/s, outside of 8 to"),
        ([("WISPr-Bandwidth-Max-Down", 999), ("WISPr-Bandwidth-Max-Up", 64_000)], "a speed of 0 kbit/s"),
        ([("WISPr-Bandwidth-Max-Down", 64_000)], "one direction only"),
        ([("WISPr-Bandwidth-Max-Up", 64_000)], "one direction only"),
        ([("OSS-Upload-Speed", 64)], "one direction only"),
        ([("Cisco-Account-Info", "QU;999999999999;1;1;D;64000")], "999999999 kbit/s, outside of 8 to"),
        ([("Cisco-Account-Info", "QU;9999999999999;1;1;D;64000")], "one direction only"),
        ([("Cisco-Account-Info", "QU;64000")], "one direction only"),
        ([("Cisco-Account-Info", "QU;x;D;y")], "neither"),
        ([("Cisco-Account-Info", "QU;;;D;;")], "neither"),
        ([("Cisco-Account-Info", "QU;٣;D;٣")], "neither"),
        ([av("lcp:interface-config#1=rate-limit output ٣٣٣٣٣٣")], "neither"),
        ([av("lcp:interface-config#1=rate-limit output 64000")], "one direction only"),
        ([av("ip:sub-qos-policy-out=")], "neither"),
        ([av("shell:priv-lvl=15")], "neither"),
    ],
)
def test_what_is_no_rate(pairs: list[tuple[str, Any]], reason: str) -> None:
    said = granted(*pairs)
    assert isinstance(said, str)
    assert reason in said


def test_a_burst_beside_a_profile_is_read() -> None:
    found = read(("Filter-Id", "gold"), ("OSS-Upload-Burst", 80))
    assert (found.download_burst_kbit, found.upload_burst_kbit) == (None, 80)


@pytest.mark.parametrize(
    ("octets", "address"),
    [
        (b"\xff\xff\xff\xff", None),
        (b"\xff\xff\xff\xfe", None),
        (bytes((100, 64, 0, 10)), "100.64.0.10"),
        (bytes(4), "0.0.0.0"),
    ],
)
def test_framed_ip_address(octets: bytes, address: str | None) -> None:
    found = read(("Framed-IP-Address", octets))
    assert found.framed_ip_address == address
    conflict = policy.conflict(found, "100.64.0.10")
    assert conflict == (
        f"Access-Accept wants address {address}, the lease is for 100.64.0.10" if octets == bytes(4) else ""
    )


def test_values_of_a_wrong_length_count_as_absent() -> None:
    reader = GrantReader()
    attributes = (Attribute(0, 8, b"\1"), Attribute(0, 27, b"\1"), Attribute(43242, 1, b""))
    found = reader.read(RadiusPacket(2, 1, bytes(16), attributes), ID, 7)
    assert (found.framed_ip_address, found.session_timeout, found.download_kbps) == (None, None, None)
    assert (reader.malformed, found.attempt) == (3, 7)


def test_class_is_kept_as_long_as_accounting_can_hold_it() -> None:
    reader = GrantReader()
    attributes = tuple(Attribute(0, 25, bytes([n]) * 253) for n in range(15))
    found = reader.read(RadiusPacket(2, 1, bytes(16), attributes), ID)
    assert [value[0] for value in found.classes] == list(range(MAX_CLASSES // 255))
    assert reader.malformed == 1
    account = Account(
        AccountKind.STOP, ID, 0, 1, "u" * 253, "02:00:00:00:00:01", "100.64.0.1", "p" * 253,
        found.classes, 1, None, "User-Request", 0,
    )  # fmt: skip
    written = Writer(AaaSettings("n" * 63, "192.0.2.1", "x", ())).accounting(account, Counters())
    assert len(radius.build_request(Code.ACCOUNTING_REQUEST, 1, written, b"s")) <= radius.MAX_LENGTH


ASK = AskRadius(ID, 1, "u", "02:00:00:00:00:01", "100.64.0.1", "p")
HOSTILE = st.one_of(
    st.binary(max_size=247),
    st.text(max_size=60).map(str.encode),
    st.sampled_from(
        [b"\x1b]0;x\x07", b"a\r\nSet-Cookie: x", b"\0", b"'; DROP TABLE events; --", b"<a>&amp;</a>",
         "\u202egold".encode(), b"\xff\xfe\xfd", b"\xed\xa0\x80", b"\xc2\x9b31m", b"\n" * 247,
         "\ufffe\u2028".encode()]
    ),
)  # fmt: skip


def assert_clean(text: str) -> None:
    """Fit for a line of a log, for XML, for JSON and for a text column."""
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [c for c in text if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "PDF")]
    element = etree.Element("reason")
    element.text = text
    assert etree.fromstring(etree.tostring(element)).text == (text or None)
    assert json.loads(json.dumps(text)) == text


NAMES = st.sampled_from(
    ["Reply-Message", "Filter-Id", "Class", "Cisco-AVPair", "Cisco-Account-Info", "Cisco-Service-Info",
     "Session-Timeout", "Framed-IP-Address", "OSS-Download-Speed", "WISPr-Bandwidth-Max-Up"]
)  # fmt: skip
ANSWERS = st.sampled_from([Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE])


@given(st.lists(st.tuples(NAMES, HOSTILE), max_size=8), ANSWERS)
def test_no_text_from_a_server_reaches_others_unclean(pairs: list[tuple[str, bytes]], code: Code) -> None:
    made = RadiusPacket(code, 1, bytes(16), tuple(load().attribute(*pair) for pair in pairs))
    answer = Reader().answer(made, ASK)
    if isinstance(answer, RadiusReject):
        assert_clean(answer.message)
        assert len(answer.message) <= 253
        return
    said = policy.of_accept(answer, PROFILES)
    assert_clean(said if isinstance(said, str) else said.profile or "")
    assert len(str(said)) < 400
    for value in answer.classes:
        assert value in [octets for name, octets in pairs if name == "Class"], "as it came, for accounting"


@given(st.binary(min_size=1, max_size=253), st.binary(min_size=1, max_size=253))
def test_no_text_from_an_access_node_reaches_others_unclean(remote: bytes, circuit: bytes) -> None:
    line = AccessLine(clean_agent_id(remote), clean_agent_id(circuit))
    binding = Binding(line, "02:00:00:00:00:01", "100.64.0.1", "sub0", "0.0.0.0", "192.0.2.53", None)
    session = Session(ID, "bng-01", binding, routed=False, now=0)
    for text in (session.username, session.nas_port_id):
        assert_clean(text)
        assert text.isascii()
        assert " " not in text
        assert len(text) <= 253
    event = to_event(session, "session-start")
    assert json.loads(json.dumps(event)) == event
    ask = AskRadius(ID, 1, session.username, "02:00:00:00:00:01", "100.64.0.1", session.nas_port_id)
    written = Writer(AaaSettings("bng-01", "192.0.2.1", "x", ())).access(ask, 0)
    assert [a.value for a in written if a.type == 1] == [session.username.encode()]
    assert [a.value for a in written if a.type == 87] == [session.nas_port_id.encode()]
