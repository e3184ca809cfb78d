"""Every error-tag of RFC 6241 appendix A, provoked by a request, as the reply that a client gets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from lxml import etree

from nbi.protocol.names import BASE_NS, WITH_DEFAULTS_NS, YANG_NS

NC = {"nc": BASE_NS, "y": YANG_NS}
DECLARED = f"""xmlns:nc="{BASE_NS}" xmlns:yang="{YANG_NS}" xmlns:ab="urn:aether:yang:aether-bng"
  xmlns:ash="urn:aether:yang:aether-shaping" xmlns:aar="urn:aether:yang:aether-access-router"
  xmlns:asub="urn:aether:yang:aether-subscriber" xmlns:sys="urn:ietf:params:xml:ns:yang:ietf-system"
  xmlns:nacm="urn:ietf:params:xml:ns:yang:ietf-netconf-acm" """

SCHEMA = etree.XMLSchema(
    etree.fromstring(
        f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{BASE_NS}"
  xmlns="{BASE_NS}" elementFormDefault="qualified">
 <xs:import namespace="http://www.w3.org/XML/1998/namespace"/>
 <xs:element name="rpc-error"><xs:complexType><xs:sequence>
  <xs:element name="error-type"><xs:simpleType><xs:restriction base="xs:string">
   <xs:enumeration value="transport"/><xs:enumeration value="rpc"/><xs:enumeration value="protocol"/>
   <xs:enumeration value="application"/></xs:restriction></xs:simpleType></xs:element>
  <xs:element name="error-tag" type="xs:string"/>
  <xs:element name="error-severity"><xs:simpleType><xs:restriction base="xs:string">
   <xs:enumeration value="error"/><xs:enumeration value="warning"/></xs:restriction>
   </xs:simpleType></xs:element>
  <xs:element name="error-app-tag" type="xs:string" minOccurs="0"/>
  <xs:element name="error-path" type="xs:string" minOccurs="0"/>
  <xs:element name="error-message" minOccurs="0"><xs:complexType><xs:simpleContent>
   <xs:extension base="xs:string"><xs:anyAttribute namespace="http://www.w3.org/XML/1998/namespace"
    processContents="skip"/></xs:extension></xs:simpleContent></xs:complexType></xs:element>
  <xs:element name="error-info" minOccurs="0"><xs:complexType><xs:sequence>
   <xs:choice>
    <xs:element name="session-id" type="xs:unsignedInt"/>
    <xs:sequence minOccurs="0" maxOccurs="unbounded">
     <xs:element name="bad-attribute" type="xs:QName" minOccurs="0"/>
     <xs:element name="bad-element" type="xs:QName" minOccurs="0"/>
     <xs:element name="bad-namespace" type="xs:string" minOccurs="0"/>
    </xs:sequence>
   </xs:choice>
   <xs:any namespace="##other" processContents="lax" minOccurs="0" maxOccurs="unbounded"/>
  </xs:sequence></xs:complexType></xs:element>
 </xs:sequence></xs:complexType></xs:element></xs:schema>"""
    )
)
"""rpc-error as the schema of RFC 6241 appendix B has it."""


@dataclass
class Case:
    """A request and the error that answers it.

    Attributes:
        first: requests before, which are carried out.
        info: names of error-info's elements → text.
        path: end of error-path.
    """

    tag: str
    request: str
    message: str
    type: str = "application"
    app_tag: str | None = None
    info: dict[str, Any] | None = None
    path: str | None = None
    first: tuple[str, ...] = ()
    user: str = "admin"
    attributes: str = ""

    @property
    def name(self) -> str:
        return f"{self.tag}-{self.app_tag or self.message[:24]}".replace(" ", "-")


def edit(config: str, operation: str = "") -> str:
    target = "<target><candidate/></target>"
    return f"<edit-config>{target}{operation}<config {DECLARED}>{config}</config></edit-config>"


def profile(content: str, attributes: str = "", name: str = "gold") -> str:
    entry = f"<ash:profile {attributes}><ash:name>{name}</ash:name>{content}</ash:profile>"
    return f"<ash:shaping-profiles>{entry}</ash:shaping-profiles>"


def profiles(names: Iterable[str]) -> str:
    """Profiles without their rates."""
    entries = "".join(f"<ash:profile><ash:name>{name}</ash:name></ash:profile>" for name in names)
    return f"<ash:shaping-profiles>{entries}</ash:shaping-profiles>"


def servers(count: int) -> str:
    entries = "".join(
        f"<ab:server><ab:name>r{n}</ab:name><ab:address>192.0.2.{n}</ab:address>"
        "<ab:secret>x</ab:secret></ab:server>"
        for n in range(1, count + 1)
    )
    return f"<ab:bng><ab:aaa>{entries}</ab:aaa></ab:bng>"


ROUTERS = "".join(
    f"<aar:access-router><aar:name>{n}</aar:name><aar:remote-id>same</aar:remote-id></aar:access-router>"
    for n in "ab"
)
RATES = (
    "<ash:download><ash:rate>9000</ash:rate></ash:download><ash:upload><ash:rate>9000</ash:rate></ash:upload>"
)
GOLD = "/aether-shaping:shaping-profiles/aether-shaping:profile[aether-shaping:name='gold']"
CASES = (
    Case(
        "invalid-value",
        edit(profile("<ash:download><ash:rate>7</ash:rate></ash:download>")),
        "/aether-shaping:shaping-profiles/profile[name='gold']/download/rate: \"7\": "
        "expected a whole number, 8000 to 100000000000",
        path="aether-shaping:rate",
    ),
    Case(
        "invalid-value",
        edit("<nacm:nacm><nacm:read-default>maybe</nacm:read-default></nacm:nacm>"),
        "/ietf-netconf-acm:nacm/read-default: the value: expected one of permit, deny",
        path="ietf-netconf-acm:read-default",
    ),
    Case(
        "invalid-value",
        f"<get><with-defaults xmlns='{WITH_DEFAULTS_NS}'>all</with-defaults></get>",
        "<with-defaults> must be one of explicit, report-all, report-all-tagged, trim",
        "protocol",
        info={"bad-element": "with-defaults"},
    ),
    Case(
        "too-big",
        f"<get><filter type='xpath' select='/{'x' * 5000}'/></get>",
        "an XPath may have 4096 characters at most",
        "protocol",
    ),
    Case(
        "missing-attribute",
        edit("<sys:system/>") + "",
        "<rpc> needs a message-id",
        "rpc",
        info={"bad-attribute": "message-id", "bad-element": "rpc"},
        attributes="no-id",
    ),
    Case(
        "bad-attribute",
        edit(profile("", 'nc:operation="explode"')),
        "/aether-shaping:shaping-profiles/profile[name='gold']: there is no operation \"explode\"",
        "protocol",
        info={"bad-attribute": "operation", "bad-element": "profile"},
        path="[aether-shaping:name='gold']",
    ),
    Case(
        "unknown-attribute",
        "<get colour='red'/>",
        "attribute colour is not expected in <get>",
        "protocol",
        info={"bad-attribute": "colour", "bad-element": "get"},
    ),
    Case(
        "unknown-attribute",
        edit(profile("", "operation='delete'")),
        "/aether-shaping:shaping-profiles/profile[name='gold']: there is no attribute \"operation\" here; "
        "the one of NETCONF is in its namespace (nc:operation)",
        "protocol",
        info={"bad-attribute": "operation", "bad-element": "profile"},
        path="[aether-shaping:name='gold']",
    ),
    Case(
        "invalid-value",
        edit(
            "<ab:bng><ab:aaa><ab:server><ab:name>one</ab:name><ab:timeout>5</ab:timeout></ab:server></ab:aaa></ab:bng>"
        ),
        "/aether-bng:bng/aaa/server[name='one']/timeout: \"5\": expected a whole number, 100 to 30000",
        path="aether-bng:server[aether-bng:name='one']/aether-bng:timeout",
    ),
    Case(
        "invalid-value",
        edit(profile("", name="no name")),
        '/aether-shaping:shaping-profiles/profile/name: "no name": '
        "expected text that matches the pattern [A-Za-z0-9_][A-Za-z0-9_.\\-]*",
        path="aether-shaping:name",
    ),
    Case("missing-element", "<lock/>", "<target> is missing", "protocol", info={"bad-element": "target"}),
    Case(
        "bad-element",
        "<lock><target/></lock>",
        "<target> must hold exactly one datastore",
        "protocol",
        info={"bad-element": "target"},
    ),
    Case(
        "unknown-element",
        edit("<ab:bng><ab:warp-drive/></ab:bng>"),
        '/aether-bng:bng has no node "warp-drive" in module aether-bng',
        info={"bad-element": "warp-drive"},
        path="/aether-bng:bng",
    ),
    Case(
        "unknown-namespace",
        edit("<x xmlns='urn:nowhere'/>"),
        'no module has the namespace "urn:nowhere" of <x>',
        info={"bad-element": "x", "bad-namespace": "urn:nowhere"},
    ),
    Case(
        "access-denied",
        "<kill-session><session-id>7</session-id></kill-session>",
        "user viewer may not execute ietf-netconf:kill-session",
        "protocol",
        path="/ietf-netconf:rpc/ietf-netconf:kill-session",
        user="viewer",
    ),
    Case(
        "access-denied",
        edit(profile(RATES)),
        "you may not update /aether-shaping:shaping-profiles/profile[name='gold']/download/rate",
        path=f"{GOLD}/aether-shaping:download/aether-shaping:rate",
        user="viewer",
    ),
    Case(
        "resource-denied",
        "<commit/>",
        "the data plane has no room for profile refused",
        path="aether-shaping:profile[aether-shaping:name='refused']",
        first=(edit(profile(RATES, name="refused")),),
    ),
    Case(
        "data-exists",
        edit(profile(RATES, 'nc:operation="create"')),
        "/aether-shaping:shaping-profiles/profile[name='gold'] exists already",
        path=GOLD,
    ),
    Case(
        "data-missing",
        edit(profile("", 'nc:operation="delete"', "iron")),
        "/aether-shaping:shaping-profiles/profile[name='iron'] does not exist",
        path="aether-shaping:profile[aether-shaping:name='iron']",
    ),
    Case(
        "operation-not-supported",
        "<fly xmlns='urn:aether:yang:aether-bng'/>",
        "this server has no operation fly",
        "protocol",
    ),
    Case("operation-failed", "<cancel-commit/>", "there is no confirmed commit to cancel"),
    Case(
        "operation-failed",
        "<validate><source><candidate/></source></validate>",
        "/aether-access-router:access-routers/access-router[name='a'] and "
        "/aether-access-router:access-routers/access-router[name='b'] have the same remote-id, "
        "which must be unique",
        app_tag="data-not-unique",
        info={
            "non-unique": [
                "[aether-access-router:name='a']/aether-access-router:remote-id",
                "[aether-access-router:name='b']/aether-access-router:remote-id",
            ]
        },
        path="aether-access-router:access-router[aether-access-router:name='b']",
        first=(edit(f"<aar:access-routers>{ROUTERS}</aar:access-routers>"),),
    ),
    Case(
        "operation-failed",
        "<validate><source><candidate/></source></validate>",
        'there are too many entries of "server"',
        app_tag="too-many-elements",
        path="/aether-bng:aaa/aether-bng:server",
        first=(edit(servers(9)),),
    ),
    Case(
        "operation-failed",
        "<validate><source><candidate/></source></validate>",
        "'admit' needs a profile",
        app_tag="must-violation",
        path="/aether-bng:aaa/aether-bng:unanswered/aether-bng:action",
        first=(
            edit(
                "<ab:bng><ab:aaa><ab:unanswered><ab:action>admit</ab:action></ab:unanswered>"
                "</ab:aaa></ab:bng>"
            ),
        ),
    ),
    Case(
        "data-missing",
        "<validate><source><candidate/></source></validate>",
        '"eth9" does not exist: it must be one of /interfaces/interface/name',
        app_tag="instance-required",
        path="/aether-bng:interfaces/aether-bng:upstream",
        first=(edit("<ab:bng><ab:interfaces><ab:upstream>eth9</ab:upstream></ab:interfaces></ab:bng>"),),
    ),
    Case(
        "bad-attribute",
        edit(
            "<nacm:nacm><nacm:rule-list yang:insert='before' yang:key=\"[nacm:name='none']\">"
            "<nacm:name>viewers</nacm:name></nacm:rule-list></nacm:nacm>"
        ),
        "/ietf-netconf-acm:nacm/rule-list[name='viewers']: there is no entry to insert it before",
        app_tag="missing-instance",
        info={"bad-attribute": "key", "bad-element": "rule-list"},
        path="ietf-netconf-acm:rule-list[ietf-netconf-acm:name='viewers']",
    ),
)


def check(error: etree._Element, case: Case) -> None:
    SCHEMA.assertValid(etree.fromstring(etree.tostring(error, with_tail=False)))
    text = {
        name: error.findtext(f"nc:error-{name}", None, NC)
        for name in ("type", "tag", "app-tag", "path", "message")
    }
    assert (text["tag"], text["app-tag"], text["message"], text["type"]) == (
        case.tag, case.app_tag, case.message, case.type,
    )  # fmt: skip
    if case.path is None:
        assert text["path"] is None
    else:
        assert text["path"].endswith(case.path), text["path"]
    found: dict[str, list[str]] = {}
    for element in error.iterfind("nc:error-info/*", NC):
        found.setdefault(etree.QName(element).localname, []).append(element.text)
    wanted = {
        name: value if isinstance(value, list) else [value] for name, value in (case.info or {}).items()
    }
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert all(a.endswith(b) for a, b in zip(found[name], values, strict=True)), found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_error(serve, case):
    client = await (await serve(1, case.user)).client()
    for request in case.first:
        await client.ok(request)
    if case.attributes == "no-id":
        client.write(f"<rpc xmlns='{BASE_NS}'>{case.request}</rpc>")
        errors = (await client.reply()).findall("nc:rpc-error", NC)
    else:
        errors = (await client.rpc(case.request)).findall("nc:rpc-error", NC)
    assert len(errors) == 1
    check(errors[0], case)


async def test_errors_of_two_sessions(serve):
    """lock-denied, in-use, and a message that is none."""
    served = await serve(1)
    one, two = await served.client(), await served.client()
    await one.ok("<lock><target><candidate/></target></lock>")
    held = {"session-id": str(one.session_id)}
    error = await two.error("<lock><target><candidate/></target></lock>")
    assert error.findtext("nc:error-info/nc:session-id", None, NC) == held["session-id"]
    assert error.findtext("nc:error-tag", None, NC) == "lock-denied"
    SCHEMA.assertValid(etree.fromstring(etree.tostring(error, with_tail=False)))
    error = await two.error(edit(profile(RATES)))
    assert error.findtext("nc:error-tag", None, NC) == "in-use"
    SCHEMA.assertValid(etree.fromstring(etree.tostring(error, with_tail=False)))
    two.write("<rpc")
    error = (await two.reply()).find("nc:rpc-error", NC)
    assert error.findtext("nc:error-tag", None, NC) == "malformed-message"
    SCHEMA.assertValid(etree.fromstring(etree.tostring(error, with_tail=False)))


async def test_all_that_is_missing_is_said_at_once(serve):
    client = await (await serve(1)).client()
    names = ("iron", "lead", "zinc")
    await client.ok(edit(profiles(names)))
    reply = await client.rpc("<validate><source><candidate/></source></validate>")
    errors = reply.findall("nc:rpc-error", NC)
    paths = [error.findtext("nc:error-path", None, NC) for error in errors]
    assert [name for name in names if any(f"'{name}'" in path for path in paths)] == list(names)
    for error in errors:
        SCHEMA.assertValid(etree.fromstring(etree.tostring(error, with_tail=False)))
        assert error.findtext("nc:error-tag", None, NC) == "data-missing"


async def test_the_number_of_errors_in_a_reply_is_bounded(serve):
    client = await (await serve(1)).client()
    await client.ok(edit(profiles([f"p{n}" for n in range(500)])))
    reply = await client.rpc("<validate><source><candidate/></source></validate>")
    assert len(reply.findall("nc:rpc-error", NC)) == 20
