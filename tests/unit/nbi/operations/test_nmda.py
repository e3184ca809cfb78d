"""get-data and edit-data (RFC 8526)."""

import pytest
from lxml import etree

NMDA = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
DATASTORES = "urn:ietf:params:xml:ns:yang:ietf-datastores"
SHAPING = "urn:aether:yang:aether-shaping"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
NC = {"nc": "urn:ietf:params:xml:ns:netconf:base:1.0"}
SESSIONS = f"<sessions xmlns='{SUBSCRIBER}'><session><id>{3:016x}</id></session></sessions>"


def get_data(datastore: str, inner: str = "") -> str:
    named = f"<datastore>ds:{datastore}</datastore>"
    return f"<get-data xmlns='{NMDA}' xmlns:ds='{DATASTORES}'>{named}{inner}</get-data>"


def tops(reply: etree._Element) -> set[str]:
    return {etree.QName(child).localname for child in reply.find(f"{{{NMDA}}}data")}


async def test_operational_has_configuration_and_state(serve):
    client = await (await serve()).client()
    assert {"bng", "sessions", "shaping-profiles"} <= tops(await client.rpc(get_data("operational")))
    config = await client.rpc(get_data("operational", "<config-filter>true</config-filter>"))
    assert "sessions" not in tops(config)
    assert "bng" in tops(config)
    state = await client.rpc(get_data("operational", "<config-filter>false</config-filter>"))
    assert "sessions" in tops(state)
    assert state.find(f".//{{{SHAPING}}}rate") is None


async def test_running_has_configuration_only(serve):
    client = await (await serve()).client()
    reply = await client.rpc(get_data("running"))
    assert "bng" in tops(reply)
    assert "sessions" not in tops(reply)


async def test_filters_and_depth(serve):
    client = await (await serve()).client()
    subtree = await client.rpc(
        get_data("operational", f"<subtree-filter>{SESSIONS}</subtree-filter><max-depth>2</max-depth>")
    )
    assert subtree.find(f".//{{{SUBSCRIBER}}}session") is not None
    assert subtree.find(f".//{{{SUBSCRIBER}}}in-octets") is None
    xpath = await client.rpc(
        get_data(
            "operational",
            f"<xpath-filter xmlns:u='{SUBSCRIBER}'>/u:sessions/u:session[u:id='{3:016x}']/u:username"
            "</xpath-filter>",
        )
    )
    assert [leaf.text for leaf in xpath.iter(f"{{{SUBSCRIBER}}}username")] == ["bng-01/an-0000/1/0/3"]


@pytest.mark.parametrize(
    ("operation", "tag"),
    [
        (get_data("startup"), "invalid-value"),
        (get_data("running", "<config-filter>maybe</config-filter>"), "invalid-value"),
        (get_data("running", "<max-depth>0</max-depth>"), "invalid-value"),
        (get_data("running", "<subtree-filter/><xpath-filter>/x</xpath-filter>"), "bad-element"),
        (get_data("running", "<xpath-filter>/x[</xpath-filter>"), "invalid-value"),
        (f"<get-data xmlns='{NMDA}'><datastore>running</datastore></get-data>", "invalid-value"),
        (f"<get-data xmlns='{NMDA}'/>", "missing-element"),
    ],
)
async def test_mistakes(serve, operation, tag):
    client = await (await serve()).client()
    assert await client.error_tag(operation) == tag


async def test_edit_data(serve):
    client = await (await serve()).client()
    edit = (
        f"<edit-data xmlns='{NMDA}' xmlns:ds='{DATASTORES}'><datastore>ds:candidate</datastore><config>"
        f"<shaping-profiles xmlns='{SHAPING}'><profile><name>silver</name><download>"
        "<rate>9000</rate></download><upload><rate>9000</rate></upload></profile></shaping-profiles></config></edit-data>"
    )
    await client.ok(edit)
    await client.ok("<commit/>")
    reply = await client.rpc(get_data("running"))
    assert "silver" in [leaf.text for leaf in reply.iter(f"{{{SHAPING}}}name")]
    assert await client.error_tag(edit.replace("candidate", "operational")) == "invalid-value"
