"""What NETCONF and gNMI clients send, and what a BNG sends to the collector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from lxml import etree

from collector import decode, events
from collector.template import Reader
from nbi.protocol import event_filter, xml
from nbi.protocol.connection import HelloReceived, ProtocolViolation, ServerConnection
from nbi.protocol.errors import RpcError
from telemetry.protocol import gnmi_pb2, model, paths, tunnel_pb2
from telemetry.protocol.paths import PathError as GnmiPathError
from telemetry.tunnel.desk import Added, Desk
from telemetry.tunnel.registration import Answer, End, Registration, TunnelError
from tests.fuzz.runner import Target
from yang import path as data_paths
from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.edit import ValueReader
from yang.datastore.edit_xml import XmlEdits
from yang.path import DataPath
from yang.provider import OperationError
from yang.query.subtree import select_subtree
from yang.query.xpath import select_xpath
from yang.schema import Schema

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
SHAPING = "urn:aether:yang:aether-shaping"
_NAMES = [b"sessions", b"session", b"id", b"shaping-profiles", b"profile", b"counters", b"in-octets"]
_XML_TOKENS = [b"<a>", b"</a>", b"&lt;", b"&x;", b"<![CDATA[", b"]]>", b"<!--", b"<?p?>", b"]]>]]>", *_NAMES]
_XPATH_TOKENS = [
    b"//",
    b"..",
    b"[",
    b"]",
    b"='",
    b"'",
    b"|",
    b"*",
    b" or ",
    b" and ",
    b"not(",
    b"::",
    *_NAMES,
]


def targets() -> Iterator[Target]:
    yield Target("netconf", _sessions(), _netconf, tokens=[*_XML_TOKENS, b"\n##\n", b"\n#12\n"])
    yield Target("xml", _SUBTREES + _EDITS, _xml, tokens=_XML_TOKENS)
    yield Target("subtree", _SUBTREES, _subtree, tokens=_XML_TOKENS)
    yield Target("event-filter", _SUBTREES, _event_filter, tokens=_XML_TOKENS)
    yield Target("edit-config", _EDITS, _edit, tokens=_XML_TOKENS)
    yield Target("xpath", _XPATHS, _xpath, tokens=_XPATH_TOKENS)
    yield Target("data-path", _PATHS[:2], _data_path, tokens=_XPATH_TOKENS)
    yield Target("gnmi-path-text", _PATHS, _gnmi_text, tokens=_XPATH_TOKENS)
    yield Target("gnmi-path", _gnmi_requests(), _gnmi_path)
    yield Target("gnmi-tunnel", _tunnel_servers(), _tunnel)
    yield Target("gnmi-tunnel-desk", _tunnel_clients(), _desk)
    yield Target("collector", _responses(), _collector)


@cache
def _schema() -> Schema:
    return SchemaBuilder(load_context()).build()


_SUBTREES = [
    (
        f'<filter><sessions xmlns="{SUBSCRIBER}"><session><id>{"0" * 16}</id><counters/></session></sessions>'
        "</filter>"
    ).encode(),
    (
        f'<filter><shaping-profiles xmlns="{SHAPING}"><profile><name>gold</name></profile>'
        "</shaping-profiles></filter>"
    ).encode(),
    b"<filter/>",
]
_EDITS = [
    (
        f'<config xmlns:nc="{BASE}"><shaping-profiles xmlns="{SHAPING}"><profile nc:operation="replace">'
        "<name>gold</name><download><rate>1000000</rate></download><upload><rate>1000000</rate></upload>"
        "</profile></shaping-profiles></config>"
    ).encode(),
    (
        b'<config><bng xmlns="urn:aether:yang:aether-bng"><interfaces><subscriber>eth1</subscriber>'
        b"</interfaces></bng></config>"
    ),
]
_XPATHS = [
    b"/s:sessions/s:session[s:id='0000000000000001']/s:counters",
    b"/s:sessions/s:session[s:status='active' or s:profile=\"gold\"] | //s:in-octets",
    b"/s:sessions//s:circuit-id",
]
_PATHS = [
    b"/aether-subscriber:sessions/session[id='0000000000000001']/counters/in-octets",
    b'/aether-shaping:shaping-profiles/profile[name="go\\"ld"]',
    b"/aether-subscriber:sessions/session[id=*]/...",
]
_HELLO = (
    f'<hello xmlns="{BASE}"><capabilities><capability>urn:ietf:params:netconf:base:1.1</capability>'
    "</capabilities></hello>]]>]]>"
).encode()


def _sessions() -> list[bytes]:
    get = f'<rpc xmlns="{BASE}" message-id="1"><get>{_SUBTREES[1].decode()}</get></rpc>'.encode()
    edit = (
        f'<rpc xmlns="{BASE}" message-id="2"><edit-config><target><candidate/></target>'
        f"{_EDITS[0].decode()}</edit-config></rpc>"
    ).encode()
    chunks = b"".join(b"\n#%d\n%b" % (len(part), part) for part in (get[:40], get[40:])) + b"\n##\n"
    return [_HELLO + chunks + b"\n#%d\n%b\n##\n" % (len(edit), edit), _HELLO]


def _netconf(data: bytes) -> bool:
    """A whole session: framing, hello, requests."""
    connection = ServerConnection(1, ["urn:ietf:params:netconf:base:1.1"], 1 << 20, {})
    connection.receive(data)
    greeted = False
    try:
        while (message := connection.next_message()) is not None:
            greeted |= isinstance(connection.interpret(message), HelloReceived)
    except ProtocolViolation:
        return False
    return greeted


def _xml(data: bytes) -> bool:
    try:
        root = xml.parse(data)
    except xml.MalformedXml:
        return False
    again = etree.tostring(root, encoding="utf-8")
    assert etree.tostring(xml.parse(again), encoding="utf-8") == again
    return True


def _subtree(data: bytes) -> bool:
    try:
        select_subtree(_schema(), xml.parse(data))
    except (xml.MalformedXml, OperationError):
        return False
    return True


def _event_filter(data: bytes) -> bool:
    try:
        selects = event_filter.subtree_filter(xml.parse(data))
    except (xml.MalformedXml, RpcError):
        return False
    selects(etree.fromstring(f'<session-start xmlns="{SUBSCRIBER}"><seq>1</seq></session-start>'))
    return True


def _edit(data: bytes) -> bool:
    try:
        XmlEdits(_schema(), ValueReader(lambda *_: None)).read(xml.parse(data))
    except (xml.MalformedXml, OperationError):
        return False
    return True


def _xpath(data: bytes) -> bool:
    try:
        select_xpath(_schema(), data.decode("utf-8", "replace"), {"s": SUBSCRIBER})
    except OperationError:
        return False
    return True


def _data_path(data: bytes) -> bool:
    try:
        found = DataPath.parse(data.decode("utf-8", "replace"))
    except data_paths.PathError:
        return False
    assert DataPath.parse(str(found)) == found
    return True


def _gnmi_text(data: bytes) -> bool:
    try:
        steps = paths.from_text(data.decode("utf-8", "replace"))
    except GnmiPathError:
        return False
    assert paths.from_text(paths.to_text(steps)) == steps
    return True


def _gnmi_requests() -> list[bytes]:
    found = []
    for text in _PATHS:
        path = paths.build(paths.from_text(text.decode()))
        value = gnmi_pb2.TypedValue(json_ietf_val=b'{"rate": "8000"}')
        request = gnmi_pb2.SetRequest(update=[gnmi_pb2.Update(path=path, val=value)])
        found.append(request.SerializeToString())
    return found


def _gnmi_path(data: bytes) -> bool:
    try:
        request = gnmi_pb2.SetRequest.FromString(data)
    except Exception:  # protobuf's own DecodeError has no stable place
        return False
    for update in request.update:
        try:
            model.data_path(_schema(), request.prefix, update.path)
        except (GnmiPathError, data_paths.PathError):
            continue
    return True


def _tunnel_servers() -> list[bytes]:
    """What a tunnel server says in a Register stream; an octet before each message says how long it is."""
    named = {"target": "bng-01", "target_type": "GNMI_GNOI"}
    taken = tunnel_pb2.RegisterOp(target=tunnel_pb2.Target(accept=True, **named))
    asked = [
        tunnel_pb2.RegisterOp(session=tunnel_pb2.Session(accept=True, tag=tag, **named)) for tag in (1, 2, 7)
    ]
    given_up = tunnel_pb2.RegisterOp(session=tunnel_pb2.Session(tag=1, error="never mind"))
    other = tunnel_pb2.RegisterOp(subscription=tunnel_pb2.Subscription(accept=True))
    return [_framed([taken, *asked, given_up]), _framed([other, asked[0], taken])]


def _framed(messages: Iterable[tunnel_pb2.RegisterOp]) -> bytes:
    texts = [message.SerializeToString() for message in messages]
    return b"".join(bytes([len(text)]) + text for text in texts)


def _tunnel(data: bytes) -> bool:
    registration = Registration("bng-01", "GNMI_GNOI", 2)
    assert registration.begin()
    while data:
        message, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        open_before = set(registration.sessions)
        try:
            action = registration.receive(message)
        except TunnelError as error:
            assert len(str(error)) < 400
            return False
        if isinstance(action, Answer):
            answer = tunnel_pb2.RegisterOp.FromString(action.octets).session
            assert answer.error and not answer.accept
        elif isinstance(action, End):
            assert action.tag in open_before
            registration.ended(action.tag)
        elif action is not None:
            assert action.tag > 0 and action.tag not in open_before
        assert len(registration.sessions) <= 2
    return True


def _tunnel_clients() -> list[bytes]:
    """What targets say to a tunnel server."""
    added, other, removed = (
        tunnel_pb2.RegisterOp(target=tunnel_pb2.Target(op=op, target=name, target_type="GNMI_GNOI"))
        for op, name in ((1, "bng-01"), (1, "bng-02"), (2, "bng-01"))
    )
    failed = tunnel_pb2.RegisterOp(session=tunnel_pb2.Session(tag=1, error="no"))
    asked = tunnel_pb2.RegisterOp(session=tunnel_pb2.Session(tag=-1, target="bng-02"))
    told = tunnel_pb2.RegisterOp(subscription=tunnel_pb2.Subscription(op=1))
    return [_framed([added, other, removed]), _framed([added, failed, asked, told])]


def _desk(data: bytes) -> bool:
    desk = Desk({"bng-07"})
    while data:
        message, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        try:
            action = desk.receive(message)
        except TunnelError:
            return False
        if isinstance(action, Added):
            assert action.name in desk.targets
            assert action.name != "bng-07" and "/" not in action.name and not action.name.startswith(".")
    return True


_COUNTERS = ("in-octets", "out-octets", "in-packets", "out-packets", "in-discards", "out-discards")


def _responses() -> list[bytes]:
    event = gnmi_pb2.SubscribeResponse()
    event.update.timestamp = 1_800_000_000_000_000_000
    update = event.update.update.add()
    update.path.CopyFrom(paths.build(paths.from_text("/events/event[seq=3]")))
    update.val.json_ietf_val = (
        b'{"seq": "3", "type": "session-stop", "started": "2026-11-21T02:00:01.123456789Z", '
        b'"counters": {"in-octets": "7"}, "access-line": {"circuit-id": "1/0/3"}}'
    )
    samples = gnmi_pb2.SubscribeResponse()
    for number in range(3):
        for name in (*_COUNTERS, "tick"):
            update = samples.update.update.add()
            text = f"/sessions/session[id={number:016x}]/counters/{name}"
            update.path.CopyFrom(paths.build(paths.from_text(text)))
            update.val.uint_val = number
    return [event.SerializeToString(), samples.SerializeToString()]


_READER = Reader()


def _collector(data: bytes) -> bool:
    try:
        _READER.read(data)
        response = gnmi_pb2.SubscribeResponse.FromString(data)
    except decode.DecodeError:
        return False
    except Exception as error:  # protobuf's own DecodeError has no stable place
        assert type(error).__name__ == "DecodeError", error
        return False
    entry = events.read(response.update)  # never an error: one that cannot be read is an entry, too
    if entry:
        entry.text("type")
    try:
        decode.event(response.update)
        for below, read in (("session", decode.session), ("health", decode.health)):
            for _, leaves in decode.entries(response.update, below=below):
                read(leaves)
    except decode.DecodeError:
        return False
    return True
