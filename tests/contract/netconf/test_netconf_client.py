"""The OSS's client against the server over SSH."""

import threading

import pytest
from lxml import etree

from nbi.client import (
    NetconfAuthenticationError,
    NetconfConnectionError,
    NetconfError,
    NetconfTimeout,
    connect,
)

SHAPING = "urn:aether:yang:aether-shaping"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
NS = {"s": SHAPING, "u": SUBSCRIBER}
PROFILES = f"<shaping-profiles xmlns='{SHAPING}'/>"


def profile(name, rate=50_000_000):
    return (
        f"<shaping-profiles xmlns='{SHAPING}'><profile><name>{name}</name><download><rate>{rate}</rate>"
        f"</download><upload><rate>{rate}</rate></upload></profile></shaping-profiles>"
    )


def names(data):
    return {entry.text for entry in data.iterfind("s:shaping-profiles/s:profile/s:name", NS)}


@pytest.fixture
def client(element):
    with element.connect() as session:
        yield session
        if session.connected:
            session.discard()


def test_provisioning_of_a_profile(client):
    with client.locked():
        client.edit_candidate(profile("bronze"))
        client.validate()
        client.commit()
    assert names(client.get_config(PROFILES)) == {"gold", "bronze"}
    with client.locked():
        client.edit_candidate(
            f"<shaping-profiles xmlns='{SHAPING}' xmlns:nc='urn:ietf:params:xml:ns:netconf:base:1.0'>"
            "<profile nc:operation='remove'><name>bronze</name></profile></shaping-profiles>"
        )
        client.commit()
    assert names(client.get_config(PROFILES)) == {"gold"}


def test_errors_carry_tag_path_and_message(client):
    with pytest.raises(NetconfError) as refused:
        client.edit_candidate(profile("silver", rate=1))
    error = refused.value
    assert error.tag == "invalid-value"
    assert "rate" in error.path
    assert error.message
    assert error.errors == [error]
    client.edit_candidate(profile("refused"))
    with pytest.raises(NetconfError, match="no room") as refused:
        client.commit()
    assert refused.value.tag == "resource-denied"


def test_get_and_action(client):
    key = f"<sessions xmlns='{SUBSCRIBER}'><session><id>{11:016x}</id>"
    data = client.get(f"{key}</session></sessions>")
    assert data.findtext("u:sessions/u:session/u:status", None, NS) == "active"
    reply = client.action(f"{key}<disconnect><reason>test</reason></disconnect></session></sessions>")
    assert etree.QName(reply[0]).localname == "ok"
    assert len(client.get(f"{key}</session></sessions>")) == 0


def test_rpc_with_output(client):
    reply = client.rpc(
        f"<disconnect-sessions xmlns='{SUBSCRIBER}'><remote-id>an-0020</remote-id></disconnect-sessions>"
    )
    assert reply.findtext("u:disconnected", None, NS) == "48"


def test_confirmed_commit(client):
    client.edit_candidate(profile("bronze"))
    client.commit(confirmed=True, confirm_timeout=60, persist="p")
    client.cancel_commit("p")
    assert names(client.get_config(PROFILES)) == {"gold"}


def test_notifications(element, client):
    client.subscribe()
    with element.connect() as other:
        other.action(
            f"<sessions xmlns='{SUBSCRIBER}'><session><id>{12:016x}</id><disconnect/></session></sessions>"
        )
    while (received := client.next_notification(10)) is not None:
        if received.content.tag == f"{{{SUBSCRIBER}}}session-stop":
            break
    assert received is not None
    assert received.content.findtext("u:session-id", None, NS) == f"{12:016x}"
    assert received.event_time.endswith("Z")


def test_threads_share_a_client(client):
    results = []

    def work(number):
        key = f"<sessions xmlns='{SUBSCRIBER}'><session><id>{number:016x}</id></session></sessions>"
        results.append((number, client.get(key).findtext(".//u:id", None, NS)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100, 106)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(number, f"{number:016x}") for number in range(100, 106)]


def test_wrong_password(element):
    with pytest.raises(NetconfAuthenticationError, match="refused user admin"):
        connect("127.0.0.1", element.port, username="admin", password="wrong")


def test_host_key_is_checked_when_given(element):
    wrong = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
    with pytest.raises(NetconfConnectionError):
        connect("127.0.0.1", element.port, username="admin", password="correct horse", host_key=wrong)


def test_nobody_listens(own_element):
    stopped = own_element("--sessions", "1")
    stopped.stop()
    with pytest.raises(NetconfConnectionError, match="cannot connect"):
        connect("127.0.0.1", stopped.port, username="admin", password="x", timeout=5)


def test_the_server_dies(own_element):
    element = own_element("--sessions", "1")
    client = element.connect(timeout=10)
    element.process.kill()
    element.process.wait()
    with pytest.raises(NetconfConnectionError):
        client.get()
    assert not client.connected
    client.close()


def test_timeout(own_element):
    element = own_element("--sessions", "40000")
    client = element.connect()
    client._manager.timeout = 0.01
    with pytest.raises(NetconfTimeout):
        client.get()
    assert not client.connected
