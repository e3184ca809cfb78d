"""What filters select: RFC 6241 section 6, XPath, gNMI paths."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from yang.path import DataPath
from yang.provider import OperationError

SESSION = "/aether-subscriber:sessions/session"


def found(text: str, name: str) -> list[str | None]:
    return [node.text for node in etree.fromstring(f"<data>{text}</data>").iter("{*}" + name)]


async def test_an_empty_filter_selects_nothing(net: Any) -> None:
    assert net.get("") == ""


async def test_selection_node(net: Any) -> None:
    text = net.get("<ash:shaping-profiles/>")
    assert found(text, "name") == ["bronze", "gold", "silver"]
    assert "aether-bng" not in text


async def test_a_wrong_namespace_selects_nothing(net: Any) -> None:
    assert net.get('<shaping-profiles xmlns="urn:other"/>') == ""
    assert net.get("<ab:shaping-profiles/>") == ""


async def test_an_element_without_namespace_matches_any(net: Any) -> None:
    assert found(net.get("<shaping-profiles/>"), "name") == ["bronze", "gold", "silver"]


async def test_attributes_match_nothing(net: Any) -> None:
    assert net.get('<ash:shaping-profiles x="1"/>') == ""


async def test_keys_are_handed_to_the_provider(net: Any) -> None:
    text = net.get(
        "<asub:sessions><asub:session><asub:id>0000000000000002</asub:id></asub:session></asub:sessions>"
    )
    assert found(text, "id") == ["0000000000000002"]
    assert found(text, "circuit-id") == ["1/0/2"]
    assert net.sessions.gets == [("0000000000000002",)]
    assert net.sessions.iterations == 0


async def test_a_key_with_a_selection_shows_both(net: Any) -> None:
    text = net.get(
        "<asub:sessions><asub:session><asub:id>0000000000000002</asub:id><asub:username/></asub:session>"
        "<asub:session><asub:id>0000000000000003</asub:id><asub:counters><asub:tick/></asub:counters>"
        "</asub:session></asub:sessions>"
    )
    assert found(text, "id") == ["0000000000000002", "0000000000000003"]
    assert found(text, "username") == ["bng-1/an-1/1/0/2"]
    assert found(text, "tick") == ["17"]
    assert found(text, "in-octets") == []
    assert net.sessions.iterations == 0


async def test_content_match_on_another_leaf(net: Any) -> None:
    text = net.get(
        "<asub:sessions><asub:session><asub:status>idle</asub:status><asub:id/></asub:session></asub:sessions>"
    )
    assert found(text, "id") == ["0000000000000002", "0000000000000004"]
    assert found(text, "status") == ["idle", "idle"]
    assert found(text, "username") == []


async def test_content_match_inside_a_container_hides_only_what_is_around_it(net: Any) -> None:
    text = net.get(
        "<asub:sessions><asub:session><asub:access-line><asub:circuit-id>1/0/4</asub:circuit-id>"
        "</asub:access-line></asub:session></asub:sessions>"
    )
    assert found(text, "id") == ["0000000000000004"]
    assert found(text, "remote-id") == ["an-1"]


async def test_all_content_matches_must_hold(net: Any) -> None:
    both = "<asub:id>0000000000000002</asub:id><asub:status>{}</asub:status>"
    for status, count in (("idle", 1), ("active", 0), ("no-such-status", 0)):
        text = net.get(f"<asub:sessions><asub:session>{both.format(status)}</asub:session></asub:sessions>")
        assert len(found(text, "id")) == count


async def test_containers_that_end_up_empty_are_left_out(net: Any) -> None:
    assert net.get("<asub:sessions><asub:session><asub:nothing/></asub:session></asub:sessions>") == ""
    text = net.get("<asub:sessions><asub:session><asub:profile/></asub:session></asub:sessions>")
    assert len(found(text, "session")) == 4  # number 3 has none


async def test_siblings_that_name_the_same_container_add_up(net: Any) -> None:
    text = net.get(
        "<ab:bng><ab:identity><ab:bng-id/></ab:identity></ab:bng><ab:bng><ab:interfaces><ab:upstream/>"
        "</ab:interfaces></ab:bng>"
    )
    assert found(text, "bng-id") == ["bng-1"]
    assert found(text, "upstream") == ["eth0"]
    assert len(found(text, "bng")) == 1
    assert found(text, "server") == []


async def test_keys_and_everything_of_the_same_list(net: Any) -> None:
    text = net.get(
        "<ash:shaping-profiles><ash:profile><ash:name>gold</ash:name></ash:profile>"
        "<ash:profile><ash:name/></ash:profile></ash:shaping-profiles>"
    )
    assert found(text, "name") == ["bronze", "gold", "silver"]
    assert len(found(text, "download")) == 1


async def test_configuration_and_state_are_one_entry(net: Any) -> None:
    text = net.get(
        "<ash:shaping-profiles><ash:profile><ash:name>gold</ash:name></ash:profile></ash:shaping-profiles>"
    )
    assert found(text, "sessions-using") == ["3"]
    assert found(text, "rate") == ["100000000", "10000000"]
    assert len(found(text, "profile")) == 1


async def test_content_config_and_state(net: Any) -> None:
    config = net.get("<ash:shaping-profiles/>", content="config")
    assert found(config, "sessions-using") == []
    state = net.get("<ash:shaping-profiles/>", content="state")
    assert found(state, "name") == ["gold", "silver"]
    assert found(state, "rate") == []
    assert net.get("<asub:sessions/>", content="config") == ""
    assert net.sessions.iterations == 0


async def test_a_deep_or_huge_filter_is_refused(net: Any) -> None:
    with pytest.raises(OperationError) as caught:
        net.get("<ab:bng>" + "<ab:identity/>" * 30_000 + "</ab:bng>")
    assert caught.value.tag == "too-big"


XPATH = {
    "s": "urn:aether:yang:aether-subscriber",
    "p": "urn:aether:yang:aether-shaping",
    "b": "urn:aether:yang:aether-bng",
}


@pytest.mark.parametrize(
    ("expression", "name", "values"),
    [
        ("/p:shaping-profiles/p:profile[p:name='gold']/p:name", "name", ["gold"]),
        ("/p:shaping-profiles/p:profile[p:name='gold' or p:name='silver']", "name", ["gold", "silver"]),
        ("//s:session[s:status='idle']/s:username", "username", ["bng-1/an-1/1/0/2", "bng-1/an-1/1/0/4"]),
        ('/s:sessions/s:session[s:access-line/s:circuit-id="1/0/3"]/s:id', "id", ["0000000000000003"]),
        ("/s:sessions/s:session[s:status='idle'][s:id='0000000000000004']/s:id", "id", ["0000000000000004"]),
        ("/s:sessions/s:session[not-there='x']", "id", []),
        ("/s:sessions/*[s:id='0000000000000001']/s:status", "status", ["active"]),
        ("/p:shaping-profiles/p:profile[100000000=p:download/p:rate]/p:name", "name", ["gold"]),
        ("/b:bng/b:interfaces/b:subscriber[.='eth1'] | /b:bng/b:identity/b:bng-id", "subscriber", ["eth1"]),
        ("/b:bng/b:interfaces/b:subscriber[.='eth7']", "subscriber", []),
    ],
)
async def test_xpath(net: Any, expression: str, name: str, values: list[str]) -> None:
    assert found(net.xml(net.tree.select_xpath(expression, XPATH)), name) == values


async def test_xpath_keys_reach_the_provider(net: Any) -> None:
    net.xml(net.tree.select_xpath("/s:sessions/s:session[s:id='0000000000000001']", XPATH))
    assert net.sessions.gets == [("0000000000000001",)]
    assert net.sessions.iterations == 0


@pytest.mark.parametrize(
    ("expression", "tag"),
    [
        ("count(/s:sessions)", "invalid-value"),
        ("/z:sessions", "invalid-value"),
        ("/s:sessions/s:session[", "invalid-value"),
        ("/s:sessions/s:session[$x]", "invalid-value"),
        ("/s:sessions/s:session[no-such-function()]", "invalid-value"),
        ("/s:sessions/s:session[contains('a')]", "invalid-value"),
        ("/s:sessions/sideways::s:session", "invalid-value"),
        ("", "invalid-value"),
        ("/s:sessions" * 3000, "too-big"),
        ("/s:sessions[" + "(" * 2000, "too-big"),
        ("/s:sessions[" + "not(" * 500 + "1" + ")" * 500 + "]", "too-big"),
    ],
)
async def test_xpath_that_is_refused(net: Any, expression: str, tag: str) -> None:
    with pytest.raises(OperationError) as caught:
        net.xml(net.tree.select_xpath(expression, XPATH))
    assert caught.value.tag == tag


async def test_paths_with_wildcards(net: Any) -> None:
    def read(*paths: str) -> list[tuple[str, Any]]:
        selection = net.tree.select_paths([DataPath.parse(path) for path in paths])
        return [(str(path), value) for path, value in net.tree.read_json(selection, net.admin)]

    assert read(f"{SESSION}[id='0000000000000001']/status") == [
        (f"{SESSION}[id='0000000000000001']/status", "active")
    ]
    assert len(read(f"{SESSION}[id='*']/counters")) == 5
    assert len(read(f"{SESSION}/counters/*")) == 35
    assert [path.rpartition("/")[2] for path, _ in read("/aether-subscriber:sessions/.../tick")] == [
        "tick"
    ] * 5
    assert read(f"{SESSION}[id='ffffffffffffffff']") == []
    assert {path for path, _ in read("/")} >= {"/aether-bng:bng", "/aether-subscriber:sessions"}
    with pytest.raises(OperationError) as caught:
        read("/aether-subscriber:sessions/nothing")
    assert caught.value.tag == "unknown-element"


async def test_each_path_is_answered_by_itself(net: Any) -> None:
    one = f"{SESSION}[id='0000000000000001']"
    two = f"{SESSION}[id='0000000000000002']/status"
    selection = net.tree.select_paths([DataPath.parse(one), DataPath.parse(two)])
    assert [str(path) for path, _ in net.tree.read_json(selection, net.admin)] == [one, two]


async def test_depth(net: Any) -> None:
    selection = net.tree.select_paths(
        [DataPath.parse("/aether-shaping:shaping-profiles/profile[name='gold']")]
    )
    [(_, value)] = net.tree.read_json(selection, net.admin, depth=1)
    assert value == {"aether-shaping:name": "gold", "aether-shaping:sessions-using": 3}
