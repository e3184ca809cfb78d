"""Every operation of the model is carried out, every notification is sent, by the element itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from nbi.protocol.names import CAP_PRIVATE_CANDIDATE
from nbi.subscriptions.registry import FIRST_ID
from tests.contract.model.client import connect, error_tags
from tests.contract.model.element import Filled, filled
from yang.schema import SchemaNode

_CANDIDATE = "<target><candidate/></target>"
_PROFILE = (
    '<shaping-profiles xmlns="urn:aether:yang:aether-shaping"><profile><name>gold</name>'
    "<priority>{}</priority></profile></shaping-profiles>"
)
_EDIT = f"<edit-config>{_CANDIDATE}<config>{_PROFILE}</config></edit-config>"
_SUBSCRIBER = "urn:aether:yang:aether-subscriber"
_PARTIAL = "urn:ietf:params:xml:ns:netconf:partial-lock:1.0"
_MONITORING = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
_NMDA = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
_DS = 'xmlns:ds="urn:ietf:params:xml:ns:yang:ietf-datastores">ds'
_SUBSCRIBED = "urn:ietf:params:xml:ns:yang:ietf-subscribed-notifications"
_PUSH = "urn:ietf:params:xml:ns:yang:ietf-yang-push"
_ESTABLISH = f'<establish-subscription xmlns="{_SUBSCRIBED}">{{}}</establish-subscription>'
_CONFIGURATION = "urn:aether:yang:aether-configuration"
_PRIVATE = "urn:ietf:params:xml:ns:yang:ietf-netconf-private-candidate"
_NOTIFICATION = "urn:ietf:params:xml:ns:netconf:notification:1.0"


def _action(name: str, inside: str = "") -> str:
    return (
        f'<action xmlns="urn:ietf:params:xml:ns:yang:1"><sessions xmlns="{_SUBSCRIBER}"><session>'
        f"<id>{{session}}</id><{name}>{inside}</{name}></session></sessions></action>"
    )


def _subscribed(name: str, identifier: int) -> str:
    stop = "<stop-time>2100-01-01T00:00:00Z</stop-time>" if name == "modify" else ""
    content = f"<id>{identifier}</id>{stop}"
    return f'<{name}-subscription xmlns="{_SUBSCRIBED}">{content}</{name}-subscription>'


REQUESTS: dict[str, tuple[str, ...]] = {
    "/ietf-netconf:get": ("<get/>",),
    "/ietf-netconf:get-config": ("<get-config><source><running/></source></get-config>",),
    "/ietf-netconf-monitoring:get-schema": (
        f'<get-schema xmlns="{_MONITORING}"><identifier>aether-deviations</identifier></get-schema>',
    ),
    "/ietf-netconf:lock": (f"<lock>{_CANDIDATE}</lock>",),
    "/ietf-netconf:unlock": (f"<unlock>{_CANDIDATE}</unlock>",),
    "/ietf-netconf-partial-lock:partial-lock": (
        f'<partial-lock xmlns="{_PARTIAL}"><select xmlns:s="urn:aether:yang:aether-shaping">'
        "/s:shaping-profiles</select></partial-lock>",
    ),
    "/ietf-netconf-partial-lock:partial-unlock": (
        f'<partial-unlock xmlns="{_PARTIAL}"><lock-id>1</lock-id></partial-unlock>',
    ),
    "/ietf-netconf:edit-config": (_EDIT.format(1),),
    "/ietf-netconf:validate": ("<validate><source><candidate/></source></validate>",),
    "/ietf-netconf:commit": ("<commit/>",),
    "/ietf-netconf:cancel-commit": (
        _EDIT.format(2),
        "<commit><confirmed/></commit>",
        "<cancel-commit/>",
    ),
    "/aether-configuration:get-commit-diff": (
        f'<get-commit-diff xmlns="{_CONFIGURATION}"><number>1</number></get-commit-diff>',
    ),
    "/aether-configuration:rollback-to": (
        f'<rollback-to xmlns="{_CONFIGURATION}"><number>0</number><comment>back</comment></rollback-to>',
    ),
    "/ietf-netconf:copy-config": (f"<copy-config>{_CANDIDATE}<source><running/></source></copy-config>",),
    "/ietf-netconf-private-candidate:update": (f'<update xmlns="{_PRIVATE}"/>',),
    "/ietf-netconf:discard-changes": ("<discard-changes/>",),
    "/ietf-netconf:kill-session": ("<kill-session><session-id>{other}</session-id></kill-session>",),
    "/aether-timeline:why": (
        '<why xmlns="urn:aether:yang:aether-timeline"><remote-id>node-1</remote-id>'
        "<circuit-id>1/0/11</circuit-id></why>",
    ),
    "/aether-subscriber:sessions/session/reauthenticate": (_action("reauthenticate"),),
    "/aether-subscriber:sessions/session/set-profile": (_action("set-profile", "<profile>bronze</profile>"),),
    "/aether-subscriber:sessions/session/disconnect": (_action("disconnect", "<reason>x</reason>"),),
    "/aether-subscriber:disconnect-sessions": (
        f'<disconnect-sessions xmlns="{_SUBSCRIBER}"><profile>gold</profile></disconnect-sessions>',
    ),
    "/aether-bng:end-service": ('<end-service xmlns="urn:aether:yang:aether-bng"/>',),
    "/ietf-netconf-nmda:get-data": (
        f'<get-data xmlns="{_NMDA}"><datastore {_DS}:operational</datastore><with-origin/></get-data>',
    ),
    "/ietf-netconf-nmda:edit-data": (
        f'<edit-data xmlns="{_NMDA}"><datastore {_DS}:candidate</datastore>'
        f"<config>{_PROFILE.format(5)}</config></edit-data>",
    ),
    "/ietf-subscribed-notifications:establish-subscription": (_ESTABLISH.format("<stream>NETCONF</stream>"),),
    "/ietf-subscribed-notifications:modify-subscription": (_subscribed("modify", FIRST_ID),),
    "/ietf-subscribed-notifications:kill-subscription": (_subscribed("kill", FIRST_ID),),
    "/ietf-yang-push:resync-subscription": (
        _ESTABLISH.format(
            f'<datastore xmlns="{_PUSH}" {_DS}:running</datastore><on-change xmlns="{_PUSH}"/>'
        ),
        f'<resync-subscription xmlns="{_PUSH}"><id>{FIRST_ID + 1}</id></resync-subscription>',
    ),
    "/ietf-subscribed-notifications:delete-subscription": (_subscribed("delete", FIRST_ID + 1),),
    "/notifications:create-subscription": (f'<create-subscription xmlns="{_NOTIFICATION}"/>',),
    "/ietf-netconf:close-session": ("<close-session/>",),
}
"""What is sent for each operation, in this order; the last request is the operation itself."""

REFUSED = {
    "/ietf-netconf:delete-config": "tests/unit/nbi/operations/test_edit.py: there is nothing to delete"
}
"""Operations that only other tests can carry out, and which."""

SENT = {
    "session-start": {},
    "session-update": {"status": "idle"},
    "session-stop": {"terminate-cause": "User-Request", "reason": "<x>", "counters": {"in-octets": 5}},
    "policy-apply": {"profile": "gold", "download-rate": 1, "upload-rate": 2},
    "session-rejected": {"reason": "not & never"},
    "session-moved": {"new-access-line": {"remote-id": "node-2", "circuit-id": "7"}, "reason": "r"},
    "session-move-denied": {"new-access-line": {"remote-id": "node-2", "circuit-id": "7"}, "reason": "r"},
}
"""Notifications of aether-subscriber, and what their events hold."""


@pytest.fixture
async def element(folder: Path) -> AsyncIterator[Filled]:
    async with filled(folder) as started:
        yield started


def _nodes(element: Filled, *kinds: str) -> set[str]:
    return {node.path for node in element.tree.schema.root.walk() if node.kind in kinds}


def test_each_has_an_owner(owned: Mapping[str, Any]) -> None:
    """Of all leaves, operations and notifications."""
    missing = sorted(path for path, owner in owned.items() if not owner.who and owner.kind != "never")
    assert missing == [], "nobody serves these: deviate them, or see docs/model_owners.yaml"


async def test_each_operation_is_carried_out(element: Filled, owned: Mapping[str, Any]) -> None:
    wanted = {path for path in _nodes(element, "rpc", "action") if owned[path].driven}
    assert sorted(wanted - REQUESTS.keys() - REFUSED.keys()) == [], (
        "add a request to REQUESTS, or name the test under elsewhere in docs/model_owners.yaml"
    )
    client, other = await connect(element.socket), await connect(element.socket)
    private = await connect(element.socket, CAP_PRIVATE_CANDIDATE)
    sessions = (one.id for one in list(element.north.sessions.iter()) if one.status == "active")
    for path, requests in REQUESTS.items():
        if path not in wanted:
            continue
        session = next(sessions) if "/session/" in path else ""
        for request in requests:
            sender = private if _PRIVATE in request else client
            reply = await sender.rpc(request.replace("{session}", session).replace("{other}", str(other.id)))
            assert error_tags(reply) == [], f"{path}: {etree.tostring(reply).decode()[:1000]}"
    for one in (client, other, private):
        one.close()


async def test_each_notification_is_sent(element: Filled, owned: Mapping[str, Any]) -> None:
    wanted = {path for path in _nodes(element, "notification") if owned[path].driven}
    client = await connect(element.socket)
    start = "2026-01-01T00:00:00Z"
    subscribe = f'<create-subscription xmlns="{_NOTIFICATION}"><startTime>{start}</startTime>'
    reply = await client.rpc(f"{subscribe}</create-subscription>")
    assert error_tags(reply) == []
    found = [(await client.told("replayComplete"))]
    for kind, more in SENT.items():
        element.event(kind, **more)
        found.append(await client.told(kind))
    other = await connect(element.socket)
    found.append(await client.told("netconf-session-start"))
    await other.rpc("<close-session/>")
    found.append(await client.told("netconf-session-end"))
    other = await connect(element.socket)
    await other.rpc(_EDIT.format(3))
    assert error_tags(await other.rpc("<commit/>")) == []
    found.append(await client.told("netconf-config-change"))
    for request in (_EDIT.format(4), "<commit><confirmed/></commit>", "<cancel-commit/>"):
        assert error_tags(await other.rpc(request)) == [], request
    found.append(await client.told("netconf-confirmed-commit"))
    stop = f"{subscribe}<stopTime>2026-01-01T00:00:01Z</stopTime></create-subscription>"
    assert error_tags(await other.rpc(stop)) == []
    found.append(await other.told("notificationComplete"))
    schema = element.tree.schema
    sent = set()
    for content in found:
        name = etree.QName(content)
        node = schema.root.child(name.localname, schema.module_of_namespace(name.namespace or ""))
        assert node is not None
        _known(node, content)
        sent.add(node.path)
    never = {path.rpartition(":")[2] for path, owner in owned.items() if owner.kind == "never"}
    await client.rpc("<get><filter/></get>")
    assert never & {etree.QName(content).localname for content in client.notifications} == set()
    assert sorted(wanted - sent) == [], (
        "send these here, or name in docs/model_owners.yaml the test that sees them, or why they never are"
    )
    client.close()
    other.close()


def _known(node: SchemaNode, content: etree._Element) -> None:
    """All that a notification holds is in the model, and its values are of the types there."""
    for element in content:
        below = node.child(etree.QName(element).localname)
        assert below is not None, element.tag
        if below.type is not None and not below.type.prefixed:
            below.type.parse(element.text or "")
        _known(below, element)
