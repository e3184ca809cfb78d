"""Operations, notifications, schemas, users: what else the servers ask of the tree."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lxml import etree

from yang.access import User
from yang.bus import Bus, Overrun
from yang.path import DataPath
from yang.provider import Notification, OperationError
from yang.users import hash_cleartext, hash_password, verify_password

DISCONNECT = "/aether-subscriber:sessions/session/disconnect"
RPC = "/aether-subscriber:disconnect-sessions"


async def refused(work: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        await work
    return caught.value


# --- operations ----------------------------------------------------------------------------------


async def test_an_rpc(net: Any, make_element: Any) -> None:
    request = make_element(
        "rpc", "<asub:disconnect-sessions><asub:profile>gold</asub:profile></asub:disconnect-sessions>"
    )
    path, keys, inside = net.tree.find_operation(request[0])
    assert (path, keys) == (RPC, ())
    output = await net.tree.invoke(path, keys, inside, net.guest)
    assert net.operations == [((), {"profile": "gold"}, "guest")]
    assert net.tree.encode_output(path, output) == (
        b'<disconnected xmlns="urn:aether:yang:aether-subscriber">2</disconnected>'
    )


async def test_an_action(net: Any, make_element: Any) -> None:
    request = make_element(
        "rpc",
        "<yang:action><asub:sessions><asub:session><asub:id>0000000000000002</asub:id><asub:disconnect>"
        "<asub:reason>why</asub:reason></asub:disconnect></asub:session></asub:sessions></yang:action>",
    )
    path, keys, inside = net.tree.find_operation(request[0])
    assert (path, keys) == (DISCONNECT, ("0000000000000002",))
    output = await net.tree.invoke(path, keys, inside, net.admin)
    assert net.operations == [(("0000000000000002",), {"reason": "why"}, "admin")]
    assert net.tree.encode_output(path, output) == b""


@pytest.mark.parametrize(
    ("inner", "tag"),
    [
        ("<asub:sessions><asub:session><asub:disconnect/></asub:session></asub:sessions>", "missing-element"),
        (
            "<asub:sessions><asub:session><asub:id>1</asub:id></asub:session></asub:sessions>",
            "malformed-message",
        ),
        ("<asub:sessions><asub:wrong/></asub:sessions>", "unknown-element"),
        ("", "malformed-message"),
    ],
)
async def test_malformed_actions(net: Any, make_element: Any, inner: str, tag: str) -> None:
    request = make_element("rpc", f"<yang:action>{inner}</yang:action>")
    with pytest.raises(OperationError) as caught:
        net.tree.find_operation(request[0])
    assert caught.value.tag == tag


@pytest.mark.parametrize(
    ("path", "keys", "members", "tag"),
    [
        (DISCONNECT, ("ffffffffffffffff",), {}, "data-missing"),
        (DISCONNECT, (), {}, "missing-element"),
        (DISCONNECT, ("0000000000000002",), {"wrong": 1}, "unknown-element"),
        (DISCONNECT, ("0000000000000002",), {"reason": "x" * 256}, "invalid-value"),
        (
            "/aether-subscriber:sessions/session/set-profile",
            ("0000000000000002",),
            {},
            "operation-not-supported",
        ),
        ("/aether-bng:end-service", (), {}, "operation-not-supported"),
        ("/ietf-system:system-restart", (), {}, "unknown-element"),
        ("/aether-subscriber:nothing", (), {}, "unknown-element"),
        (RPC, (), {"profile": "a b"}, "invalid-value"),
    ],
)
async def test_wrong_invocations(net: Any, path: str, keys: Any, members: Any, tag: str) -> None:
    assert (await refused(net.tree.invoke(path, keys, members, net.admin))).tag == tag
    assert net.operations == []


async def test_what_is_not_an_operation(net: Any, make_element: Any) -> None:
    assert net.tree.find_operation(make_element("rpc", "<asub:sessions/>")[0]) is None
    assert net.tree.find_operation(make_element("rpc", '<x xmlns="urn:x"/>')[0]) is None


# --- notifications -------------------------------------------------------------------------------


class Record:
    def __init__(self, **children: Any) -> None:
        self.__dict__.update(children)


async def test_a_notification(net: Any) -> None:
    record = Record(
        seq=7, session_id="0000000000000001", access_line=Record(remote_id="an-1"), username="a&b"
    )
    notification = Notification("/aether-subscriber:session-start", record, 1)
    assert net.tree.encode_notification(notification) == (
        b'<session-start xmlns="urn:aether:yang:aether-subscriber"><seq>7</seq>'
        b"<session-id>0000000000000001</session-id><username>a&amp;b</username>"
        b"<access-line><remote-id>an-1</remote-id></access-line></session-start>"
    )
    assert net.tree.notification_json(notification) == {
        "aether-subscriber:session-start": {
            "seq": "7",
            "session-id": "0000000000000001",
            "username": "a&b",
            "access-line": {"remote-id": "an-1"},
        }
    }
    assert net.tree.may_receive(notification.path, net.guest)


async def test_a_commit_is_announced(net: Any) -> None:
    subscription = net.tree.bus.subscribe_notifications()
    watch = net.tree.bus.watch("/aether-bng:bng/timers")
    other = net.tree.bus.watch("/aether-shaping:shaping-profiles")
    await net.edit("<ab:bng><ab:timers><ab:health>9</ab:health></ab:timers></ab:bng>")
    await net.commit()
    assert await watch.wait() == {"/aether-bng:bng/timers"}
    notification = await anext(subscription)
    element = etree.fromstring(net.tree.encode_notification(notification))
    assert element.findtext("{*}changed-by/{*}username") == "admin"
    assert element.findtext("{*}edit/{*}target") == "/aether-bng:bng/aether-bng:timers/aether-bng:health"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(other.wait(), 0.01)


async def test_a_slow_subscriber_is_dropped() -> None:
    bus = Bus()
    slow = bus.subscribe_notifications(limit=2)
    only = bus.subscribe_notifications(lambda notification: notification.seq == 2)
    for seq in range(4):
        bus.publish(Notification("/m:n", None, seq, seq))
    assert [(await anext(slow)).seq, (await anext(slow)).seq] == [0, 1]
    with pytest.raises(Overrun):
        await anext(slow)
    assert (await anext(only)).seq == 2
    only.close()
    only.close()
    with pytest.raises(StopAsyncIteration):
        await anext(only)


async def test_watches_see_what_is_above_and_below() -> None:
    bus = Bus()
    watch = bus.watch("/m:a/b")
    bus.state_changed("/m:a/bc")
    bus.state_changed("/m:a/b/c")
    bus.state_changed("/m:a")
    assert await watch.wait() == {"/m:a/b"}
    watch.close()
    assert await watch.wait() == frozenset()


# --- schemas, monitoring -------------------------------------------------------------------------


async def test_get_schema(net: Any) -> None:
    assert net.tree.get_schema("aether-bng").startswith("module aether-bng")
    for arguments in (("nothing",), ("aether-bng", "1999-01-01"), ("aether-bng", None, "yin")):
        with pytest.raises(OperationError) as caught:
            net.tree.get_schema(*arguments)
        assert caught.value.tag == "invalid-value"


async def test_monitoring(net: Any) -> None:
    net.tree.capabilities = ["urn:x"]
    text = net.get("<ncm:netconf-state><ncm:capabilities/></ncm:netconf-state>")
    assert "<capability>urn:x</capability>" in text
    text = net.get(
        "<ncm:netconf-state><ncm:schemas><ncm:schema><ncm:identifier>aether-bng</ncm:identifier>"
        "</ncm:schema></ncm:schemas></ncm:netconf-state>"
    )
    assert "urn:aether:yang:aether-bng" in text
    assert "aether-shaping" not in text
    from yang.datastore.model import Session

    await net.tree.datastores.lock(Session(42, net.admin), "running")
    text = net.get("<ncm:netconf-state><ncm:datastores/></ncm:netconf-state>")
    assert "<locked-by-session>42</locked-by-session>" in text


async def test_providers_must_fit_the_schema(net: Any) -> None:
    class Misplaced:
        path = "/aether-bng:bng/identity/bng-id"

        def get(self, keys: Any) -> None: ...

        def iter(self) -> Any: ...

    with pytest.raises(ValueError, match="no container or list"):
        net.tree.add_provider(Misplaced())
    with pytest.raises(ValueError, match="two providers"):
        net.tree.add_provider(net.sessions)
    assert net.tree.provider(net.sessions.path) is net.sessions


async def test_a_new_provider_is_seen_at_once(net: Any) -> None:
    class Health:
        path = "/aether-health:health"

        def get(self, keys: Any) -> Any:
            return Record(sessions=5)

        def iter(self) -> Any:
            return [self.get(())]

    selection = net.tree.select_paths([DataPath.parse("/aether-health:health/sessions")])
    assert list(net.tree.read_json(selection, net.guest)) == []
    net.tree.add_provider(Health())
    assert [value for _, value in net.tree.read_json(selection, net.guest)] == [5]


# --- users ---------------------------------------------------------------------------------------


async def test_authentication(net: Any) -> None:
    tree = net.tree
    assert tree.authenticate("admin", password="admin-pw") == User("admin")
    assert tree.authenticate("admin", password="wrong") is None
    assert tree.authenticate("nobody", password="nobody") is None
    assert tree.authenticate("admin", password="x" * 10_000) is None
    assert tree.authenticate("admin", password="a\0b") is None
    assert tree.authenticate("admin") is None
    assert tree.authenticate("admin", public_key=("ssh-ed25519", b"ABC")) == User("admin")
    assert tree.authenticate("guest", public_key=("ssh-ed25519", b"ABC")) is None


def test_hashes() -> None:
    stored = hash_password("pässword")
    assert stored.startswith("$6$")
    assert stored != hash_password("pässword")
    assert verify_password("pässword", stored)
    assert not verify_password("password", stored)
    # as `openssl passwd -5 -salt saltstring` writes it
    known = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
    assert verify_password("Hello world!", known)
    assert hash_cleartext(known) == known
    for broken in ("", "x", "$1$a$b", "$6$", "$0$clear"):
        assert not verify_password("clear", broken)
