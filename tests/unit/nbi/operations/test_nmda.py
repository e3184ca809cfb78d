"""get-data and edit-data (RFC 8526)."""

import pytest
from lxml import etree

from nbi.protocol.names import CAP_BASE_11, CAP_PRIVATE_CANDIDATE

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


async def test_startup_is_served_locked_and_validated(serve):
    client = await (await serve()).client()
    assert "bng" in tops(await client.rpc(get_data("startup")))
    datastore = f"<datastore xmlns='{NMDA}' xmlns:ds='{DATASTORES}'>ds:startup</datastore>"
    for operation, parent in (("lock", "target"), ("validate", "source"), ("unlock", "target")):
        await client.ok(f"<{operation}><{parent}>{datastore}</{parent}></{operation}>")


async def test_a_private_candidate_is_read_by_its_session_only(serve):
    served = await serve()
    private, other = await served.client(CAP_BASE_11, CAP_PRIVATE_CANDIDATE), await served.client()
    await private.ok(
        f"<edit-data xmlns='{NMDA}' xmlns:ds='{DATASTORES}'><datastore>ds:candidate</datastore><config>"
        f"<shaping-profiles xmlns='{SHAPING}'><profile><name>mine</name>"
        "<download><rate>9000</rate></download><upload><rate>9000</rate></upload></profile></shaping-profiles></config></edit-data>"
    )
    for more in (
        "",
        "<with-defaults>report-all-tagged</with-defaults>",
        "<xpath-filter>//*[1]/..</xpath-filter>",
    ):
        found = [
            [leaf.text for leaf in (await one.rpc(get_data("candidate", more))).iter(f"{{{SHAPING}}}name")]
            for one in (private, other)
        ]
        assert ("mine" in found[0], "mine" in found[1]) == (True, False), more


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
        (get_data("factory-default"), "invalid-value"),
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


# --- everything that RFC 8526 has beyond the above ---------------------------------------------------------

ORIGIN = "urn:ietf:params:xml:ns:yang:ietf-origin"
OR = f"{{{ORIGIN}}}origin"
EDIT = f"<edit-data xmlns='{NMDA}' xmlns:ds='{DATASTORES}'>"
WD = "{urn:ietf:params:xml:ns:netconf:default:1.0}default"
PROFILES = f"<subtree-filter><shaping-profiles xmlns='{SHAPING}'/></subtree-filter>"


def origin_filter(name: str, *origins: str) -> str:
    return "".join(f"<{name} xmlns:o='{ORIGIN}'>o:{origin}</{name}>" for origin in origins)


async def test_operational_has_the_defaults_that_are_in_use(serve):
    client = await (await serve()).client()

    async def priorities(datastore: str, mode: str = "") -> list[str | None]:
        given = f"<with-defaults>{mode}</with-defaults>" if mode else ""
        reply = await client.rpc(get_data(datastore, PROFILES + given))
        return [leaf.get(WD, "") + leaf.text for leaf in reply.iter(f"{{{SHAPING}}}priority")]

    assert await priorities("running") == []
    assert set(await priorities("operational")) == {"4"}
    assert await priorities("operational", "explicit") == []
    assert await priorities("operational", "trim") == []
    for datastore in ("running", "intended", "candidate", "operational"):
        assert set(await priorities(datastore, "report-all")) == {"4"}
        assert set(await priorities(datastore, "report-all-tagged")) == {"true4"}
    assert (
        await client.error_tag(get_data("operational", "<with-defaults>some</with-defaults>"))
        == "invalid-value"
    )


async def test_origins(serve):
    client = await (await serve()).client()
    reply = await client.rpc(get_data("operational", f"{PROFILES}<with-origin/>"))
    top = reply.find(f".//{{{SHAPING}}}shaping-profiles")
    assert top.get(OR) == "or:intended"
    assert top.nsmap["or"] == ORIGIN
    assert {leaf.get(OR) for leaf in top.iter(f"{{{SHAPING}}}priority")} == {"or:default"}
    whole = await client.rpc(get_data("operational", "<with-origin/>"))
    assert len(list(whole.iter(f"{{{SUBSCRIBER}}}session"))) > 10
    unmarked = [
        node
        for node in whole.find(f"{{{NMDA}}}data")
        if node.get(OR) is None
        and etree.QName(node).localname in ("bng", "nacm", "system", "shaping-profiles")
    ]
    assert unmarked == [], "each configuration node at the top has its origin"


@pytest.mark.parametrize(
    ("filters", "priority", "rate"),
    [
        (origin_filter("origin-filter", "default"), True, False),
        (origin_filter("origin-filter", "intended"), False, True),
        (origin_filter("origin-filter", "intended", "default"), True, True),
        (origin_filter("origin-filter", "origin"), True, True),
        (origin_filter("origin-filter", "learned", "system"), False, False),
        (origin_filter("negated-origin-filter", "default"), False, True),
        (origin_filter("negated-origin-filter", "learned"), True, True),
        (origin_filter("negated-origin-filter", "origin"), False, False),
    ],
)
async def test_origin_filters(serve, filters, priority, rate):
    client = await (await serve()).client()
    reply = await client.rpc(get_data("operational", PROFILES + filters))
    assert (reply.find(f".//{{{SHAPING}}}priority") is not None) is priority
    assert (reply.find(f".//{{{SHAPING}}}rate") is not None) is rate


@pytest.mark.parametrize(
    ("operation", "tag"),
    [
        (get_data("running", "<with-origin/>"), "invalid-value"),
        (get_data("running", origin_filter("origin-filter", "default")), "unknown-element"),
        (get_data("operational", origin_filter("origin-filter", "nowhere")), "invalid-value"),
        (get_data("operational", "<origin-filter>intended</origin-filter>"), "invalid-value"),
        (
            get_data(
                "operational",
                origin_filter("origin-filter", "default") + origin_filter("negated-origin-filter", "default"),
            ),
            "bad-element",
        ),
        (get_data("operational", "<with-origin>x</with-origin>"), "bad-element"),
        (get_data("operational", "<max-depth>65536</max-depth>"), "invalid-value"),
        (get_data("operational", "<xpath-filter>count(/*)</xpath-filter>"), "invalid-value"),
        (get_data("dynamic"), "invalid-value"),
        (
            f"{EDIT}<datastore>ds:running</datastore><config/></edit-data>",
            "invalid-value",
        ),
        (
            f"{EDIT}<datastore>ds:candidate</datastore></edit-data>",
            "missing-element",
        ),
    ],
)
async def test_what_rfc_8526_refuses(serve, operation, tag):
    client = await (await serve()).client()
    assert await client.error_tag(operation) == tag


async def test_state_of_a_configuration_datastore_is_empty(serve):
    client = await (await serve()).client()
    reply = await client.rpc(get_data("running", "<config-filter>false</config-filter>"))
    assert len(reply.find(f"{{{NMDA}}}data")) == 0


async def test_depth_counts_from_what_is_selected(serve):
    client = await (await serve()).client()
    filters = (
        f"<subtree-filter>{SESSIONS}</subtree-filter>",
        f"<xpath-filter xmlns:u='{SUBSCRIBER}'>//u:session[position() = 4]</xpath-filter>",
    )
    for given in filters:
        for depth, children, counters in ((1, 1, 0), (2, 14, 0), (3, 14, 6)):
            reply = await client.rpc(get_data("operational", f"{given}<max-depth>{depth}</max-depth>"))
            (session,) = reply.iter(f"{{{SUBSCRIBER}}}session")
            assert len(session) == children, (given, depth)
            inner = session.find(f"{{{SUBSCRIBER}}}counters")
            assert (0 if inner is None else len(inner)) == counters


def on_datastore(operation: str, place: str, datastore: str) -> str:
    named = f"<datastore xmlns='{NMDA}' xmlns:ds='{DATASTORES}'>ds:{datastore}</datastore>"
    return f"<{operation}><{place}>{named}</{place}></{operation}>"


async def test_lock_unlock_and_validate_by_datastore(serve):
    served = await serve()
    one, two = await served.client(), await served.client()
    await one.ok(on_datastore("lock", "target", "candidate"))
    assert await two.error_tag("<lock><target><candidate/></target></lock>") == "lock-denied"
    await one.ok(on_datastore("unlock", "target", "candidate"))
    for datastore in ("running", "candidate", "intended"):
        await one.ok(on_datastore("validate", "source", datastore))
    for operation, place in (("lock", "target"), ("unlock", "target"), ("validate", "source")):
        for datastore in ("operational", "no-such"):
            assert await one.error_tag(on_datastore(operation, place, datastore)) == "invalid-value"


@pytest.mark.parametrize("operation", ["merge", "replace", "none"])
async def test_default_operations_of_edit_data(serve, operation):
    client = await (await serve()).client()
    profile = (
        f"<shaping-profiles xmlns='{SHAPING}'><profile><name>only</name><download><rate>9000</rate>"
        "</download><upload><rate>9000</rate></upload></profile></shaping-profiles>"
    )
    before = len(list((await client.rpc(get_data("candidate"))).iter(f"{{{SHAPING}}}name")))
    edit = (
        f"<edit-data xmlns='{NMDA}' xmlns:ds='{DATASTORES}'><datastore>ds:candidate</datastore>"
        f"<default-operation>{operation}</default-operation><config>{profile}</config></edit-data>"
    )
    if operation == "none":
        assert await client.error_tag(edit) == "data-missing"
        return
    await client.ok(edit)
    names = [leaf.text for leaf in (await client.rpc(get_data("candidate"))).iter(f"{{{SHAPING}}}name")]
    assert "only" in names
    assert len(names) == (before + 1 if operation == "merge" else 1)
