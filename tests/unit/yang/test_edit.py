"""edit-config: every operation on every kind of node (RFC 6241 section 7.2)."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.provider import OperationError, OperationErrors

GOLD = "/aether-shaping:shaping-profiles/profile[name='gold']"


def profile(name: str, inner: str = "", attributes: str = "") -> str:
    return (
        f"<ash:shaping-profiles><ash:profile {attributes}><ash:name>{name}</ash:name>{inner}</ash:profile>"
        "</ash:shaping-profiles>"
    )


def rates(down: int, up: int) -> str:
    return (
        f"<ash:download><ash:rate>{down}</ash:rate></ash:download>"
        f"<ash:upload><ash:rate>{up}</ash:rate></ash:upload>"
    )


def names(net: Any) -> list[str]:
    text = net.get("<ash:shaping-profiles/>", source="candidate")
    return [str(node.text) for node in etree.fromstring(f"<data>{text}</data>").iter("{*}name")]


async def refused(net: Any, inner: str, **options: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        await net.edit(inner, **options)
    return caught.value


async def test_merge_adds_and_changes(net: Any) -> None:
    await net.edit(profile("gold", "<ash:priority>1</ash:priority>"))
    text = net.get(profile("gold"), source="candidate")
    assert "<priority>1</priority>" in text
    assert "<rate>100000000</rate>" in text
    assert "<priority>" not in net.get(profile("gold"))


async def test_replace_leaves_nothing_of_what_was(net: Any) -> None:
    await net.edit(profile("gold", rates(9000, 8000), 'nc:operation="replace"'))
    text = net.get(profile("gold"), source="candidate")
    assert "9000" in text
    assert "100000000" not in text
    await net.commit()


async def test_replace_of_a_container(net: Any) -> None:
    await net.edit(
        '<ab:bng><ab:interfaces nc:operation="replace"><ab:upstream>eth1</ab:upstream>'
        "</ab:interfaces></ab:bng>"
    )
    text = net.get("<ab:bng><ab:interfaces/></ab:bng>", source="candidate")
    assert "<upstream>eth1</upstream>" in text
    assert "subscriber" not in text


async def test_create(net: Any) -> None:
    await net.edit(profile("new", rates(9000, 9000), 'nc:operation="create"'))
    assert "new" in names(net)
    error = await refused(net, profile("gold", rates(9000, 9000), 'nc:operation="create"'))
    assert (error.tag, error.path) == ("data-exists", GOLD)


async def test_create_of_a_leaf_that_exists(net: Any) -> None:
    error = await refused(
        net,
        '<ab:bng><ab:interfaces><ab:upstream nc:operation="create">eth1</ab:upstream>'
        "</ab:interfaces></ab:bng>",
    )
    assert error.tag == "data-exists"


async def test_delete_and_remove(net: Any) -> None:
    await net.edit(profile("gold", attributes='nc:operation="delete"'))
    assert "gold" not in names(net)
    error = await refused(net, profile("gold", attributes='nc:operation="delete"'))
    assert (error.tag, error.path) == ("data-missing", GOLD)
    await net.edit(profile("gold", attributes='nc:operation="remove"'))
    await net.edit('<ab:bng><ab:interfaces><ab:upstream nc:operation="delete"/></ab:interfaces></ab:bng>')
    assert "upstream" not in net.get("<ab:bng><ab:interfaces/></ab:bng>", source="candidate")


async def test_default_operation_none_changes_only_what_says_so(net: Any) -> None:
    await net.edit(
        profile("gold", '<ash:priority nc:operation="create">2</ash:priority>'), default_operation="none"
    )
    assert "<priority>2</priority>" in net.get(profile("gold"), source="candidate")
    error = await refused(net, profile("unknown"), default_operation="none")
    assert error.tag == "data-missing"


async def test_default_operation_replace_replaces_everything(net: Any) -> None:
    await net.edit(profile("only", rates(9000, 9000)), default_operation="replace")
    assert names(net) == ["only"]
    assert net.get("<ab:bng/>", source="candidate") == ""


async def test_leaf_lists(net: Any) -> None:
    def router(inner: str) -> str:
        return (
            "<aar:access-routers><aar:access-router><aar:name>an-1</aar:name>"
            f"{inner}</aar:access-router></aar:access-routers>"
        )

    def subnets() -> list[str | None]:
        text = net.get("<aar:access-routers/>", source="candidate")
        return [node.text for node in etree.fromstring(f"<data>{text}</data>").iter("{*}subnet")]

    await net.edit(router("<aar:subnet>10.9.1.0/24</aar:subnet><aar:subnet>10.9.0.0/24</aar:subnet>"))
    assert subnets() == ["10.9.0.0/24", "10.9.1.0/24"]
    await net.edit(router('<aar:subnet nc:operation="delete">10.9.0.0/24</aar:subnet>'))
    assert subnets() == ["10.9.1.0/24"]
    error = await refused(net, router('<aar:subnet nc:operation="delete">10.9.0.0/24</aar:subnet>'))
    assert error.tag == "data-missing"
    error = await refused(net, router('<aar:subnet nc:operation="create">10.9.1.0/24</aar:subnet>'))
    assert error.tag == "data-exists"


async def test_lists_that_the_user_orders(net: Any) -> None:
    def rule(name: str, attributes: str = "") -> str:
        return (
            "<nacm:nacm><nacm:rule-list><nacm:name>admins</nacm:name>"
            f"<nacm:rule {attributes}><nacm:name>{name}</nacm:name><nacm:action>permit</nacm:action>"
            "</nacm:rule></nacm:rule-list></nacm:nacm>"
        )

    def order() -> list[str | None]:
        text = net.get("<nacm:nacm><nacm:rule-list/></nacm:nacm>", source="candidate")
        return [rule.findtext("{*}name") for rule in etree.fromstring(f"<data>{text}</data>").iter("{*}rule")]

    await net.edit(rule("last"))
    await net.edit(rule("first", 'yang:insert="first"'))
    await net.edit(rule("mid", 'yang:insert="before" yang:key="[nacm:name=\'last\']"'))
    assert order() == ["first", "all", "mid", "last"]
    await net.edit(rule("first", 'yang:insert="after" yang:key="[nacm:name=\'mid\']"'))
    assert order() == ["all", "mid", "first", "last"]
    result = await net.commit()
    assert result.number
    await net.edit(rule("last", 'yang:insert="first"'))
    assert net.tree.datastores.is_dirty()
    error = await refused(net, rule("x", 'yang:insert="after" yang:key="[nacm:name=\'nobody\']"'))
    assert (error.tag, error.app_tag) == ("bad-attribute", "missing-instance")
    error = await refused(net, rule("x", 'yang:insert="after"'))
    assert error.tag == "missing-attribute"


async def test_a_node_of_one_case_ends_the_others(net: Any) -> None:
    def rule(inner: str) -> str:
        return (
            "<nacm:nacm><nacm:rule-list><nacm:name>admins</nacm:name><nacm:rule><nacm:name>all</nacm:name>"
            f"{inner}</nacm:rule></nacm:rule-list></nacm:nacm>"
        )

    await net.edit(rule("<nacm:rpc-name>get</nacm:rpc-name>"))
    await net.edit(rule("<nacm:path>/ab:bng/ab:aaa</nacm:path>"))
    text = net.get("<nacm:nacm/>", source="candidate")
    assert "rpc-name" not in text
    assert ">/aether-bng:bng/aether-bng:aaa</path>" in text
    assert 'xmlns:aether-bng="urn:aether:yang:aether-bng"' in text


@pytest.mark.parametrize(
    ("inner", "tag", "info"),
    [
        ('<x xmlns="urn:none"/>', "unknown-namespace", {"bad-element": "x", "bad-namespace": "urn:none"}),
        ("<ab:bng><ab:wrong/></ab:bng>", "unknown-element", {"bad-element": "wrong"}),
        ("<asub:sessions/>", "unknown-element", {"bad-element": "sessions"}),
        ("<asub:disconnect-sessions/>", "unknown-element", {"bad-element": "disconnect-sessions"}),
        (profile("gold", "<ash:priority>8</ash:priority>"), "invalid-value", {}),
        (profile("gold", "<ash:priority>high</ash:priority>"), "invalid-value", {}),
        (profile("a b"), "invalid-value", {}),
        (
            "<ash:shaping-profiles><ash:profile/></ash:shaping-profiles>",
            "missing-element",
            {"bad-element": "name"},
        ),
        (profile("gold", attributes='nc:operation="none"'), "bad-attribute", {"bad-attribute": "operation"}),
        (profile("gold", attributes='nc:operation="burn"'), "bad-attribute", {"bad-attribute": "operation"}),
        (
            profile("gold", attributes='operation="delete"'),
            "unknown-attribute",
            {"bad-attribute": "operation"},
        ),
        (profile("gold", attributes='yang:insert="first"'), "bad-attribute", {"bad-attribute": "insert"}),
        (profile("gold", "<ash:priority>1</ash:priority>" * 2), "bad-element", {"bad-element": "priority"}),
        ("<ab:bng>text</ab:bng>", "bad-element", {"bad-element": "bng"}),
        (
            "<if:interfaces><if:interface><if:name>e</if:name><if:type>if:none</if:type></if:interface>"
            "</if:interfaces>",
            "invalid-value",
            {},
        ),
    ],
)
async def test_what_is_wrong_is_named(net: Any, inner: str, tag: str, info: dict[str, str]) -> None:
    error = await refused(net, inner)
    assert error.tag == tag
    assert {key: error.info.get(key) for key in info} == info
    assert not net.tree.datastores.is_dirty()


async def test_messages_do_not_show_secrets(net: Any) -> None:
    secret = "x" * 200
    error = await refused(
        net,
        f"<ab:bng><ab:aaa><ab:server><ab:name>r1</ab:name><ab:secret>{secret}</ab:secret></ab:server></ab:aaa></ab:bng>",
    )
    assert error.tag == "invalid-value"
    assert "xxx" not in error.message


async def test_identityrefs_are_read_with_the_elements_prefixes(net: Any) -> None:
    await net.edit(
        '<if:interfaces><if:interface><if:name>dummy0</if:name><if:type xmlns:q="urn:ietf:params:xml:ns:yang:'
        'iana-if-type">q:softwareLoopback</if:type></if:interface></if:interfaces>'
    )
    text = net.get("<if:interfaces/>", source="candidate")
    assert ">iana-if-type:softwareLoopback</type>" in text
    assert etree.fromstring(f"<data>{text}</data>") is not None


async def test_error_options(net: Any) -> None:
    both = profile("new", rates(9000, 9000)) + profile("gold", attributes='nc:operation="create"')
    both = both.replace("</ash:shaping-profiles><ash:shaping-profiles>", "")
    for option in ("stop-on-error", "rollback-on-error"):
        error = await refused(net, both, error_option=option)
        assert error.tag == "data-exists"
        assert "new" not in names(net)
    with pytest.raises(OperationErrors) as caught:
        await net.edit(both, error_option="continue-on-error")
    assert [error.tag for error in caught.value.errors] == ["data-exists"]
    assert "new" in names(net)


async def test_test_options(net: Any) -> None:
    broken = profile("half", "<ash:download><ash:rate>9000</ash:rate></ash:download>")
    error = await refused(net, broken, test_option="test-then-set")
    assert error.tag == "data-missing"
    assert error.path == "/aether-shaping:shaping-profiles/profile[name='half']/upload/rate"
    await net.edit(profile("fine", rates(9000, 9000)), test_option="test-only")
    assert "fine" not in names(net)
    await net.edit(broken)
    assert "half" in names(net)


async def test_running_is_not_written_directly(net: Any) -> None:
    with pytest.raises(OperationError) as caught:
        await net.tree.datastores.edit(Session(1, net.admin), "running", etree.Element("config"))
    assert caught.value.tag == "operation-not-supported"


def path_operation(op: Any, path: str, value: Any = None) -> PathOperation:
    return PathOperation(op, DataPath.parse(path) if path != "/" else DataPath(), value)


async def test_edits_of_paths(net: Any) -> None:
    session = Session(1, net.admin)
    store = net.tree.datastores
    rate = {"rate": "9000"}
    await store.edit_paths(
        session,
        "candidate",
        [
            path_operation("update", f"{GOLD}/priority", 1),
            path_operation("replace", f"{GOLD}/download", rate),
            path_operation("delete", "/aether-shaping:shaping-profiles/profile[name='silver']"),
            path_operation(
                "delete", "/aether-shaping:shaping-profiles/profile[name='not-there']/description"
            ),
            path_operation(
                "update",
                "/aether-shaping:shaping-profiles/profile[name='n']",
                {"download": rate, "upload": rate},
            ),
            path_operation("replace", "/aether-bng:bng/interfaces/subscriber", ["eth0"]),
            path_operation("update", "/aether-bng:bng/interfaces/subscriber[.='eth1']"),
        ],
    )
    assert names(net) == ["bronze", "gold", "n"]
    text = net.get("<ab:bng/>", source="candidate")
    assert "<subscriber>eth0</subscriber><subscriber>eth1</subscriber>" in text
    await net.commit()


async def test_replacing_the_root(net: Any) -> None:
    session = Session(1, net.admin)
    value = {"aether-shaping:shaping-profiles": {"profile": [{"name": "one"}]}}
    await net.tree.datastores.edit_paths(session, "candidate", [path_operation("replace", "/", value)])
    assert names(net) == ["one"]
    assert net.get("<ab:bng/>", source="candidate") == ""
    await net.tree.datastores.edit_paths(session, "candidate", [path_operation("delete", "/")])
    assert net.xml(net.tree.select_all(), source="candidate") == ""


@pytest.mark.parametrize(
    ("op", "path", "value", "tag"),
    [
        ("update", f"{GOLD}/wrong", 1, "unknown-element"),
        ("update", f"{GOLD}/priority", 99, "invalid-value"),
        ("update", f"{GOLD}/priority", None, "invalid-value"),
        ("update", f"{GOLD}/download", 7, "invalid-value"),
        ("update", f"{GOLD}/download", {"x": 1}, "unknown-element"),
        ("update", f"{GOLD}/sessions-using", 1, "unknown-element"),
        ("update", GOLD, {"name": "silver"}, "invalid-value"),
        ("update", "/aether-shaping:shaping-profiles/profile", {"name": "x"}, "missing-element"),
        ("update", "/aether-shaping:shaping-profiles/profile[name='*']", {}, "invalid-value"),
        ("replace", "/aether-shaping:shaping-profiles/profile", [{}], "missing-element"),
        ("create", f"{GOLD}/download/rate", "9000", "data-exists"),
    ],
)
async def test_wrong_path_operations(net: Any, op: Any, path: str, value: Any, tag: str) -> None:
    with pytest.raises(OperationError) as caught:
        await net.tree.datastores.edit_paths(
            Session(1, net.admin), "candidate", [path_operation(op, path, value)]
        )
    assert caught.value.tag == tag
