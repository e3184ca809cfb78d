"""XPath filters that select while they read, with our general engine as the judge."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from yang.access import User
from yang.query.xpath import select_xpath
from yang.schema import Schema
from yang.xpath.direct import MAX_PARTS, direct
from yang.xpath.filter import select_any_xpath
from yang.xpath.syntax import parse

NS = {
    "s": "urn:aether:yang:aether-subscriber",
    "p": "urn:aether:yang:aether-shaping",
    "b": "urn:aether:yang:aether-bng",
    "a": "urn:aether:yang:aether-access-router",
    "if": "urn:ietf:params:xml:ns:yang:ietf-interfaces",
    "ip": "urn:ietf:params:xml:ns:yang:ietf-ip",
    "ianaift": "urn:ietf:params:xml:ns:yang:iana-if-type",
}
_SUBJECTS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("/s:sessions/s:session", "//s:session", "s:sessions/s:session", "/*/*", "//*"),
        (
            *("s:username", "s:status", "s:profile", "s:id", "./s:access-line/s:circuit-id", "username"),
            *(
                "s:counters/s:in-octets",
                "s:counters/s:tick",
                "s:download-rate",
                "s:nat/s:address",
                "s:no/s:thing",
            ),
        ),
        (
            *("'active'", "'gold'", "'0/3'", "'bng-1/an-1/1/0/2'", "''", "'an-1'", "'0000000000000003'"),
            *("3000", "100000000", "0", "17", "'<3>'"),
        ),
        ("", "", "/s:username", "/s:id", "/s:counters/s:in-octets", "/s:counters", "/*", "//s:tick"),
    ),
    (
        ("/p:shaping-profiles/p:profile", "//p:profile", "/p:*/p:*", "//*"),
        ("p:name", "p:download/p:rate", "p:sessions-using", "p:upload/p:rate", "p:download/p:burst"),
        ("'gold'", "'silver'", "3", "0", "50000000", "'bronze'", "1000000"),
        ("", "", "/p:name", "//p:rate", "/p:sessions-using", "/p:download"),
    ),
    (
        ("//if:interface", "/if:interfaces/if:interface", "//ip:address", "//*"),
        (
            *("if:name", "if:type", "ip:ipv4/ip:address/ip:ip", "ip:ip", "ip:prefix-length", "if:enabled"),
            *("if:statistics/if:in-octets", "ip:ipv4/ip:address/ip:prefix-length", "if:oper-status"),
        ),
        ("'ianaift:ethernetCsmacd'", "'eth1'", "24", "'192.0.2.1'", "'up'", "'true'"),
        ("", "", "/if:name", "/ip:ipv4", "/ip:ipv4/ip:address", "//*", "/ip:ip"),
    ),
    (
        ("/b:bng/b:aaa/b:server", "//a:access-router", "/b:bng", "/*/*", "//*"),
        (
            *("b:name", "b:secret", "b:port", "b:identity/b:bng-id", "b:interfaces/b:subscriber", "name"),
            *("a:remote-id", "a:subnet", "a:state/a:reachability", "a:access-model", "a:name"),
        ),
        ("'s3cret'", "'r1'", "'an-1'", "'up'", "'eth1'", "1812", "'routed'", "'bng-1'", "'10.9.0.0/24'"),
        ("", "", "/b:name", "/a:name", "/b:identity", "/*", "/a:state"),
    ),
)
"""Lists and containers with leaves that they have, values of these, and what is asked of them."""
_PLACES = (
    *("s:counters", "s:nat", "s:access-line", "p:download", "if:statistics", "ip:ipv4", "ip:ipv4/ip:address"),
    *("a:state", "b:identity", "b:aaa/b:server"),
)
_COMPARED = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
_POSITIONS = st.sampled_from(["1", "2", "position() < 3", "position() mod 2 = 0", "position() = 2", "4 - 2"])


def _predicates(leaves: tuple[str, ...], literals: tuple[str, ...]) -> st.SearchStrategy[str]:
    leaf, literal = st.sampled_from(leaves), st.sampled_from(literals)
    number = st.one_of(
        leaf.map(lambda path: f"number({path})"),
        leaf.map(lambda path: f"string-length({path})"),
        st.sampled_from(leaves + _PLACES).map(lambda path: f"count({path})"),
        st.builds(lambda one, other: f"{one} + {other}", leaf, literal),
        literal,
    )
    text = st.one_of(
        leaf.map(lambda path: f"string({path})"),
        leaf.map(lambda path: f"substring-after({path}, '/')"),
        leaf.map(lambda path: f"translate({path}, 'ab', 'x')"),
        leaf.map(lambda path: f"local-name({path})"),
        st.builds(lambda one, other: f"concat({one}, {other})", leaf, literal),
        literal,
    )
    term = st.one_of(
        st.sampled_from(leaves + _PLACES),
        st.builds(lambda a, o, b: f"{a} {o} {b}", leaf, _COMPARED, st.one_of(literal, leaf, number, text)),
        st.builds(lambda a, o, b: f"{a} {o} {b}", literal, _COMPARED, leaf),
        st.builds(
            lambda a, o, b: f"{a} {o} {b}", st.one_of(number, text), _COMPARED, st.one_of(number, text)
        ),
        st.builds(
            lambda f, a, b: f"{f}({a}, {b})",
            st.sampled_from(["contains", "starts-with"]),
            st.one_of(leaf, text),
            st.one_of(literal, leaf),
        ),
        leaf.map(lambda path: f"derived-from-or-self({path}, 'ianaift:ethernetCsmacd')"),
        leaf.map(lambda path: f"enum-value({path}) = 2"),
        leaf.map(lambda path: f"{path} = true()"),
    )
    joined = st.recursive(
        st.one_of(term, term, _POSITIONS.filter(lambda text: "position" in text)),
        lambda inner: st.one_of(
            st.builds(lambda a, o, b: f"({a} {o} {b})", inner, st.sampled_from(["and", "or"]), inner),
            inner.map(lambda text: f"not({text})"),
        ),
        max_leaves=4,
    )
    return st.one_of(joined, joined, joined, _POSITIONS)


def _paths() -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(
            lambda start, predicates, tail: start + "".join(f"[{each}]" for each in predicates) + tail,
            st.sampled_from(lists),
            st.lists(_predicates(leaves, literals), min_size=1, max_size=3),
            st.sampled_from(tails),
        )
        for lists, leaves, literals, tails in _SUBJECTS
    )


_EXPRESSIONS = st.one_of(_paths(), _paths(), st.lists(_paths(), min_size=2, max_size=2).map(" | ".join))
_VIEWS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"content": "config"},
    {"with_defaults": "report-all"},
    {"with_defaults": "trim"},
)


async def _limited(net: Any) -> User:
    """A user for whom single instances, leaves and containers do not exist."""
    rules = "".join(
        f"<nacm:rule><nacm:name>{number}</nacm:name><nacm:path>{path}</nacm:path>"
        "<nacm:access-operations>read</nacm:access-operations><nacm:action>deny</nacm:action></nacm:rule>"
        for number, path in enumerate(
            (
                "/asub:sessions/asub:session[asub:id='0000000000000002']",
                "/asub:sessions/asub:session/asub:profile",
                "/asub:sessions/asub:session[asub:id='0000000000000003']/asub:counters",
                "/ash:shaping-profiles/ash:profile[ash:name='gold']/ash:download",
                "/if:interfaces/if:interface[if:name='eth0']/ip:ipv4",
            )
        )
    )
    await net.edit(
        "<nacm:nacm><nacm:groups><nacm:group><nacm:name>few</nacm:name><nacm:user-name>few</nacm:user-name>"
        "</nacm:group></nacm:groups><nacm:rule-list><nacm:name>few</nacm:name><nacm:group>few</nacm:group>"
        f"{rules}</nacm:rule-list></nacm:nacm>"
    )
    await net.commit()
    return User("few")


def _compare(net: Any, expression: str, user: User, view: dict[str, Any]) -> str | None:
    """What is read, which has to be the same both ways; None where there is only one."""
    selection = select_any_xpath(net.tree.schema, expression, NS)
    if selection.direct is None:
        return None
    generally = net.xml(replace(selection, direct=None), user, **view)
    assert net.xml(selection, user, **view) == generally, (expression, user.name, view)
    return str(generally)


async def test_the_same_as_by_the_general_engine(net: Any) -> None:
    users = (net.admin, net.guest, await _limited(net))
    results: list[str] = []

    @settings(
        max_examples=300,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(expression=_EXPRESSIONS, user=st.sampled_from(users), view=st.sampled_from(_VIEWS))
    def check(expression: str, user: User, view: dict[str, Any]) -> None:
        result = _compare(net, expression, user, view)
        if result is not None:
            results.append(result)

    check()
    assert len(results) > 150
    assert sum(map(bool, results)) > 60


async def test_the_same_where_something_is_missing(net: Any) -> None:
    """What an instance does not have, what of it may not be read or is not asked for."""
    few = await _limited(net)
    for expression, user, view, found in (
        ("//p:profile[p:sessions-using < 1]/p:name", net.admin, {}, ["silver"]),
        ("//p:profile[not(p:sessions-using)]/p:name", net.admin, {}, ["bronze"]),
        ("//p:profile[count(p:download) = 0]/p:name", few, {}, ["gold"]),
        ("//s:session[2]/s:id", few, {}, [f"{3:016x}"]),
        ("//s:session[not(s:counters)]/s:id", few, {}, [f"{3:016x}"]),
        ("//s:session[s:counters/s:in-octets > 0][2]/s:id", few, {}, [f"{4:016x}"]),
        ("//s:session[s:profile]/s:id", few, {}, []),
        ("//if:interface[not(ip:ipv4)]/if:name", few, {}, ["eth0"]),
        (
            "//if:interface[if:enabled = 'true']/if:name",
            few,
            {"with_defaults": "report-all"},
            ["eth0", "eth1"],
        ),
        ("//s:session[contains(s:nas-port-id, '<3>&')]/s:id", few, {}, [f"{3:016x}"]),
        ("//b:server[b:secret]/b:name", net.guest, {}, []),
        ("//b:server[not(b:secret = 's3cret')]/b:name", net.guest, {}, ["r1"]),
        ("//a:access-router[a:access-model != 'x']/a:name", net.admin, {"with_defaults": "trim"}, []),
        ("//a:access-router[a:access-model != 'x']/a:name", net.admin, {}, ["an-2"]),
        ("//a:access-router[a:subnet != 'x']/a:name", net.admin, {}, ["an-1"]),
    ):
        text = _compare(net, expression, user, view)
        assert text is not None, expression
        root = etree.fromstring(f"<data>{text}</data>")
        names = [node.text for tag in ("name", "id") for node in root.iter("{*}" + tag)]
        assert names == found, expression


async def test_what_the_fast_grammar_takes_selects_the_same(net: Any) -> None:
    """Also where a predicate names a container, or what is in a list, and on a key itself."""
    for expression, found in (
        ("//if:interface[ip:ipv4]/if:name", ["eth0", "eth1"]),
        ("//if:interface[ip:ipv4/ip:address]/if:name", ["eth0", "eth1"]),
        ("//if:interface[ip:ipv4/ip:address/ip:ip = '192.0.2.2']/if:name", ["eth1"]),
        ("//if:interface[if:name = 'eth0' and ip:ipv4/ip:address/ip:ip]/if:name", ["eth0"]),
        ("//b:aaa[b:server/b:name = 'r1']/b:server/b:name", ["r1"]),
        ("/if:interfaces[if:interface/if:name = 'eth1']/if:interface/if:name", ["eth0", "eth1"]),
        ("//if:interface/if:name[. = 'eth1']", ["eth1"]),
    ):
        text = net.xml(net.tree.select_xpath(expression, NS))
        general = replace(select_any_xpath(net.tree.schema, expression, NS), direct=None)
        assert text == net.xml(general), expression
        names = [node.text for node in etree.fromstring(f"<data>{text}</data>").iter("{*}name")]
        assert names == found, expression


@pytest.mark.parametrize(
    "expression",
    [
        "//s:session" + "[s:id or s:id]" * 200,
        "//s:session" + ("[" + " or ".join(["s:id"] * 40) + "]") * 8,
        "|".join(["//*"] * 1_000),
        "|".join(["//x"] * 1_000),
        "//*[" + " or ".join(["name"] * 500) + "]",
    ],
    ids=["predicates", "ways", "everything", "nothing", "terms"],
)
def test_an_expression_does_not_hold_the_loop(schema: Schema, expression: str) -> None:
    """What it selects is found out in the loop: two ways in each of a few predicates would take for ever."""
    began = time.thread_time()
    select_xpath(schema, expression, NS)
    assert time.thread_time() - began < 1


_DIRECT = (
    "/s:sessions/s:session[starts-with(s:username, 'bng-1/')]",
    "//s:session[contains(s:username, '0/3')]/s:status",
    "/s:sessions/s:session[s:counters/s:in-octets > 3500]/s:id",
    "/s:sessions/s:session[s:status != 'idle' or not(s:profile)]/s:counters | /p:shaping-profiles",
    "/s:sessions/s:session[s:status = 'active'][position() <= 10]",
    "/s:sessions/s:session[2]",
    "//if:interface[derived-from(if:type, 'if:interface-type')]/if:name",
)
_GENERAL = (
    "/s:sessions/s:session[last()]",
    "//s:session[../s:session]",
    "/s:sessions[count(s:session/s:id) < 1 or s:session/s:username != s:session/s:id]",
    "/s:sessions[not(s:session)]",
    "//if:interface[contains(ip:ipv4/ip:address/ip:ip, '192')]",
    "//s:session[contains(., 'x')]",
    "//s:session[s:profile = /p:shaping-profiles/p:profile/p:name]",
    "//s:session[re-match(s:username, 'x')]",
    "//s:session[s:counters[s:in-octets > 1]]",
    "//s:session[s:counters = '1']",
    "//s:session[count('x')]",
    "//s:session[s:username]/..",
    "count(//s:session)",
    "//*[2]",
    "//s:session[contains(s:username, '" + "x" * 3_000 + "')]",
    "//s:session[" + " or ".join(["s:id != 'x'"] * MAX_PARTS) + "]",
)


def test_what_is_read_directly(schema: Schema) -> None:
    read = {
        text
        for text in _DIRECT + _GENERAL
        if direct(schema, parse(text, NS.__getitem__), NS.__getitem__) is not None
    }
    assert read == set(_DIRECT)


async def test_no_document_is_made(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yang.reader.on_document", None)
    text = b"".join(await net.tree.read(net.tree.select_xpath(_DIRECT[0], NS), net.admin))
    assert text.count(b"<session>") == 5


async def test_keys_reach_the_provider(net: Any) -> None:
    wanted = f"/s:sessions/s:session[s:id='{3:016x}' and s:profile != 'x']/s:status"
    assert "active" not in net.xml(net.tree.select_xpath(wanted, NS))
    assert net.sessions.iterations == 0
    wanted = wanted.replace("3'", "1'")
    assert "active" in net.xml(net.tree.select_xpath(wanted, NS))
    assert (net.sessions.iterations, len(net.sessions.gets)) == (0, 2)


@pytest.mark.parametrize("session_count", [3_000])
async def test_the_reader_may_pause_while_nothing_is_found(net: Any) -> None:
    for wanted in ("s:username = 'nobody'", "contains(s:username, 'nobody')"):
        pieces = list(await net.tree.read(net.tree.select_xpath(f"//s:session[{wanted}]", NS), net.admin))
        assert b"".join(pieces) == b""
        assert len(pieces) >= 10


async def test_each_reading_counts_anew(net: Any) -> None:
    selection = net.tree.select_xpath("/s:sessions/s:session[s:profile != 'x'][2]/s:id", NS)
    texts = {b"".join(pieces) for pieces in [await net.tree.read(selection, net.admin) for _ in range(2)]}
    assert len(texts) == 1
    assert f"<id>{2:016x}</id>".encode() in texts.pop()
    await asyncio.sleep(0)
