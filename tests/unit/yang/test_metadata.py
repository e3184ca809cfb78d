"""Tagged defaults (RFC 6243), origins (RFC 8342), depth (RFC 8526)."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from tests.unit.yang.conftest import Record
from yang.documents import OriginView
from yang.provider import OperationError

WD = "{urn:ietf:params:xml:ns:netconf:default:1.0}default"
OR = "{urn:ietf:params:xml:ns:yang:ietf-origin}origin"
PROFILES = "<ash:shaping-profiles/>"
ALL = frozenset({"ietf-origin:default", "ietf-origin:intended"})


def tree(text: str) -> etree._Element:
    return etree.fromstring(f"<data>{text}</data>")


def origins(text: str) -> dict[str, str]:
    """Path → origin of each element that carries one."""
    found = {}
    for node in tree(text).iter():
        levels = [*reversed(list(node.iterancestors())), node]
        if node.get(OR):
            found["/".join(etree.QName(level).localname for level in levels)] = node.get(OR)
    return found


async def test_only_what_nobody_set_is_tagged(net: Any) -> None:
    """With the basic mode explicit a value that was set is no default, whatever it is (RFC 6243 2.3.3)."""
    await net.edit(
        "<ash:shaping-profiles><ash:profile><ash:name>gold</ash:name><ash:priority>4</ash:priority>"
        "</ash:profile></ash:shaping-profiles>"
    )
    await net.commit()
    plain = net.get(PROFILES, with_defaults="report-all")
    tagged = tree(net.get(PROFILES, with_defaults="report-all-tagged"))
    priorities = {p.findtext("{*}name"): p.find("{*}priority").get(WD) for p in tagged.iter("{*}profile")}
    assert priorities == {"bronze": "true", "gold": None, "silver": "true"}
    assert all(node.get(WD) is None for node in tagged.iter("{*}name", "{*}rate", "{*}sessions-using"))
    etree.strip_attributes(tagged, WD)
    etree.cleanup_namespaces(tagged)
    assert etree.tostring(tagged, method="c14n") == etree.tostring(tree(plain), method="c14n")


async def test_tags_of_a_candidate(net: Any) -> None:
    await net.edit(
        "<ash:shaping-profiles><ash:profile><ash:name>new</ash:name><ash:download><ash:rate>9000</ash:rate>"
        "</ash:download><ash:upload><ash:rate>9000</ash:rate></ash:upload><ash:priority>4</ash:priority>"
        "</ash:profile></ash:shaping-profiles>"
    )
    options = {"source": "candidate", "content": "config", "with_defaults": "report-all-tagged"}
    tagged = tree(net.get(PROFILES, **options))
    assert [p.find("{*}priority").get(WD) for p in tagged.iter("{*}profile")] == [
        "true",
        "true",
        "true",
        None,
    ]


async def test_origins(net: Any) -> None:
    text = net.get(
        "<ash:shaping-profiles><ash:profile><ash:name>gold</ash:name></ash:profile></ash:shaping-profiles>"
        "<ab:bng><ab:timers/></ab:bng><asub:sessions/>",
        with_defaults="report-all",
        origin=OriginView(shown=True),
    )
    found = origins(text)
    assert found["data/shaping-profiles"] == "or:intended"
    assert found["data/shaping-profiles/profile/priority"] == "or:default"
    assert "data/shaping-profiles/profile/sessions-using" not in found
    assert "data/shaping-profiles/profile/name" not in found
    assert found["data/bng"] == "or:intended"
    assert found["data/bng/timers"] == "or:default"
    assert not any(path.startswith("data/bng/timers/") for path in found)
    assert not any("sessions/" in path for path in found)
    assert text.count("<session>") == 5


@pytest.mark.parametrize(
    ("wanted", "priority", "rates"),
    [
        (frozenset({"ietf-origin:default"}), 3, 0),
        (frozenset({"ietf-origin:intended"}), 0, 6),
        (ALL, 3, 6),
        (frozenset(), 0, 0),
    ],
)
async def test_origin_filters(net: Any, wanted: frozenset[str], priority: int, rates: int) -> None:
    text = net.get(PROFILES, with_defaults="report-all", origin=OriginView(wanted=wanted))
    assert text.count("<priority>") == priority
    assert text.count("<rate>") == rates
    assert text.count("<sessions-using>") == 2, "state is not filtered by origin"
    assert all(p.find("{*}name") is not None for p in tree(text).iter("{*}profile"))
    assert text.count("<profile>") == (3 if wanted else 2)
    assert net.get("<asub:sessions/>", origin=OriginView(wanted=wanted)).count("<session>") == 5


async def test_filters_by_xpath_and_origin_are_both_kept(net: Any) -> None:
    namespaces = {"p": "urn:aether:yang:aether-shaping"}
    selection = net.tree.select_xpath("//p:profile[position() = 2]", namespaces)
    options: dict[str, Any] = {"with_defaults": "report-all"}
    text = net.xml(selection, origin=OriginView(True, frozenset({"ietf-origin:default"})), **options)
    root = tree(text)
    assert [p.findtext("{*}name") for p in root.iter("{*}profile")] == ["gold"]
    assert root.find(".//{*}priority").get(OR) == "or:default"
    assert root.find(".//{*}rate") is None
    selection = net.tree.select_xpath("//p:rate[. > 60000000]", namespaces)
    text = net.xml(selection, origin=OriginView(False, frozenset({"ietf-origin:default"})), **options)
    assert text == ""


async def test_depth(net: Any) -> None:
    profile = (
        "<ash:shaping-profiles><ash:profile><ash:name>gold</ash:name></ash:profile></ash:shaping-profiles>"
    )
    one = tree(net.get(profile, depth=1))
    assert [etree.QName(node).localname for node in one.iter()] == [
        "data",
        "shaping-profiles",
        "profile",
        "name",
    ]
    two = tree(net.get(profile, depth=2)).find(".//{*}profile")
    assert [etree.QName(node).localname for node in two] == ["name", "sessions-using", "download", "upload"]
    assert len(two.find("{*}download")) == 0
    assert tree(net.get(profile, depth=3)).findtext(".//{*}rate") == "100000000"
    tops = tree(net.xml(net.tree.select_all(), depth=1))
    assert {"bng", "sessions", "shaping-profiles"} <= {etree.QName(node).localname for node in tops}
    assert all(len(node) == 0 for node in tops)
    leaf = tree(net.get("<ab:bng><ab:identity><ab:bng-id/></ab:identity></ab:bng>", depth=1))
    assert leaf.findtext(".//{*}bng-id") == "bng-1"


async def test_the_attribute_default_in_an_edit(net: Any) -> None:
    def profile(leaf: str) -> str:
        entry = f"<ash:profile><ash:name>gold</ash:name>{leaf}</ash:profile>"
        return f"<ash:shaping-profiles>{entry}</ash:shaping-profiles>"

    wd = 'xmlns:wd="urn:ietf:params:xml:ns:netconf:default:1.0"'
    await net.edit(profile("<ash:priority>7</ash:priority>"))
    await net.edit(profile(f'<ash:priority {wd} wd:default="false">6</ash:priority>'))
    assert "<priority>6<" in net.get(PROFILES, source="candidate")
    await net.edit(profile(f'<ash:priority {wd} wd:default="true">4</ash:priority>'))
    assert "<priority>" not in net.get(PROFILES, source="candidate")
    await net.edit(profile(f'<ash:priority {wd} wd:default="1">4</ash:priority>'))
    for wrong, tag in (
        (f'<ash:priority {wd} wd:default="true">5</ash:priority>', "invalid-value"),
        (f'<ash:priority {wd} wd:default="yes">4</ash:priority>', "bad-attribute"),
        (f'<ash:upload {wd} wd:default="true"/>', "invalid-value"),
    ):
        with pytest.raises(OperationError) as caught:
            await net.edit(profile(wrong))
        assert caught.value.tag == tag


async def test_a_report_all_tagged_reply_can_be_given_back(net: Any) -> None:
    """What was read with its tags, written back, changes nothing (RFC 6243 section 4.5.2)."""
    tagged = net.get(PROFILES, content="config", with_defaults="report-all-tagged")
    await net.edit(tagged, default_operation="replace")
    assert net.get(PROFILES, source="candidate", content="config") == net.get(PROFILES, content="config")


class Interfaces:
    """What a kernel has: an interface that nobody configured, an address that nobody gave."""

    path = "/ietf-interfaces:interfaces/interface"

    def __init__(self) -> None:
        def address(ip: str) -> Record:
            return Record(ip=ip, prefix_length=24)

        def interface(name: str, *addresses: str) -> Record:
            ipv4 = Record(enabled=True, forwarding=False, address=[address(ip) for ip in addresses])
            kind = "iana-if-type:ethernetCsmacd"
            return Record(name=name, type=kind, enabled=True, oper_status="up", ipv4=ipv4)

        found = (interface("eth0", "192.0.2.1", "192.0.2.77"), interface("wan9", "198.51.100.9"))
        self.records = {(one.name,): one for one in found}

    def get(self, keys: tuple[Any, ...]) -> Record | None:
        return self.records.get(keys)

    def iter(self) -> list[Record]:
        return list(self.records.values())

    def absent(self, keys: tuple[Any, ...]) -> Record:
        return Record(name=keys[0], oper_status="not-present")


@pytest.fixture
def unconfigured(net: Any) -> Any:
    net.tree._providers.pop(Interfaces.path)
    net.tree.add_provider(Interfaces())
    return net


@pytest.mark.parametrize("with_defaults", ["explicit", "report-all", "report-all-tagged"])
async def test_what_nobody_configured_is_of_the_system(unconfigured: Any, with_defaults: str) -> None:
    text = unconfigured.get("<if:interfaces/>", with_defaults=with_defaults, origin=OriginView(shown=True))
    entries = {entry.findtext("{*}name"): entry for entry in tree(text).iter("{*}interface")}
    assert set(entries) == {"eth0", "eth1", "wan9"}
    assert entries["wan9"].get(OR) == "or:system"
    assert [node.get(OR) for node in entries["wan9"].iterdescendants() if node.get(OR)] == []
    assert entries["eth0"].get(OR) is None, "that of interfaces: intended"
    addresses = {a.findtext("{*}ip"): a.get(OR) for a in entries["eth0"].iter("{*}address")}
    assert addresses == {"192.0.2.1": None, "192.0.2.77": "or:system"}
    assert [node.get(WD) for node in entries["wan9"].iter() if node.get(WD)] == []


async def test_the_system_can_be_filtered_by_origin(unconfigured: Any) -> None:
    def addresses(origin: str) -> list[str]:
        view = OriginView(wanted=frozenset({f"ietf-origin:{origin}"}))
        text = unconfigured.get("<if:interfaces/>", with_defaults="report-all", origin=view)
        return [node.text for node in tree(text).iter("{*}ip")]

    assert addresses("system") == ["192.0.2.77", "198.51.100.9"]
    assert addresses("intended") == ["192.0.2.1", "192.0.2.2"]
