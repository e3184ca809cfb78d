"""ietf-netconf-monitoring (RFC 6022): what the server tells of itself, and who may end sessions."""

from __future__ import annotations

from lxml import etree

from nbi import unix
from nbi.protocol.names import BASE_NS
from yang.access import User

MONITORING = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
NS = {"m": MONITORING, "nc": BASE_NS}
REQUIRED = (
    "netconf-start-time",
    "in-bad-hellos",
    "in-sessions",
    "dropped-sessions",
    "in-rpcs",
    "in-bad-rpcs",
    "out-rpc-errors",
    "out-notifications",
)


async def state(client, part: str) -> etree._Element:
    reply = await client.rpc(
        f"<get><filter><netconf-state xmlns='{MONITORING}'><{part}/></netconf-state></filter></get>"
    )
    return reply.find(f".//m:{part}", NS)


async def statistics(client) -> dict[str, str]:
    return {etree.QName(leaf).localname: leaf.text for leaf in await state(client, "statistics")}


async def test_sessions_are_counted_by_how_they_end(serve):
    served = await serve(idle_timeout=0.0)
    watching = await served.client()
    closed, killed, dropped, rude = [await served.client() for _ in range(4)]
    await closed.ok("<close-session/>")
    await watching.ok(f"<kill-session><session-id>{killed.session_id}</session-id></kill-session>")
    dropped.writer.transport.abort()
    rude.writer.write(b"no frame at all")
    bad = await served.connect()
    bad.write("<hello xmlns='urn:none'/>")
    for client in (closed, dropped, rude):
        await served.ended(client.session_id)
    await bad.message()
    assert await bad.ended()
    await served.ended(6)
    counted = await statistics(watching)
    assert set(counted) == set(REQUIRED)
    # killed and closed ones do not count (RFC 6022 section 2.1.5), a bad hello has its own counter
    assert counted["dropped-sessions"] == "2"
    assert counted["in-bad-hellos"] == "1"
    assert counted["in-sessions"] == "6"


async def test_sessions_have_counters_of_their_own(serve):
    served = await serve()
    first, second = await served.client(), await served.client()
    await first.error_tag("<lock><target><startup/></target></lock>")
    first.writer.write(b"\n#5\n<rpc>\n##\n")
    await first.reply()
    listed = {
        session.findtext("m:session-id", None, NS): session for session in await state(second, "sessions")
    }
    assert set(listed) == {"1", "2"}
    one, two = listed["1"], listed["2"]
    assert one.findtext("m:username", None, NS) == "admin"
    assert one.findtext("m:transport", None, NS).endswith("netconf-ssh")
    assert one.findtext("m:login-time", None, NS)
    assert [one.findtext(f"m:{name}", None, NS) for name in ("in-rpcs", "in-bad-rpcs", "out-rpc-errors")] == [
        "1",
        "1",
        "2",
    ]
    assert two.findtext("m:in-rpcs", None, NS) == "1"


async def test_capabilities_are_those_of_the_hello(serve):
    client = await (await serve()).client()
    told = [capability.text for capability in await state(client, "capabilities")]
    assert told == [capability.text for capability in client.hello.iter("{*}capability")]


async def test_every_schema_that_is_listed_can_be_fetched(serve):
    client = await (await serve()).client()
    schemas = await state(client, "schemas")
    assert len(schemas) > 20
    for schema in schemas:
        name, version = (schema.findtext(f"m:{leaf}", "", NS) for leaf in ("identifier", "version"))
        assert schema.findtext("m:format", None, NS).endswith("yang")
        text = await client.rpc(
            f"<get-schema xmlns='{MONITORING}'><identifier>{name}</identifier><version>{version}</version>"
            "<format>yang</format></get-schema>"
        )
        assert f"module {name}" in text.findtext("m:data", None, NS)


async def test_datastores_tell_who_locks_them(serve):
    served = await serve()
    locking, watching = await served.client(), await served.client()
    await locking.ok("<lock><target><candidate/></target></lock>")
    stores = {store.findtext("m:name", None, NS): store for store in await state(watching, "datastores")}
    assert {"running", "candidate"} <= set(stores)
    holder = stores["candidate"].findtext(".//m:locked-by-session", None, NS)
    assert holder == str(locking.session_id)
    assert stores["running"].find("m:locks", NS) is None


async def test_only_who_is_permitted_kills_sessions(serve, tmp_path):
    served = await serve()
    victim = await served.client()
    listening = await unix.listen(served.server, served.path, User("viewer"))
    viewer = await served.client()
    kill = f"<kill-session><session-id>{victim.session_id}</session-id></kill-session>"
    assert await viewer.error_tag(kill) == "access-denied"
    await victim.ok("<discard-changes/>")
    listening.close()
