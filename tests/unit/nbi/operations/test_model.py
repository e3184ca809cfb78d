"""get-schema, and operations that the model defines."""

from lxml import etree

NC = {"nc": "urn:ietf:params:xml:ns:netconf:base:1.0"}
MONITORING = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"


def disconnect(number: int, inner: str = "<reason>test</reason>") -> str:
    return (
        f"<action xmlns='urn:ietf:params:xml:ns:yang:1'><sessions xmlns='{SUBSCRIBER}'>"
        f"<session><id>{number:016x}</id><disconnect>{inner}</disconnect></session></sessions></action>"
    )


async def test_get_schema(serve):
    client = await (await serve()).client()
    reply = await client.rpc(
        f"<get-schema xmlns='{MONITORING}'><identifier>aether-shaping</identifier>"
        "<version>2026-11-21</version><format>yang</format></get-schema>"
    )
    assert "module aether-shaping {" in reply.findtext(f"{{{MONITORING}}}data")


async def test_get_schema_of_what_is_not_there(serve):
    client = await (await serve()).client()
    for inner in (
        "<identifier>nothing</identifier>",
        "<identifier>aether-shaping</identifier><version>1999-01-01</version>",
        "<identifier>aether-shaping</identifier><format>yin</format>",
    ):
        tag = await client.error_tag(f"<get-schema xmlns='{MONITORING}'>{inner}</get-schema>")
        assert tag == "invalid-value", inner
    assert await client.error_tag(f"<get-schema xmlns='{MONITORING}'/>") == "missing-element"


async def test_every_advertised_module_can_be_fetched(serve):
    client = await (await serve()).client()
    schemas = await client.rpc(
        f"<get><filter><netconf-state xmlns='{MONITORING}'><schemas/></netconf-state></filter></get>"
    )
    listed = [(s.findtext("{*}identifier"), s.findtext("{*}version")) for s in schemas.iter("{*}schema")]
    assert len(listed) > 15
    for identifier, version in listed:
        given = f"<identifier>{identifier}</identifier><version>{version or ''}</version>"
        reply = await client.rpc(f"<get-schema xmlns='{MONITORING}'>{given}</get-schema>")
        text = reply.findtext(f"{{{MONITORING}}}data")
        assert identifier in text, etree.tostring(reply)[:300]


async def test_action(serve):
    served = await serve()
    client = await served.client()
    await client.ok(disconnect(3))
    assert served.element.invoked == [((f"{3:016x}",), {"reason": "test"}, "admin")]
    assert await client.error_tag(disconnect(3)) == "data-missing"


async def test_action_input_is_checked(serve):
    served = await serve()
    client = await served.client()
    assert await client.error_tag(disconnect(3, "<what/>")) == "unknown-element"
    assert await client.error_tag(disconnect(3, f"<reason>{'x' * 300}</reason>")) == "invalid-value"
    empty = "<action xmlns='urn:ietf:params:xml:ns:yang:1'/>"
    assert await client.error_tag(empty) in ("missing-element", "malformed-message", "bad-element")
    assert served.element.invoked == []


async def test_rpc_with_output(serve):
    client = await (await serve(100)).client()
    reply = await client.rpc(
        f"<disconnect-sessions xmlns='{SUBSCRIBER}'><remote-id>an-0000</remote-id></disconnect-sessions>"
    )
    assert reply.findtext(f"{{{SUBSCRIBER}}}disconnected") == "48"
    error = await client.error(f"<disconnect-sessions xmlns='{SUBSCRIBER}'/>")
    assert error.findtext("nc:error-tag", None, NC) == "missing-element"
    assert error.findtext("nc:error-type", None, NC) == "application"


async def test_access_control_covers_operations(serve):
    served = await serve(user="viewer")
    client = await served.client()
    remote = "<remote-id>an-0000</remote-id>"
    denied = f"<disconnect-sessions xmlns='{SUBSCRIBER}'>{remote}</disconnect-sessions>"
    assert await client.error_tag(denied) == "access-denied"
    assert await client.error_tag("<kill-session><session-id>1</session-id></kill-session>") == (
        "access-denied"
    )
    await client.ok("<close-session/>")
    assert served.element.invoked == []


async def test_reauthenticate_has_no_operation_behind_it(serve):
    client = await (await serve()).client()
    request = disconnect(3, "").replace("disconnect", "reauthenticate")
    assert await client.error_tag(request) == "operation-not-supported"
