"""Sessions over the unix socket: order, ends, limits."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest
from lxml import etree

from nbi.link import Link
from nbi.protocol.names import BASE_NS, CAP_BASE_10, CAP_BASE_11, CAP_YANG_LIBRARY
from nbi.session import NetconfSession
from tests.support.waiting import until
from yang.access import User

NC = {"nc": BASE_NS}
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
GET_ALL = f"<get><filter><sessions xmlns='{SUBSCRIBER}'/></filter></get>"


def get_one(number: int) -> str:
    key = f"<session><id>{number:016x}</id></session>"
    return f"<get><filter><sessions xmlns='{SUBSCRIBER}'>{key}</sessions></filter></get>"


def sessions_of(reply: etree._Element) -> list[str]:
    return [entry.text for entry in reply.iterfind(".//s:sessions/s:session/s:id", {"s": SUBSCRIBER})]


async def test_hello_names_session_capabilities_and_modules(serve):
    served = await serve()
    first, second = await served.client(), await served.client()
    assert {first.session_id, second.session_id} == {1, 2}
    capabilities = [c.text for c in first.hello.iter("{*}capability")]
    assert CAP_BASE_11 in capabilities
    assert "urn:ietf:params:netconf:capability:candidate:1.0" in capabilities
    library = next(c for c in capabilities if c.startswith(CAP_YANG_LIBRARY))
    assert f"content-id={served.element.tree.schema.content_id}" in library
    assert any(c.startswith(f"{SUBSCRIBER}?module=aether-subscriber&revision=") for c in capabilities)
    for announced in ("startup:1.0", "url:1.0?scheme=file", "private-candidate:1.0"):
        assert f"urn:ietf:params:netconf:capability:{announced}" in capabilities
    assert not any("writable-running" in c for c in capabilities)


async def test_replies_come_in_the_order_of_the_requests(serve):
    client = await (await serve(2000)).client()
    sent = [client.request(GET_ALL if number % 10 == 0 else get_one(number)) for number in range(30)]
    received = [(await client.reply()) for _ in sent]
    assert [reply.get("message-id") for reply in received] == sent
    assert sessions_of(received[7]) == [f"{7:016x}"]
    assert len(sessions_of(received[10])) == 2000


async def test_a_10_session(serve):
    client = await (await serve(300)).client(CAP_BASE_10)
    assert len(sessions_of(await client.rpc(GET_ALL))) == 300


async def test_reply_echoes_attributes(serve):
    client = await (await serve()).client()
    client.write(
        f"<n:rpc xmlns:n='{BASE_NS}' xmlns:u='urn:user' message-id='&lt;1&gt;' u:who='me'>"
        "<n:discard-changes/></n:rpc>"
    )
    reply = await client.reply()
    assert reply.get("message-id") == "<1>"
    assert reply.get("{urn:user}who") == "me"
    assert reply.find("nc:ok", NC) is not None


@pytest.mark.parametrize(
    ("message", "tag"),
    [
        (f"<rpc xmlns='{BASE_NS}'><get/></rpc>", "missing-attribute"),
        (f"<rpc xmlns='{BASE_NS}' message-id='1'><get></rpc>", "malformed-message"),
        ("<!DOCTYPE r [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><r>&b;</r>", "malformed-message"),
        (f"<rpc xmlns='{BASE_NS}' message-id='1'><no-such-operation/></rpc>", "operation-not-supported"),
        (f"<rpc xmlns='{BASE_NS}' message-id='1'><get xmlns='urn:none'/></rpc>", "unknown-namespace"),
        (f"<rpc xmlns='{BASE_NS}' message-id='1'><get><what/></get></rpc>", "unknown-element"),
        (f"<rpc xmlns='{BASE_NS}' message-id='1'><get what='1'/></rpc>", "unknown-attribute"),
        (f"<rpc xmlns='{BASE_NS}' message-id='1'><get-config/></rpc>", "missing-element"),
        (
            f"<rpc xmlns='{BASE_NS}' message-id='1'><get><filter type='x'/></get></rpc>",
            "bad-attribute",
        ),
        (
            f"<rpc xmlns='{BASE_NS}' message-id='1'><get><filter type='xpath'/></get></rpc>",
            "missing-attribute",
        ),
        (
            f"<rpc xmlns='{BASE_NS}' message-id='1'><get><filter type='xpath' select='/a['/></get></rpc>",
            "invalid-value",
        ),
        (
            f"<rpc xmlns='{BASE_NS}' message-id='1'><kill-session><session-id>99</session-id>"
            "</kill-session></rpc>",
            "invalid-value",
        ),
    ],
)
async def test_a_mistake_is_answered_and_the_session_goes_on(serve, message, tag):
    client = await (await serve()).client()
    client.write(message)
    assert (await client.reply()).findtext(".//nc:error-tag", None, NC) == tag
    assert sessions_of(await client.rpc(get_one(3))) == [f"{3:016x}"]


async def test_lost_framing_ends_the_session_with_a_word(serve):
    client = await (await serve()).client()
    client.writer.write(b"\n#0\n")
    assert (await client.reply()).findtext(".//nc:error-tag", None, NC) == "malformed-message"
    assert await client.ended()


async def test_too_big_a_message_ends_the_session_with_a_word(serve):
    client = await (await serve(max_message=100_000)).client()
    client.writer.write(b"\n#100001\n")
    assert (await client.reply()).findtext(".//nc:error-tag", None, NC) == "too-big"
    assert await client.ended()


async def test_a_large_message_within_the_limit(serve):
    client = await (await serve()).client()
    padding = "<x>" + "y" * 1000 + "</x>"
    error = await client.error(f"<get><filter>{padding * 900}</filter><what/></get>")
    assert error.findtext("nc:error-tag", None, NC) == "unknown-element"


async def test_a_bad_hello_ends_the_session(serve):
    served = await serve()
    client = await served.connect()
    client.write(f"<hello xmlns='{BASE_NS}'><capabilities/><session-id>1</session-id></hello>")
    await client.message()
    assert await client.ended()
    statistics = await (await served.client()).rpc(
        "<get><filter><netconf-state xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring'>"
        "<statistics/></netconf-state></filter></get>"
    )
    assert statistics.findtext(".//{*}in-bad-hellos") == "1"


async def test_no_hello_in_time(serve):
    client = await (await serve(hello_timeout=0.05)).connect()
    await client.message()
    assert await client.ended()


async def test_close_session(serve):
    served = await serve()
    client = await served.client()
    client.request("<close-session/>")
    client.request("<get/>")
    assert (await client.reply()).find("nc:ok", NC) is not None
    assert await client.ended()
    await served.ended(client.session_id)


async def test_what_was_sent_before_the_end_is_answered(serve):
    client = await (await serve()).client()
    client.request(get_one(1))
    client.request(get_one(2))
    client.writer.write_eof()
    assert [sessions_of(await client.reply()) for _ in range(2)] == [[f"{1:016x}"], [f"{2:016x}"]]
    assert await client.ended()


async def test_sessions_are_limited(serve):
    served = await serve(max_sessions=2)
    await served.client()
    second = await served.client()
    refused = await served.connect()
    assert await refused.ended()
    second.close()
    await served.ended(second.session_id)
    assert (await served.client()).session_id == 3


async def test_a_big_reply_does_not_hold_up_a_small_one(serve):
    served = await serve(10_000)
    big, small = await served.client(), await served.client()
    big.request(GET_ALL)
    await big.reader.readexactly(100)
    assert sessions_of(await small.rpc(get_one(5))) == [f"{5:016x}"]
    # The big reply is larger than every buffer on its way, and nobody has read it.
    assert served.server.sessions[big.session_id]._busy


async def test_a_client_that_does_not_read_is_dropped(serve):
    served = await serve(10_000, stall_timeout=0.1)
    slow, other = await served.client(), await served.client()
    await slow.ok("<lock><target><candidate/></target></lock>")
    for _ in range(4):
        slow.request(GET_ALL)
    await served.ended(slow.session_id)
    await other.ok("<lock><target><candidate/></target></lock>")


async def test_a_flood_of_requests_is_not_read_ahead(serve):
    served = await serve(10_000)
    client = await served.client()
    client.request(GET_ALL)
    await client.reader.readexactly(100)
    client.writer.write(b"\n#1000000\n" + b" " * 500_000)
    session = served.server.sessions[client.session_id]
    for _ in range(50):
        await asyncio.sleep(0.002)
    assert session._busy
    assert session._connection.buffered < 400_000


async def test_kill_session_releases_locks_before_it_answers(serve):
    served = await serve()
    victim, killer = await served.client(), await served.client()
    await victim.ok("<lock><target><running/></target></lock>")
    error = await killer.error("<lock><target><running/></target></lock>")
    assert error.findtext("nc:error-tag", None, NC) == "lock-denied"
    assert error.findtext("nc:error-info/nc:session-id", None, NC) == str(victim.session_id)
    await killer.ok(f"<kill-session><session-id>{victim.session_id}</session-id></kill-session>")
    await killer.ok("<lock><target><running/></target></lock>")
    assert await victim.ended()
    own = f"<kill-session><session-id>{killer.session_id}</session-id></kill-session>"
    assert await killer.error_tag(own) == "invalid-value"


async def test_two_sessions_that_kill_each_other_both_end(serve):
    served = await serve()
    first, second = await served.client(), await served.client()
    first.request(f"<kill-session><session-id>{second.session_id}</session-id></kill-session>")
    second.request(f"<kill-session><session-id>{first.session_id}</session-id></kill-session>")
    await until(lambda: len(served.server.sessions) <= 1)
    assert sessions_of(await (await served.client()).rpc(get_one(1))) == [f"{1:016x}"]


@pytest.mark.parametrize("seed", range(20))
async def test_noise_harms_nobody(serve, seed):
    served = await serve()
    noisy, other = await served.client(), await served.client()
    random = Random(seed)
    pieces = [b"\n#", b"\n##\n", b"]]>]]>", b"12\n", b"<rpc", b"/>", b"\xff\xfe", b"<get/>", b"&x;", b"\0"]
    for _ in range(50):
        noisy.writer.write(b"".join(random.choices(pieces, k=random.randrange(1, 9))))
        if seed % 2:
            noisy.write(random.randbytes(random.randrange(1, 200)))
    noisy.writer.write_eof()
    await served.ended(noisy.session_id)
    assert sessions_of(await other.rpc(get_one(1))) == [f"{1:016x}"]


async def test_locks_end_with_the_session(serve):
    served = await serve()
    first, second = await served.client(), await served.client()
    await first.ok("<lock><target><candidate/></target></lock>")
    assert await second.error_tag("<lock><target><candidate/></target></lock>") == "lock-denied"
    first.close()
    await served.ended(first.session_id)
    await second.ok("<lock><target><candidate/></target></lock>")


async def test_monitoring_lists_sessions(serve):
    served = await serve()
    client, other = await served.client(), await served.client()
    await other.error_tag("<no-such-operation/>")
    reply = await client.rpc(
        "<get><filter><netconf-state xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring'>"
        "<sessions/></netconf-state></filter></get>"
    )
    listed = {entry.findtext("{*}session-id"): entry for entry in reply.iter("{*}session")}
    assert set(listed) == {str(client.session_id), str(other.session_id)}
    entry = listed[str(other.session_id)]
    assert entry.findtext("{*}username") == "admin"
    assert entry.findtext("{*}in-rpcs") == "1"
    assert entry.findtext("{*}out-rpc-errors") == "1"


async def test_stopping_the_server_ends_its_sessions(serve):
    served = await serve()
    client = await served.client()
    await served.server.stop()
    assert await client.ended()
    assert served.server.sessions == {}
    assert not served.path.exists()


class HoldingTransport:
    """Keeps what arrives while reading is paused, and hands it over inside of resume_reading."""

    def __init__(self) -> None:
        self.session: NetconfSession | None = None
        self.written = bytearray()
        self.held: list[bytes] = []
        self.paused = False
        self.at_write: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        self.written += data
        self.at_write()

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        held, self.held = self.held, []
        for data in held:
            self.arrive(data)

    def arrive(self, data: bytes) -> None:
        if self.paused:
            self.held.append(data)
        else:
            self.session.data_received(data)

    def close(self) -> None: ...

    def abort(self) -> None: ...


async def test_a_request_that_comes_while_reading_is_paused_is_not_forgotten(serve):
    """The end of a large request is held back while the one before is still under way."""
    served = await serve()
    transport = HoldingTransport()
    link = Link(transport, 60)
    transport.session = served.server.open_session(link, User("admin"), "netconf-ssh", "test")
    transport.arrive(
        f"<hello xmlns='{BASE_NS}'><capabilities><capability>{CAP_BASE_10}</capability></capabilities>"
        "</hello>]]>]]>".encode()
    )
    small = f"<rpc xmlns='{BASE_NS}' message-id='1'><discard-changes/></rpc>]]>]]>".encode()
    large = (
        f"<rpc xmlns='{BASE_NS}' message-id='2'><!--{'x' * 200_000}--><discard-changes/></rpc>]]>]]>".encode()
    )

    def next_request() -> None:
        if b'message-id="1"' in transport.written:
            transport.at_write = lambda: None
            transport.arrive(large[:100_000])
            transport.arrive(large[100_000:])

    transport.at_write = next_request
    transport.arrive(small)
    await until(lambda: b'message-id="2"' in transport.written)


async def test_a_session_that_is_killed_twice_ends_its_change_first(serve, monkeypatch):
    """What it commits for a while goes with it, also when it was killed or lost already."""
    served = await serve()
    victim, *killers = [await served.client() for _ in range(3)]
    begun, go_on = asyncio.Event(), asyncio.Event()
    datastores, profiles = served.element.tree.datastores, served.element.profiles
    before, prepare = datastores.running.tree, profiles.prepare

    async def slow(diff):
        begun.set()
        await go_on.wait()
        return await prepare(diff)

    monkeypatch.setattr(profiles, "prepare", slow)
    await victim.ok(
        "<edit-config><target><candidate/></target><config>"
        "<shaping-profiles xmlns='urn:aether:yang:aether-shaping'><profile><name>new</name>"
        "<download><rate>5000000</rate></download><upload><rate>5000000</rate></upload>"
        "</profile></shaping-profiles></config></edit-config>"
    )
    victim.request("<commit><confirmed/></commit>")
    await begun.wait()
    for killer in killers:
        killer.request(f"<kill-session><session-id>{victim.session_id}</session-id></kill-session>")
        await asyncio.sleep(0.1)
    assert victim.session_id in served.server.sessions
    go_on.set()
    for killer in killers:
        assert (await killer.reply()).find("nc:ok", NC) is not None
    assert not datastores.confirmed_commit.active
    assert datastores.running.tree == before
