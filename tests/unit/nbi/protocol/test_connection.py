"""A session's server side, octet by octet."""

import pytest
from lxml import etree

from nbi.protocol.connection import (
    HelloReceived,
    ProtocolViolation,
    RpcReceived,
    RpcRejected,
    ServerConnection,
)
from nbi.protocol.names import BASE_NS, CAP_BASE_10, CAP_BASE_11
from nbi.protocol.xml import parse

NC = {"nc": BASE_NS}


def hello(*capabilities: str, session_id: str = "") -> bytes:
    listed = "".join(f"<capability>{uri}</capability>" for uri in capabilities)
    return (
        f"<hello xmlns='{BASE_NS}'><capabilities>{listed}</capabilities>{session_id}</hello>]]>]]>".encode()
    )


def connection(client_hello: bytes | None = None, max_message: int = 10_000) -> ServerConnection:
    server = ServerConnection(7, [CAP_BASE_10, CAP_BASE_11, "urn:x?a=1&b=2"], max_message, {})
    if client_hello is not None:
        server.receive(client_hello)
        assert isinstance(server.interpret(server.next_message()), HelloReceived)
    return server


def chunk(data: bytes) -> bytes:
    return b"\n#%d\n%b\n##\n" % (len(data), data)


def send(server: ServerConnection, data: bytes):
    server.receive(data)
    return server.interpret(server.next_message())


def test_greeting_is_delimited_and_names_session_and_capabilities():
    greeting = connection().greeting()
    assert greeting.endswith(b"]]>]]>")
    root = parse(greeting[:-6])
    assert root.findtext("nc:session-id", None, NC) == "7"
    assert [c.text for c in root.iter("{*}capability")] == [CAP_BASE_10, CAP_BASE_11, "urn:x?a=1&b=2"]


def test_both_speak_11_and_frames_change():
    server = connection(hello(CAP_BASE_10, CAP_BASE_11))
    event = send(server, chunk(b"<rpc xmlns='%b' message-id='1'><get/></rpc>" % BASE_NS.encode()))
    assert isinstance(event, RpcReceived)
    assert event.rpc.name == "get"
    assert server.framer.message(b"x") == b"\n#1\nx\n##\n"


def test_a_10_client_keeps_the_delimiter():
    server = connection(hello(CAP_BASE_10))
    event = send(server, b"<rpc xmlns='%b' message-id='1'><get/></rpc>]]>]]>" % BASE_NS.encode())
    assert isinstance(event, RpcReceived)
    assert server.framer.message(b"x") == b"x]]>]]>"


@pytest.mark.parametrize(
    "first",
    [
        hello(CAP_BASE_11, session_id="<session-id>4</session-id>"),
        hello("urn:ietf:params:netconf:base:9.9"),
        b"<hello/>]]>]]>",
        b"not xml]]>]]>",
        b"<!DOCTYPE x><hello/>]]>]]>",
        f"<rpc xmlns='{BASE_NS}' message-id='1'><get/></rpc>]]>]]>".encode(),
    ],
)
def test_a_bad_hello_ends_the_session_without_a_word(first):
    server = connection()
    server.receive(first)
    with pytest.raises(ProtocolViolation) as violation:
        server.interpret(server.next_message())
    assert violation.value.bad_hello
    assert violation.value.farewell == b""


def rejected(message: str) -> etree._Element:
    event = send(connection(hello(CAP_BASE_11)), chunk(message.encode()))
    assert isinstance(event, RpcRejected)
    return parse(event.reply)


@pytest.mark.parametrize(
    ("message", "tag", "info"),
    [
        (f"<rpc xmlns='{BASE_NS}'><get/></rpc>", "missing-attribute", ["message-id", "rpc"]),
        (f"<rpc xmlns='{BASE_NS}' message-id='1'/>", "missing-element", ["operation"]),
        (f"<rpc xmlns='{BASE_NS}' message-id='1'><get/><lock/></rpc>", "unknown-element", ["lock"]),
        ("<rpc message-id='1'><get/></rpc>", "malformed-message", []),
        ("<get/>", "malformed-message", []),
        (hello(CAP_BASE_11)[:-6].decode(), "malformed-message", []),
        ("<rpc", "malformed-message", []),
        ("<!DOCTYPE rpc><rpc/>", "malformed-message", []),
    ],
)
def test_what_is_no_request_is_answered(message, tag, info):
    reply = rejected(message)
    assert reply.findtext(".//nc:error-tag", None, NC) == tag
    assert reply.findtext(".//nc:error-type", None, NC) == "rpc"
    assert [item.text for item in reply.iterfind(".//nc:error-info/*", NC)] == info


def test_rejection_echoes_the_message_id():
    reply = rejected(f"<rpc xmlns='{BASE_NS}' message-id='a&quot;&lt;b'/>")
    assert reply.get("message-id") == 'a"<b'


def test_malformed_message_is_not_sent_to_a_10_client():
    server = connection(hello(CAP_BASE_10))
    server.receive(b"<rpc]]>]]>")
    with pytest.raises(ProtocolViolation) as violation:
        server.interpret(server.next_message())
    assert violation.value.farewell == b""


def test_reply_echoes_attributes_and_namespaces():
    event = send(
        connection(hello(CAP_BASE_11)),
        chunk(
            f"<n:rpc xmlns:n='{BASE_NS}' xmlns='urn:other' xmlns:u='urn:user' n:message-id='no' "
            "message-id='1 &#10;&gt;' u:tag='&quot;é&quot;' plain='x'><n:get/></n:rpc>".encode()
        ),
    )
    assert isinstance(event, RpcReceived)
    reply = parse(event.rpc.reply_start + b"<ok/></rpc-reply>")
    assert reply.tag == f"{{{BASE_NS}}}rpc-reply"
    assert dict(reply.attrib) == {
        "message-id": "1 \n>",
        "{urn:user}tag": '"é"',
        "plain": "x",
        f"{{{BASE_NS}}}message-id": "no",
    }
    assert reply.nsmap["u"] == "urn:user"
    assert reply[0].tag == f"{{{BASE_NS}}}ok"


def test_lost_framing_says_farewell_where_allowed():
    server = connection(hello(CAP_BASE_11))
    server.receive(b"\n#0\n")
    with pytest.raises(ProtocolViolation) as violation:
        server.next_message()
    assert b"malformed-message" in violation.value.farewell
    assert violation.value.farewell.endswith(b"\n##\n")


@pytest.mark.parametrize(
    ("base", "data"), [(CAP_BASE_10, b"x" * 20_000), (CAP_BASE_11, b"\n#20000\n")], ids=["1.0", "1.1"]
)
def test_too_big_a_message_says_so(base, data):
    server = connection(hello(base))
    server.receive(data)
    with pytest.raises(ProtocolViolation) as violation:
        server.next_message()
    assert b"too-big" in violation.value.farewell


def test_too_big_a_hello_ends_in_silence():
    server = connection(None, 100)
    server.receive(b"x" * 200)
    with pytest.raises(ProtocolViolation) as violation:
        server.next_message()
    assert violation.value.farewell == b""
