"""Nothing that an element writes, logs or answers to others than its administrators has a secret in it."""

from __future__ import annotations

import gzip

from lxml import etree

from nbi.protocol.names import BASE_NS

NC = {"nc": BASE_NS}
SECRET = "hush-hush-4711"
PASSWORD = "open-sesame-0815"
DECLARED = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in (
        ("nc", BASE_NS),
        ("ab", "urn:aether:yang:aether-bng"),
        ("sys", "urn:ietf:params:xml:ns:yang:ietf-system"),
    )
)


def edit(config: str) -> str:
    return f"<edit-config><target><candidate/></target><config {DECLARED}>{config}</config></edit-config>"


def server(secret: str, attributes: str = "") -> str:
    leaf = f"<ab:secret {attributes}>{secret}</ab:secret>"
    return f"<ab:bng><ab:aaa><ab:server><ab:name>radius-1</ab:name>{leaf}</ab:server></ab:aaa></ab:bng>"


def user(password: str) -> str:
    inner = f"<sys:user><sys:name>admin</sys:name><sys:password>{password}</sys:password></sys:user>"
    return f"<sys:system><sys:authentication>{inner}</sys:authentication></sys:system>"


async def test_secrets_stay_inside(serve, tmp_path, capfd):
    served = await serve(1)
    client = await served.client()
    answers = []

    async def ask(request: str) -> None:
        answers.append(etree.tostring(await client.rpc(request)).decode())

    await client.ok(edit(server(SECRET)))
    await client.ok(edit(user(f"$0${PASSWORD}")))
    await ask("<commit><confirmed/></commit>")
    await ask("<commit/>")
    await ask(edit(server(SECRET * 20)))  # too long
    await ask(edit(server(SECRET, 'nc:operation="create"')))  # is there already
    await ask(edit(server(SECRET, f'colour="{SECRET}"')))
    await ask(edit(user(PASSWORD)))  # neither hash nor $0$
    await ask("<validate><source><candidate/></source></validate>")
    await ask(
        "<get-config><source><running/></source></get-config>"
    )  # a rule of the element hides it from all
    assert sum("rpc-error" in answer for answer in answers) == 4
    assert [answer for answer in answers if SECRET in answer or PASSWORD in answer] == []

    logged = "".join(capfd.readouterr())
    assert "config.committed" in logged, "the log is looked at"
    assert SECRET not in logged
    assert PASSWORD not in logged
    files = [
        path for path in (served.path.parent).rglob("*") if path.is_file() and path.name != "startup.json"
    ]
    assert {"running.json"} <= {path.name for path in files}
    for path in files:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        assert SECRET.encode() not in data, path
        assert PASSWORD.encode() not in data, path


async def test_what_may_not_be_read_cannot_be_asked_for(serve):
    """Whether a secret is there is told to nobody who may not read it (RFC 8341 section 3.2.5)."""
    client = await (await serve(1, "viewer")).client()
    replies = set()
    for name in ("radius-1", "radius-2"):
        for operation in ("create", "delete"):
            secret = f"<ab:secret nc:operation='{operation}'>x</ab:secret>"
            entry = f"<ab:server><ab:name>{name}</ab:name>{secret}</ab:server>"
            error = await client.error(edit(f"<ab:bng><ab:aaa>{entry}</ab:aaa></ab:bng>"))
            replies.add(error.findtext("nc:error-tag", None, NC))
    assert replies == {"access-denied"}


async def test_a_change_of_nacm_is_in_force_for_a_subscription_at_once(serve):
    served = await serve(2)
    element = served.element
    viewer = await served.client()
    await viewer.ok("<create-subscription xmlns='urn:ietf:params:xml:ns:netconf:notification:1.0'/>")
    session = next(iter(element.sessions.iter()))
    element.end(session, "first")
    assert b"first" in etree.tostring(await viewer.notification())
    nacm = "urn:ietf:params:xml:ns:yang:ietf-netconf-acm"
    rule = (
        f"<nacm xmlns='{nacm}'><rule-list xmlns:y='urn:ietf:params:xml:ns:yang:1' y:insert='first'>"
        "<name>0</name>"
        "<group>administrators</group><rule><name>0</name><notification-name>session-stop</notification-name>"
        "<action>deny</action></rule></rule-list></nacm>"
    )
    await viewer.ok(edit(rule))
    await viewer.ok("<commit/>")
    element.end(next(iter(element.sessions.iter())), "second")
    await viewer.rpc("<get-config><source><running/></source><filter/></get-config>")
    received = b"".join(etree.tostring(message) for message in viewer.notifications)
    assert b"netconf-config-change" in received
    assert b"second" not in received
    assert element.tree.access.denied_notifications == 1
