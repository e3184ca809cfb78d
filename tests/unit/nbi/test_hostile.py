"""Hostile messages and clients: the right rpc-error or a closed session, and nobody else notices."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest
from lxml import etree

from nbi.protocol.names import BASE_NS, CAP_BASE_10, CAP_BASE_11, CAP_PRIVATE_CANDIDATE
from tests.support.waiting import PATIENCE, until
from tests.unit.nbi.subscribing import SESSIONS, SN, on, periodic, stream
from yang.xpath import engine

NC = {"nc": BASE_NS}
BOUND = 3.0 * PATIENCE
"""Seconds within which a bystander is answered; milliseconds on a machine that is not busy."""
SMALL = "<get-config><source><running/></source><filter/></get-config>"
MONITORING = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"


class Bystander:
    """Asks all the time, and remembers how long it had to wait."""

    def __init__(self, client) -> None:
        self.longest = 0.0
        self.answers = 0
        self._task = asyncio.create_task(self._ask(client))

    async def _ask(self, client) -> None:
        while True:
            began = time.monotonic()
            reply = await client.rpc(SMALL)
            assert reply.find("nc:data", NC) is not None
            self.longest = max(self.longest, time.monotonic() - began)
            self.answers += 1
            await asyncio.sleep(0.01)

    async def __aenter__(self) -> Bystander:
        return self

    async def __aexit__(self, kind, *_) -> None:
        if kind is None:
            await until(lambda: self.answers or self._task.done())
        done = self._task.done()
        self._task.cancel()
        if kind is None:
            assert not done, "the bystander got no answer"
            assert self.answers
            assert self.longest < BOUND


def names(template: str, count: int) -> str:
    return " ".join(template.format(number) for number in range(count))


def rpc(content: str, attributes: str = "") -> str:
    return f"<rpc xmlns='{BASE_NS}' message-id='1' {attributes}>{content}</rpc>"


BOMBS = {
    "entities": "<!DOCTYPE a [<!ENTITY a 'x'><!ENTITY b '&a;&a;'>]>" + rpc("<get>&b;</get>"),
    "external entity": "<!DOCTYPE a [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + rpc("<get>&a;</get>"),
    "depth": rpc("<a>" * 5_000 + "</a>" * 5_000),
    "elements": rpc("<get><filter>" + "<a/>" * 600_000 + "</filter></get>"),
    "attributes": rpc("<get/>", names("a{}=''", 100_000)),
    "attributes inside": rpc("<get><filter><a " + names("b{}=''", 100_000) + "/></filter></get>"),
    "namespaces": rpc("<get/>", names("xmlns:a{}='u'", 100_000)),
    "namespaces of many levels": rpc(
        "<get>"
        + "".join("<a " + names(f"xmlns:p{level}x{{}}='u'", 100) + ">" for level in range(20))
        + "</a>" * 20
        + "</get>"
    ),
    "text": rpc(f"<get><filter>{'x' * 10_100_000}</filter></get>"),
    "a name": rpc(f"<{'a' * 10_100_000}/>"),
    "an undeclared prefix beside a relative namespace": rpc("<get><a:b/><c xmlns='d'/></get>"),
    "an attribute with two colons": rpc("<get><c xmlns='d'/></get>", "a:b:c=''"),
    "NUL": rpc("<get>\0</get>"),
    "another encoding": "<?xml version='1.0' encoding='utf-16'?>" + rpc("<get>\ud7ff</get>")[:-3],
}


async def test_bombs_are_refused_and_others_are_answered(serve):
    served = await serve(sessions=5)
    attacker = await served.client()
    async with Bystander(await served.client()):
        for name, bomb in BOMBS.items():
            attacker.write(bomb)
            reply = await attacker.reply()
            assert reply.findtext("nc:rpc-error/nc:error-tag", None, NC) == "malformed-message", name
        await attacker.ok("<discard-changes/>")


@pytest.mark.parametrize("base_11", [True, False])
async def test_a_message_cut_at_every_octet(serve, base_11):
    served = await serve(sessions=1)
    client = await served.client(*([CAP_BASE_10, CAP_BASE_11] if base_11 else [CAP_BASE_10]))
    requests = (rpc("<discard-changes/>"), rpc("<get><filter/></get>"), rpc("<nothing/>"))
    sent = 0
    for request in requests:
        data = request.encode()
        for cut in range(1, len(data)):
            parts = (data[:cut], data[cut:])
            if base_11:
                client.writer.write(b"".join(b"\n#%d\n%b" % (len(part), part) for part in parts) + b"\n##\n")
            else:
                client.writer.write(b"".join(parts) + b"]]>]]>")
            sent += 1
    for _ in range(sent):
        assert (await client.reply()).get("message-id") == "1"
    # the stream itself in pieces, inside of delimiters and headers too
    framed = client._framer.message(requests[0].encode())
    for cut in range(1, len(framed), 7 if base_11 else 1):
        client.writer.write(framed[:cut])
        await asyncio.sleep(0)
        client.writer.write(framed[cut:])
        assert (await client.reply()).find("nc:ok", NC) is not None


@pytest.mark.parametrize(
    ("octets", "tag"),
    [
        (b"\n#4294967295\n", "too-big"),
        (b"\n#104857600\n" + b"x" * 70_000, "too-big"),
        (b"\n#4294967296\n", "malformed-message"),
        (b"\n#0\n", "malformed-message"),
        (b"\n#01\n", "malformed-message"),
        (b"\n#-1\n", "malformed-message"),
        (b"\n##\n", "malformed-message"),
        (b"\n#3\nabcd\n##\n", "malformed-message"),
        (b"\n#99999999999999999999", "malformed-message"),
        (b"<rpc/>]]>]]>", "malformed-message"),
    ],
)
async def test_chunks_that_lie(serve, octets, tag):
    served = await serve(sessions=1)
    client = await served.client()
    async with Bystander(await served.client()):
        client.writer.write(octets)
        assert (await client.reply()).findtext("nc:rpc-error/nc:error-tag", None, NC) == tag
        assert await client.ended()


async def test_chunks_of_one_octet(serve):
    served = await serve(sessions=1)
    client = await served.client()
    message = rpc(f"<get><filter>{' ' * 300_000}</filter></get>").encode()
    async with Bystander(await served.client()):
        client.writer.write(b"".join(b"\n#1\n%c" % octet for octet in message) + b"\n##\n")
        assert (await client.reply()).find("nc:data", NC) is not None


XPATHS = (
    "//*[count(//*[count(//*) > 1]) > 1][count(preceding::*[count(following::*) > 1]) > 1]",
    "//*" + "[.//*" * 30 + "]" * 30,
    "count(//*[preceding::*[preceding::*[preceding::*]]]) or //*",
    "string(concat(" + ",".join(["string(/)"] * 100) + ")) or //*",
    "(" * 300 + "1" + ")" * 300,
    "//*[translate(string(/), string(/), string(/)) = '']",
    "-" * 3_000 + "1",
    "1" + "+1" * 1_000,
)


@pytest.mark.parametrize("number", range(len(XPATHS)))
async def test_xpath_bombs(serve, number, monkeypatch):
    monkeypatch.setattr(engine, "MAX_SECONDS", 0.3)
    served = await serve(sessions=50)
    client = await served.client()
    escaped = XPATHS[number].replace(">", "&gt;").replace('"', "&quot;")
    async with Bystander(await served.client()):
        reply = await client.rpc(f'<get><filter type="xpath" select="{escaped}"/></get>')
    error = reply.findtext("nc:rpc-error/nc:error-tag", None, NC)
    assert error in (None, "too-big", "invalid-value"), etree.tostring(reply)[:500]


async def test_clients_that_only_ask_and_never_read(serve):
    """Neither replies nor notifications nor schemas pile up for them."""
    served = await serve(sessions=500, stall_timeout=0.5, min_period=1)
    schema = f"<get-schema xmlns='{MONITORING}'><identifier>ietf-interfaces</identifier></get-schema>"
    kinds = ("<get/>", schema, on("operational", SESSIONS, periodic(1)), stream())
    attackers = [await served.client() for _ in kinds]
    async with Bystander(await served.client()):
        for client, operation in zip(attackers, kinds, strict=True):
            for _ in range(200 if operation != kinds[3] else 0):
                client.request(operation)
        sessions = [served.server.sessions[client.session_id] for client in attackers[:3]]
        for session in sessions:
            await served.ended(session.id)
            assert session._connection.buffered < 1 << 20
    assert not served.server.subscriptions.subscriptions


async def test_subscriptions_by_the_hundred(serve):
    served = await serve(sessions=1)
    clients = [await served.client() for _ in range(6)]
    counts = []
    async with Bystander(await served.client()):
        for client in clients:
            replies = [await client.rpc(stream()) for _ in range(40)]
            counts.append(sum(reply.find(f"{{{SN}}}id") is not None for reply in replies))
    assert counts == [32, 32, 32, 32, 0, 0], "of a session, and of its user"


async def test_what_a_lost_client_held_is_released(serve):
    served = await serve(sessions=1)
    attacker = await served.client()
    await attacker.ok("<lock><target><running/></target></lock>")
    await attacker.ok("<lock><target><candidate/></target></lock>")
    await attacker.rpc(stream())
    other = await served.client()
    assert await other.error_tag("<lock><target><running/></target></lock>") == "lock-denied"
    attacker.writer.transport.abort()
    await served.ended(attacker.session_id)
    for name in ("running", "candidate"):
        await other.ok(f"<lock><target><{name}/></target></lock>")
    assert not served.server.subscriptions.subscriptions


async def test_sessions_that_ended_are_not_kept(serve):
    """Nor by the timer that is there for clients that do not read their last reply."""
    served = await serve(sessions=1)
    kept = []
    for _ in range(5):
        client = await served.client()
        kept.append(weakref.ref(served.server.sessions[client.session_id]))
        await client.ok("<close-session/>")
        await served.ended(client.session_id)
        client.close()
        assert await client.ended()

    def gone() -> bool:
        gc.collect()
        return not any(session() for session in kept)

    await until(gone)


# --- what may not be read ------------------------------------------------------------------------

DECLARED = "xmlns:b='urn:aether:yang:aether-bng' xmlns:s='urn:ietf:params:xml:ns:yang:ietf-system'"
CREATE, DELETE = (f"<secret nc:operation='{operation}'>" for operation in ("create", "delete"))
GUESSES = ("radius-shared-secret", "something else")


def questions(guess: str) -> list[str]:
    """Everything that would be answered otherwise if the guess were right."""
    server = "/b:bng/b:aaa/b:server"
    selects = [
        f"{server}[b:secret='{guess}']/b:name",
        f"//b:server[starts-with(b:secret, '{guess[:4]}')]/b:name",
        f"//b:name[../b:secret='{guess}']",
        f"//b:name[//b:secret='{guess}']",
        f"//b:name[string-length(//b:secret)={len(guess)}]",
        f"//b:server[contains(string(.), '{guess}')]/b:name",
        f"/b:bng[b:aaa/b:server/b:secret='{guess}']/b:identity",
        f"{server}/b:secret[.='{guess}']/../b:name",
        f"{server}/b:*[.='{guess}']/preceding-sibling::b:name",
    ]
    entry = f"<server><name/><secret>{guess}</secret></server>"
    subtree = f"<bng xmlns='urn:aether:yang:aether-bng'><aaa>{entry}</aaa></bng>"
    ietf = "urn:ietf:params:xml:ns:yang:ietf"
    data = f"xmlns='{ietf}-netconf-nmda' xmlns:ds='{ietf}-datastores'"
    asked = [f"<get-config><source><running/></source><filter>{subtree}</filter></get-config>"]
    for datastore in ("operational", "running", "candidate", "startup"):
        asked += [
            f"<get-data {data}><datastore>ds:{datastore}</datastore>"
            f"<subtree-filter>{subtree}</subtree-filter></get-data>"
        ]
    for select in selects:
        asked.append(f'<get><filter type="xpath" {DECLARED} select="{select}"/></get>')
        asked.append(
            f"<get-data {data} {DECLARED}><datastore>ds:operational</datastore>"
            f"<xpath-filter>{select}</xpath-filter><with-origin/></get-data>"
        )
    config = f"<config xmlns:nc='{BASE_NS}'>{subtree.replace('<name/>', '<name>radius-1</name>')}</config>"
    asked += [
        f"<edit-config><target><candidate/></target>{config}</edit-config>",
        f"<edit-config><target><candidate/></target>{config.replace('<secret>', CREATE)}</edit-config>",
        f"<edit-config><target><candidate/></target>{config.replace('<secret>', DELETE)}</edit-config>",
    ]
    return asked


async def test_guesses_of_a_secret_are_answered_alike(serve):
    served = await serve(sessions=2, user="viewer")
    for capabilities in ((), (CAP_BASE_10, CAP_BASE_11, CAP_PRIVATE_CANDIDATE)):
        client = await served.client(*capabilities)
        differing = []
        for right, wrong in zip(*map(questions, GUESSES), strict=True):
            replies = []
            for question, guess in ((right, GUESSES[0]), (wrong, GUESSES[1])):
                reply = await client.rpc(question)
                reply.attrib.clear()
                replies.append(etree.tostring(reply).replace(guess.encode(), b"?"))
            if replies[0] != replies[1] or (b"rpc-error" in replies[0] and b"internal" in replies[0]):
                differing.append((right, replies))
        assert differing == []
