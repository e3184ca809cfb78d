"""What an operator does with ncclient, against the server over SSH."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import etree
from ncclient import manager
from ncclient.operations import RPCError
from ncclient.transport.errors import AuthenticationError

from tests.support.waiting import wait_for

SHAPING = "urn:aether:yang:aether-shaping"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
NS = {"s": SHAPING, "u": SUBSCRIBER, "b": "urn:aether:yang:aether-bng"}
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
SECRET = "radius-shared-secret"


def profile(name, rate=50_000_000):
    return (
        f"<config xmlns='{BASE}'><shaping-profiles xmlns='{SHAPING}'><profile><name>{name}</name>"
        f"<download><rate>{rate}</rate></download><upload><rate>{rate}</rate></upload>"
        "</profile></shaping-profiles></config>"
    )


def names(reply):
    return {entry.text for entry in reply.data.iterfind(".//s:profile/s:name", NS)}


def open_session(element, user="admin", password=None, **options):
    secrets = {"admin": "correct horse", "viewer": "only looking"}
    return manager.connect(
        host="127.0.0.1",
        port=element.port,
        username=user,
        password=password or secrets[user],
        hostkey_verify=False,
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
        **options,
    )


@pytest.fixture
def admin(element):
    with open_session(element) as session:
        yield session
        session.discard_changes()


def test_get_with_subtree_filter(admin):
    key = f"<sessions xmlns='{SUBSCRIBER}'><session><id>{7:016x}</id></session></sessions>"
    reply = admin.get(filter=("subtree", key))
    (session,) = reply.data.iterfind("u:sessions/u:session", NS)
    assert session.findtext("u:username", None, NS) == "bng-01/an-0000/1/0/7<&>"
    assert session.findtext("u:counters/u:out-octets", None, NS) == str(7 * 9_000_001)


def test_get_with_xpath_filter(admin):
    select = ({"u": SUBSCRIBER}, f"/u:sessions/u:session[u:id='{9:016x}']/u:status")
    reply = admin.get(filter=("xpath", select))
    assert [leaf.text for leaf in reply.data.iterfind(".//u:status", NS)] == ["active"]
    assert reply.data.find(".//u:username", NS) is None


def test_get_of_all_sessions(admin):
    reply = admin.get(filter=("subtree", f"<sessions xmlns='{SUBSCRIBER}'/>"))
    assert len(reply.data.findall("u:sessions/u:session", NS)) == 2000


def test_edit_validate_commit_and_delete(admin):
    with admin.locked("candidate"):
        admin.edit_config(target="candidate", config=profile("bronze"))
        admin.validate("candidate")
        admin.commit()
    shaping = ("subtree", f"<shaping-profiles xmlns='{SHAPING}'/>")
    assert names(admin.get_config("running", filter=shaping)) == {"gold", "bronze"}
    deletion = profile("bronze").replace("<profile>", f"<profile xmlns:nc='{BASE}' nc:operation='delete'>")
    admin.edit_config(target="candidate", config=deletion)
    admin.commit()
    assert names(admin.get_config("running", filter=shaping)) == {"gold"}


def test_discard(admin):
    admin.edit_config(target="candidate", config=profile("bronze"))
    admin.discard_changes()
    shaping = ("subtree", f"<shaping-profiles xmlns='{SHAPING}'/>")
    assert names(admin.get_config("candidate", filter=shaping)) == {"gold"}


def test_rollback_on_error(admin):
    both = profile("bronze").replace(
        "</profile>",
        f"</profile><profile xmlns:nc='{BASE}' nc:operation='delete'><name>absent</name></profile>",
    )
    with pytest.raises(RPCError) as refused:
        admin.edit_config(target="candidate", config=both, error_option="rollback-on-error")
    assert refused.value.tag == "data-missing"
    assert refused.value.path.strip().endswith("'absent']")
    shaping = ("subtree", f"<shaping-profiles xmlns='{SHAPING}'/>")
    assert names(admin.get_config("candidate", filter=shaping)) == {"gold"}


def test_lock_conflict(element, admin):
    with admin.locked("running"), open_session(element) as other:
        with pytest.raises(RPCError) as refused:
            other.lock("running")
        assert refused.value.tag == "lock-denied"
        assert f"<session-id>{admin.session_id}<" in refused.value.info.replace("nc:", "")


def test_confirmed_commit_reverts_with_its_session(element, admin):
    with open_session(element) as other:
        other.edit_config(target="candidate", config=profile("bronze"))
        other.commit(confirmed=True, timeout="60")
        shaping = ("subtree", f"<shaping-profiles xmlns='{SHAPING}'/>")
        assert names(admin.get_config("running", filter=shaping)) == {"gold", "bronze"}
    wait_for("the revert", lambda: names(admin.get_config("running", filter=shaping)) == {"gold"})


def test_get_schema(admin):
    text = admin.get_schema("aether-shaping").data
    assert "module aether-shaping {" in text


def test_yang_library(admin):
    reply = admin.get(
        filter=("subtree", "<yang-library xmlns='urn:ietf:params:xml:ns:yang:ietf-yang-library'/>")
    )
    modules = {name.text for name in reply.data.iterfind(".//{*}module/{*}name")}
    assert {"aether-subscriber", "aether-shaping", "ietf-netconf-acm", "ietf-netconf"} <= modules
    content_id = reply.data.findtext(".//{*}content-id")
    assert any(content_id in uri for uri in admin.server_capabilities)


def test_notifications_with_replay(element):
    with open_session(element) as session:
        session.create_subscription(start_time="2026-09-21T14:16:30Z", stop_time="2026-09-21T14:16:40Z")
        received = []
        while not received or received[-1] != "notificationComplete":
            notification = session.take_notification(timeout=30)
            assert notification is not None, received
            received.append(etree.QName(notification.notification_ele[1]).localname)
    assert "replayComplete" in received
    assert set(received[:-2]) <= {"session-start"}


def test_secrets_do_not_leave(element):
    for user in ("admin", "viewer"):
        with open_session(element, user) as session:
            everything = session.get().data_xml + session.get_config("running").data_xml
        assert "bng-01" in everything
        assert SECRET not in everything
        # The administrators' rules let them read everything but the RADIUS secrets.
        assert ("$6$" in everything) is (user == "admin")


def test_a_viewer_may_not_write(element, admin):
    with open_session(element, "viewer") as viewer:
        with pytest.raises(RPCError) as refused:
            viewer.edit_config(target="candidate", config=profile("bronze"))
        assert refused.value.tag == "access-denied"
        admin.edit_config(target="candidate", config=profile("bronze"))
        with pytest.raises(RPCError) as refused:
            viewer.commit()
        assert refused.value.tag == "access-denied"


def test_wrong_password(element):
    with pytest.raises(AuthenticationError):
        open_session(element, password="wrong")


def test_unknown_user(element):
    with pytest.raises(AuthenticationError):
        open_session(element, "nobody", "wrong")


def test_public_key(element):
    with manager.connect(
        host="127.0.0.1",
        port=element.port,
        username="admin",
        key_filename=str(element.key),
        hostkey_verify=False,
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    ) as session:
        assert session.connected


def test_ten_sessions_at_once(element):
    key = f"<sessions xmlns='{SUBSCRIBER}'><session><id>{3:016x}</id></session></sessions>"

    def work(number):
        with open_session(element) as session:
            wanted = f"<sessions xmlns='{SUBSCRIBER}'/>" if number % 2 else key
            return len(session.get(filter=("subtree", wanted)).data.findall("u:sessions/u:session", NS))

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(work, range(10))) == [1, 2000] * 5


def test_push_beside_requests(element):
    push = "urn:ietf:params:xml:ns:yang:ietf-yang-push"
    subscribed = "urn:ietf:params:xml:ns:yang:ietf-subscribed-notifications"
    with open_session(element) as session:
        running = "<yp:datastore xmlns:ds='urn:ietf:params:xml:ns:yang:ietf-datastores'>ds:running"
        filter = f"<yp:datastore-subtree-filter><shaping-profiles xmlns='{SHAPING}'/>"
        reply = session.dispatch(
            etree.fromstring(
                f"<establish-subscription xmlns='{subscribed}' xmlns:yp='{push}'>{running}</yp:datastore>"
                f"{filter}</yp:datastore-subtree-filter><yp:on-change/></establish-subscription>"
            )
        )
        identifier = etree.fromstring(reply.xml.encode()).findtext(f"{{{subscribed}}}id")
        update = session.take_notification(timeout=30).notification_ele[1]
        assert update.tag == f"{{{push}}}push-update"
        assert [leaf.text for leaf in update.iterfind(".//s:profile/s:name", NS)] == ["gold"]
        session.edit_config(target="candidate", config=profile("pushed"))
        session.commit()
        patch = session.take_notification(timeout=30).notification_ele[1]
        (target,) = patch.iterfind(f".//{{{push}}}target")
        assert target.text == "/aether-shaping:shaping-profiles/profile=pushed"
        deletion = profile("pushed").replace(
            "<profile>", f"<profile xmlns:nc='{BASE}' nc:operation='delete'>"
        )
        session.edit_config(target="candidate", config=deletion)
        session.commit()
        assert session.take_notification(timeout=30) is not None
        ending = f"<delete-subscription xmlns='{subscribed}'><id>{identifier}</id></delete-subscription>"
        session.dispatch(etree.fromstring(ending))
        with pytest.raises(RPCError) as refused:
            session.dispatch(etree.fromstring(ending))
        assert refused.value.app_tag == "ietf-subscribed-notifications:no-such-subscription"
