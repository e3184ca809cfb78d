"""Dynamic authorization on a whole BNG: radclient disconnects, changes and questions sessions."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bng.aaa.dictionary import load
from bng.codec import radius
from bng.codec.radius import Code
from tests.support.bng_manager import accounting, act, gnmi_get, session_of, sessions, wait_status
from tests.support.bng_world import World, users, world
from tests.support.netns import run
from tests.support.servers import wait_for
from tests.support.waiting import PATIENCE

pytestmark = [
    pytest.mark.netns,
    pytest.mark.servers,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in ("kea-dhcp4", "freeradius", "radclient")),
        reason="Kea, FreeRADIUS or radclient is not installed",
    ),
]

SECRET, OLD_SECRET = "secret-of-coa", "secret-of-old"
CLIENT, OLD_CLIENT, STRANGER = "192.0.2.2", "192.0.2.12", "192.0.2.13"
BNG, PORT = "192.0.2.1", 3799
AUTHORIZE_ONLY = "DEFAULT Service-Type == Authorize-Only, State == 0x6f7061717565, Auth-Type := Accept\n"
AUTHORIZE_ONLY += '\tFilter-Id = "bronze"\n\n'


@pytest.fixture(scope="module")
def bng(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("bng"), AUTHORIZE_ONLY + users()) as made:
        configuration = json.loads(made.config.read_text())
        configuration["aether-bng:bng"]["aaa"]["dynamic-authorization"] = {
            "client": [
                {"name": "radius", "address": CLIENT, "secret": SECRET},
                {
                    "name": "old",
                    "address": OLD_CLIENT,
                    "secret": OLD_SECRET,
                    "require-message-authenticator": False,
                },
            ]
        }
        made.config.write_text(json.dumps(configuration))
        for address in (OLD_CLIENT, STRANGER):
            made.namespaces.ip("m", "address", "add", f"{address}/24", "dev", "m0")
        made.start()
        yield made


def ask(
    bng: World,
    kind: str,
    *pairs: str,
    secret: str = SECRET,
    source: str = CLIENT,
    signed: bool = True,
    within: int = 10 * PATIENCE,
) -> tuple[str, str]:
    """What radclient was answered within so many seconds: (kind of packet, Error-Cause), both empty for
    silence."""
    lines = [f"Packet-Src-IP-Address = {source}", *pairs]
    if signed:
        lines.append("Message-Authenticator = 0x00")
    done = subprocess.run(
        ["ip", "netns", "exec", bng.namespaces.name("m"), "radclient", "-x", "-r", "1", "-t", str(within),
         "-d", str(bng.radius.folder), f"{BNG}:{PORT}", kind, secret],
        input="\n".join(lines) + "\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    answer = re.search(r"^Received (\S+) Id", done.stdout, re.MULTILINE)
    if answer is None:
        assert "No reply" in done.stdout + done.stderr, done.stdout + done.stderr
        return "", ""
    error = re.search(r"^\s+Error-Cause = (\S+)", done.stdout, re.MULTILINE)
    return answer[1], error[1] if error else ""


def statistics(bng: World) -> dict[str, Any]:
    """aether-health:health/dynamic-authorization of a report that is made from now on."""
    before = gnmi_get(bng, "health")[0]["time"]

    def fresh() -> dict[str, Any] | None:
        report = gnmi_get(bng, "health")[0]
        found: dict[str, Any] = report["dynamic-authorization"]
        return found if report["time"] > before else None

    found = wait_for("a health report", fresh, 5)
    assert isinstance(found, dict)
    return found


def count(bng: World, client: str, what: str) -> int:
    (entry,) = [entry for entry in statistics(bng)["client"] if entry["name"] == client]
    return int(entry[what])


def live(bng: World, number: int) -> dict[str, str]:
    with bng.netconf() as netconf:
        found = session_of(netconf, number)
    assert found is not None
    return found


def exchange(bng: World, data: bytes, port: int, answers: int, within: float = 10 * PATIENCE) -> list[bytes]:
    """Send a datagram from a port of the client; as many answers as come, none more than so many seconds
    after the one before, at most."""

    def body() -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((CLIENT, port))
            sock.settimeout(within)
            sock.sendto(data, (BNG, PORT))
            found = []
            try:
                while len(found) < answers:
                    found.append(sock.recv(4096))
            except TimeoutError:
                pass
            return found

    return bng.namespaces.inside("m", body)


def packet(code: int, *pairs: tuple[str, Any], secret: str = SECRET, identifier: int = 1) -> bytes:
    attributes = tuple(load().attribute(name, value) for name, value in pairs)
    return radius.build_request(code, identifier, attributes, secret.encode())


def test_disconnect(bng: World) -> None:
    (subscriber,) = bng.attach(1)
    bng.give_address(subscriber)
    found = wait_status(bng, 1, "active")
    assert bng.ping(3)[1] == 3
    assert ask(
        bng,
        "disconnect",
        f'User-Name = "{found["username"]}"',
        f"Framed-IP-Address = {subscriber.address}",
        'Reply-Message = "unpaid"',
        "Proxy-State = 0x01",
    ) == ("Disconnect-ACK", "")
    with bng.netconf() as netconf:
        assert session_of(netconf, 1) is None, "it is gone when the answer comes"
        wanted = (
            '<events xmlns="urn:aether:yang:aether-events"><event><type>session-stop</type></event></events>'
        )
        assert "Disconnect-Request of radius: unpaid" in netconf.get(("subtree", wanted)).data_xml
    assert bng.ping(2)[1] == 0, "live flows are cut"
    (stop,) = wait_for("the Stop is accounted", lambda: accounting(bng, found["id"], "Stop"))  # type: ignore[misc]
    assert stop["Acct-Terminate-Cause"] == "Admin-Reset"
    assert bng.subscribers.renew(subscriber, within=1) == 0
    assert ask(bng, "disconnect", f"Acct-Session-Id = {found['id']}") == (
        "Disconnect-NAK",
        "Session-Context-Not-Found",
    )
    bng.attach(1)
    assert wait_status(bng, 1, "active")["id"] != found["id"]


def test_change_of_profile_by_every_name(bng: World) -> None:
    (subscriber,) = bng.attach(2)
    found = wait_status(bng, 2, "active")
    names = (
        f'Acct-Session-Id = "{found["id"]}"',
        f'User-Name = "{found["username"]}"',
        f"Framed-IP-Address = {subscriber.address}",
        f'NAS-Port-Id = "{found["nas-port-id"]}"',
        f'Calling-Station-Id = "{found["mac-address"]}"',
        f'Calling-Station-Id = "{found["mac-address"].upper().replace(":", "-")}"',
        'ADSL-Agent-Circuit-Id = "1/0/2"',
        'ADSL-Agent-Remote-Id = "node-1", ADSL-Agent-Circuit-Id = "1/0/2"',
        'NAS-Identifier = "bng-01", NAS-IP-Address = 192.0.2.1, ADSL-Agent-Circuit-Id = "1/0/2"',
    )
    profiles = {"gold": "50000000", "bronze": "5000000"}
    for number, name in enumerate(names):
        wanted = ("bronze", "gold")[number % 2]
        assert ask(bng, "coa", name, f'Filter-Id = "{wanted}"') == ("CoA-ACK", ""), name
        changed = live(bng, 2)
        assert (changed["id"], changed["profile"], changed["download-rate"]) == (
            found["id"],
            wanted,
            profiles[wanted],
        )


def kernel_rates(bng: World, interface: str) -> set[str]:
    shown = run("ip", "netns", "exec", bng.namespaces.name("b"), "tc", "class", "show", "dev", interface)
    return set(re.findall(r"rate (\S+)", shown.stdout))


@pytest.mark.parametrize(
    ("number", "pairs"),
    [
        (3, ("OSS-Download-Speed = 3210", "OSS-Upload-Speed = 1230")),
        (4, ("WISPr-Bandwidth-Max-Down = 3210000", "WISPr-Bandwidth-Max-Up = 1230000")),
    ],
)
def test_rates_survive_a_restart_and_hold_until_radius_says_otherwise(
    bng: World, number: int, pairs: tuple[str, ...]
) -> None:
    bng.attach(number)
    found = wait_status(bng, number, "active")
    name = f'User-Name = "{found["username"]}"'
    assert ask(bng, "coa", name, *pairs, "Session-Timeout = 86400") == ("CoA-ACK", "")

    def rates() -> tuple[str, str | None, str, str]:
        one = live(bng, number)
        return one["id"], one.get("profile"), one["download-rate"], one["upload-rate"]

    assert rates() == (found["id"], None, "3210000", "1230000")
    assert "3210Kbit" in kernel_rates(bng, "sub0")
    assert "1230Kbit" in kernel_rates(bng, "up0")
    recovered = bng.log().count('"recovery.done"')
    bng.kill("control")
    wait_for("control is ready", lambda: bng.log().count('"recovery.done"') > recovered, 20)
    assert rates() == (found["id"], None, "3210000", "1230000")

    def command() -> bool:
        return ask(bng, "coa", name, 'Cisco-AVPair = "subscriber:command=reauthenticate"')[0] == "CoA-ACK"

    wait_for("it is asked again", command, 10)
    wait_for("RADIUS says otherwise", lambda: live(bng, number).get("profile") == "gold")
    assert live(bng, number)["id"] == found["id"]


def test_authorize_only(bng: World) -> None:
    bng.attach(5)
    found = wait_status(bng, 5, "active")
    assert found["profile"] == "gold"
    name = f'Acct-Session-Id = "{found["id"]}"'
    assert ask(bng, "coa", name, "Service-Type = Authorize-Only", "State = 0x6f7061717565") == (
        "CoA-NAK",
        "Request-Initiated",
    )
    # FreeRADIUS accepts it so only for Service-Type and State; there is no password in it
    wait_for("the Access-Request is answered", lambda: live(bng, 5)["profile"] == "bronze")
    act(bng, found["id"], "<reauthenticate/>")
    wait_for("an ordinary one is as ever", lambda: live(bng, 5)["profile"] == "gold")


def test_refusals(bng: World) -> None:
    bng.attach(6, 7)
    found = wait_status(bng, 6, "active")
    wait_status(bng, 7, "active")
    me = f'Acct-Session-Id = "{found["id"]}"'
    gold = 'Filter-Id = "gold"'
    rows = (
        ("disconnect", ('NAS-Identifier = "bng-01"',), "Missing-Attribute"),
        ("disconnect", ("Acct-Session-Id = ffffffffffffffff",), "Session-Context-Not-Found"),
        ("disconnect", (me, "Framed-IP-Address = 10.64.0.9"), "Session-Context-Not-Found"),
        ("disconnect", ('ADSL-Agent-Remote-Id = "node-1"',), "Multiple-Session-Selection-Unsupported"),
        ("disconnect", (me, 'NAS-Identifier = "bng-02"'), "NAS-Identification-Mismatch"),
        ("disconnect", (me, "NAS-IP-Address = 192.0.2.9"), "NAS-Identification-Mismatch"),
        ("disconnect", (me, gold), "Unsupported-Attribute"),
        ("disconnect", ('Calling-Station-Id = "somebody"',), "Invalid-Attribute-Value"),
        ("coa", (me,), "Missing-Attribute"),
        ("coa", (gold,), "Missing-Attribute"),
        ("coa", ("Framed-IP-Address = 10.64.0.9", gold), "Session-Context-Not-Found"),
        ("coa", ('ADSL-Agent-Remote-Id = "node-1"', gold), "Multiple-Session-Selection-Unsupported"),
        ("coa", (me, 'Filter-Id = "platinum"', "Session-Timeout = 1"), "Invalid-Attribute-Value"),
        ("coa", (me, "OSS-Download-Speed = 1", "OSS-Upload-Speed = 1000"), "Invalid-Attribute-Value"),
        ("coa", (me, gold, "Class = 0x01"), "Unsupported-Attribute"),
        ("coa", (me, gold, "Framed-MTU = 1400"), "Unsupported-Attribute"),
        ("coa", (me, 'Cisco-AVPair = "subscriber:command=bounce-host-port"'), "Unsupported-Attribute"),
        ("coa", (me, "Service-Type = Framed-User"), "Unsupported-Service"),
        ("coa", (me, "Service-Type = Authorize-Only"), "Missing-Attribute"),
        ("coa", (me, gold, "Service-Type = Authorize-Only", "State = 0x01"), "Invalid-Request"),
    )
    for kind, pairs, cause in rows:
        answer = {"disconnect": "Disconnect-NAK", "coa": "CoA-NAK"}[kind]
        assert ask(bng, kind, *pairs) == (answer, cause), pairs
    after = live(bng, 6)
    assert (after["id"], after["profile"], after["last-change"]) == (
        found["id"],
        found["profile"],
        found["last-change"],
    )


def test_silence(bng: World) -> None:
    bng.attach(8)
    me = f'Acct-Session-Id = "{wait_status(bng, 8, "active")["id"]}"'
    before = statistics(bng)
    now = int(time.time())
    assert ask(bng, "disconnect", me, secret="guessed", within=2) == ("", "")
    assert ask(bng, "disconnect", me, signed=False, within=2) == ("", "")
    assert ask(bng, "disconnect", me, f"Event-Timestamp = {now - 400}", within=2) == ("", "")
    assert ask(bng, "disconnect", me, source=OLD_CLIENT, within=2) == ("", ""), (
        "each client has a secret of its own"
    )
    assert ask(bng, "disconnect", me, source=STRANGER, within=2) == ("", "")
    after = statistics(bng)
    assert int(after["unknown-clients"]) - int(before["unknown-clients"]) == 1
    gained = {
        new["name"]: int(new["discards"]) - int(old["discards"])
        for new, old in zip(after["client"], before["client"], strict=True)
    }
    assert gained == {"radius": 3, "old": 1}
    assert live(bng, 8)["status"] == "active"
    # what is within the window is believed, and a client may be known to send no Message-Authenticator
    assert ask(bng, "coa", me, "Idle-Timeout = 3600", f"Event-Timestamp = {now - 200}")[0] == "CoA-ACK"
    assert ask(bng, "disconnect", me, secret=OLD_SECRET, source=OLD_CLIENT, signed=False)[0] == (
        "Disconnect-ACK"
    )


def test_a_repeated_or_recorded_request_is_carried_out_once(bng: World) -> None:
    bng.attach(9)
    found = wait_status(bng, 9, "active")
    now = int(time.time())
    data = packet(43, ("Acct-Session-Id", found["id"]), ("Filter-Id", "bronze"), ("Event-Timestamp", now))
    (first,) = exchange(bng, data, 4000, 1)
    assert (
        radius.verify_response(first, data[4:20], SECRET.encode(), demand_message_authenticator=True).code
        == Code.COA_ACK
    )
    act(bng, found["id"], "<set-profile><profile>gold</profile></set-profile>")
    before = count(bng, "radius", "duplicates")
    assert exchange(bng, data, 4000, 1) == [first]
    assert exchange(bng, data, 4001, 1) == [first], "a recording, sent from elsewhere"
    assert count(bng, "radius", "duplicates") - before == 2
    assert live(bng, 9)["profile"] == "gold"
    old = packet(40, ("Acct-Session-Id", found["id"]), ("Event-Timestamp", now - 1000))
    assert exchange(bng, old, 4000, 1, within=1) == [], "a recording from long ago"
    assert live(bng, 9)["status"] == "active"


def test_it_can_be_moved_and_switched_off(bng: World) -> None:
    def configure(leaf: str) -> None:
        with bng.netconf() as netconf:
            netconf.edit_config(
                target="candidate",
                config='<config xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">'
                '<bng xmlns="urn:aether:yang:aether-bng"><aaa><dynamic-authorization>'
                f"{leaf}</dynamic-authorization></aaa></bng></config>",
            )
            netconf.commit()

    bng.attach(13)
    me = f'Acct-Session-Id = "{wait_status(bng, 13, "active")["id"]}"'
    configure("<enabled>false</enabled>")
    assert ask(bng, "coa", me, 'Filter-Id = "bronze"', within=2) == ("", "")
    assert statistics(bng)["listening"] is False
    configure("<enabled>true</enabled><require-event-timestamp>true</require-event-timestamp>")
    assert ask(bng, "coa", me, 'Filter-Id = "bronze"', within=2) == ("", "")
    stamp = f"Event-Timestamp = {int(time.time())}"
    assert ask(bng, "coa", me, 'Filter-Id = "bronze"', stamp)[0] == "CoA-ACK"
    configure("<require-event-timestamp>false</require-event-timestamp>")
    with bng.netconf() as netconf:
        shown = netconf.get_config(
            "running", ("subtree", '<bng xmlns="urn:aether:yang:aether-bng"/>')
        ).data_xml
    assert "require-message-authenticator" in shown


def test_a_flood_of_forgeries_does_not_disturb(bng: World) -> None:
    bng.attach(10)
    me = f'Acct-Session-Id = "{wait_status(bng, 10, "active")["id"]}"'
    flood = bng.namespaces.start(
        "m", shutil.which("python3") or "python3", "-c",
        "import os, socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"s.bind(('{CLIENT}', 0))\n"
        f"while True: s.sendto(os.urandom(64), ('{BNG}', {PORT}))\n",
    )  # fmt: skip
    try:
        bng.attach(11)
        assert wait_status(bng, 11, "active")["status"] == "active"
    finally:
        flood.kill()
        flood.wait()
    # the socket's buffer is read empty, and everything is as before
    wait_for(
        "the client is heard again",
        lambda: ask(bng, "coa", me, 'Filter-Id = "bronze"', within=2)[0] == "CoA-ACK",
    )
    assert count(bng, "radius", "discards") > 100
    with bng.netconf() as netconf:
        assert len([one for one in sessions(netconf) if one["circuit-id"] in ("1/0/10", "1/0/11")]) == 2


def test_subscribers_cannot_reach_it(bng: World) -> None:
    (subscriber,) = bng.attach(12)
    bng.give_address(subscriber)
    found = wait_status(bng, 12, "active")
    assert bng.ping(3)[1] == 3
    data = packet(40, ("Acct-Session-Id", found["id"]))
    stranger = packet(40, ("Acct-Session-Id", found["id"]), identifier=2)

    def try_all() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind((subscriber.address, 0))
            for address in (BNG, "10.64.0.1", "198.51.100.1"):
                own.sendto(stranger, (address, PORT))
            own.sendto(b"hello", (BNG, 3800))
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(spoofed(data), (BNG, 0))

    before = statistics(bng)
    bng.namespaces.inside("s", try_all)
    unchanged = ("unknown-clients", "client")
    after = statistics(bng)
    assert [after[name] for name in unchanged] == [before[name] for name in unchanged]
    # not for the rules alone: without them the packets come into the BNG, but not to this socket
    with bng.namespaces.inside("b", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.bind((BNG, 3800))
        other.settimeout(0.2)

        def heard() -> bool:
            run("ip", "netns", "exec", bng.namespaces.name("b"), "nft", "delete", "table", "ip", "aether",
                check=False)  # fmt: skip
            bng.namespaces.inside("s", try_all)
            try:
                return other.recv(100) == b"hello"
            except TimeoutError:
                return False

        wait_for("a packet for another port comes in while the rules are gone", heard, 10)
    after = statistics(bng)
    assert [after[name] for name in unchanged] == [before[name] for name in unchanged]
    assert live(bng, 12)["id"] == found["id"]
    wait_for("the rules are back", lambda: bng.ping(1)[1] == 1)


def spoofed(payload: bytes) -> bytes:
    """An IP packet that says it is from the RADIUS server. The kernel fills checksum and length in."""
    udp = (40_000).to_bytes(2, "big") + PORT.to_bytes(2, "big") + (8 + len(payload)).to_bytes(2, "big")
    header = bytes((0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0))
    addresses = socket.inet_aton(CLIENT) + socket.inet_aton(BNG)
    return header + addresses + udp + bytes(2) + payload
