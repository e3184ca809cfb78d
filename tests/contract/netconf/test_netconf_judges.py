"""Programs that are not ours, as judges: what they make of the server, and of each of its replies.

`lab/setup/judges.sh` installs Ansible and netconf-console2; yangcli and yanglint are Debian packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from lxml import etree
from netconf_client.connect import connect_ssh as netconf_client_ssh
from netconf_client.ncclient import Manager

from tests.contract.netconf.conftest import PASSWORDS

JUDGES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aether/judges"
PLAYBOOK = Path(__file__).with_name("judges") / "playbook.yml"
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
MONITORING = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
LIBRARY = "urn:ietf:params:xml:ns:yang:ietf-yang-library"
SHAPING = "urn:aether:yang:aether-shaping"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
NOTIFICATION = "urn:ietf:params:xml:ns:netconf:notification:1.0"
PROFILE = (
    f"<shaping-profiles xmlns='{SHAPING}'><profile><name>judged</name>"
    "<download><rate>5000000</rate></download><upload><rate>4000000</rate></upload></profile></shaping-profiles>"
)

installed = pytest.mark.skipif(not (JUDGES / ".stamp").exists(), reason="lab/setup/judges.sh was not run")


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )


@installed
def test_netconf_console2(element, tmp_path):
    def console(*commands: str) -> str:
        login = ("--host", "127.0.0.1", "--port", str(element.port), "-u", "admin", "-p", PASSWORDS["admin"])
        done = run(JUDGES / "bin/netconf-console2", *login, *commands)
        assert done.returncode == 0 and "Error" not in done.stderr, done.stdout + done.stderr
        return done.stdout

    edit = tmp_path / "edit.xml"
    edit.write_text(PROFILE)
    console("--db", "candidate", f"--edit-config={edit}", "--validate=candidate", "--commit")
    assert "<name>judged</name>" in console("--get-config", "-x", "/shaping-profiles/profile[name='judged']")
    assert "<rate>5000000</rate>" in console("--get=/shaping-profiles", "--with-defaults", "report-all")
    assert "module aether-shaping {" in console("--get-schema", "aether-shaping")
    assert "candidate:1.0" in console("--hello")


@installed
def test_ansible(element, tmp_path):
    inventory = tmp_path / "inventory.ini"
    inventory.write_text(
        "[bng]\nbng-01 ansible_host=127.0.0.1 ansible_connection=ansible.netcommon.netconf "
        f"ansible_port={element.port} ansible_user=admin ansible_password='{PASSWORDS['admin']}' "
        "ansible_network_os=default ansible_host_key_checking=false\n"
    )
    done = run(
        JUDGES / "bin/ansible-playbook",
        "-i",
        inventory,
        PLAYBOOK,
        ANSIBLE_HOME=str(tmp_path),
        ANSIBLE_COLLECTIONS_PATH=str(JUDGES / "collections"),
    )
    assert done.returncode == 0, done.stdout
    assert "failed=0" in done.stdout


@pytest.mark.skipif(shutil.which("yangcli") is None, reason="yangcli is not installed")
def test_yangcli(element, tmp_path):
    script = tmp_path / "script"
    script.write_text(
        "lock target=candidate\n"
        "merge /shaping-profiles/profile[name='gold']/download/rate value=90000000\n"
        "validate source=candidate\n"
        "commit\n"
        "merge /shaping-profiles/profile[name='gold']/download/rate value=100000000\n"
        "commit\n"
        "unlock target=candidate\n"
        "xget select=/sessions/session[id='0000000000000005']\n"
        "get-schema identifier=aether-types format=yang\n"
        "disconnect-sessions remote-id=an-0002\n"
        "delete /shaping-profiles/profile[name='nobody']\n"
        "quit\n"
    )
    words = (
        f"yangcli --server=127.0.0.1 --ncport={element.port} --user=admin --password='{PASSWORDS['admin']}' "
        f"--batch-mode --timeout=30 --run-script={script}"
    )
    # it wants a terminal
    done = run("script", "-qec", words, "/dev/null", HOME=str(tmp_path))
    shown = done.stdout
    assert shown.count("RPC OK Reply") == 7, shown
    assert "username bng-01/an-0000/1/0/5" in shown
    assert "module aether-types {" in shown
    assert "disconnected 48" in shown
    assert "error-tag data-missing" in shown


# --- yanglint ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schemas(element, tmp_path_factory):
    """The element's modules as it gives them, and the arguments that load them in yanglint."""
    folder = tmp_path_factory.mktemp("schemas")
    words: list[str | Path] = ["-p", folder]
    implemented = []
    with element.connect() as client:
        library = client.get(f"<modules-state xmlns='{LIBRARY}'/>")
        for module in library.iter(f"{{{LIBRARY}}}module"):
            name, revision, kind = (
                module.findtext(f"{{{LIBRARY}}}{leaf}") for leaf in ("name", "revision", "conformance-type")
            )
            request = f"<get-schema xmlns='{MONITORING}'><identifier>{name}</identifier></get-schema>"
            text = client.rpc(request).findtext(f"{{{MONITORING}}}data")
            file = folder / (f"{name}@{revision}.yang" if revision else f"{name}.yang")
            file.write_text(text)
            features = ",".join(leaf.text for leaf in module.iter(f"{{{LIBRARY}}}feature"))
            if kind == "implement":
                implemented.append(file)
                words += ["-F", f"{name}:{features}"]
    # the attribute of tagged defaults has a namespace without a module (RFC 6243 section 6)
    tags = folder / "defaults.yang"
    tags.write_text(
        "module defaults { yang-version 1.1; prefix wd;"
        ' namespace "urn:ietf:params:xml:ns:netconf:default:1.0";'
        " import ietf-yang-metadata { prefix md; } md:annotation default { type boolean; } }"
    )
    return [*words, *implemented, tags]


def lint(schemas, kind: str, file: Path, *more: str | Path) -> None:
    done = run("yanglint", *schemas[:2], *more, "-t", kind, *schemas[2:], file)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


DEFAULTS = "<with-defaults xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults'>{}</with-defaults>"
RUNNING = "<source><running/></source>"
READS = {
    "get": ("get", "get", ""),
    "get-report-all": ("get", "get", DEFAULTS.format("report-all")),
    "get-subtree": ("get", "get", f"<filter><sessions xmlns='{SUBSCRIBER}'/></filter>"),
    "get-config": ("getconfig", "get-config", RUNNING),
    "get-config-tagged": ("getconfig", "get-config", RUNNING + DEFAULTS.format("report-all-tagged")),
}


@pytest.mark.parametrize("name", READS)
def test_yanglint_takes_what_is_read(element, schemas, tmp_path, name):
    kind, request, content = READS[name]
    with element.connect() as client:
        reply = client.rpc(f"<{request} xmlns='{BASE}'>{content}</{request}>")
    data = reply.find(f"{{{BASE}}}data")
    file = tmp_path / "data.xml"
    file.write_bytes(b"".join(etree.tostring(child) for child in data))
    lint(schemas, kind, file)


OPERATIONS = {
    "disconnect-sessions": (
        f"<disconnect-sessions xmlns='{SUBSCRIBER}'><remote-id>an-0003</remote-id></disconnect-sessions>"
    ),
    "action": (
        f"<action xmlns='urn:ietf:params:xml:ns:yang:1'><sessions xmlns='{SUBSCRIBER}'><session>"
        "<id>0000000000000007</id><disconnect/></session></sessions></action>"
    ),
    "get-schema": f"<get-schema xmlns='{MONITORING}'><identifier>aether-types</identifier></get-schema>",
    "commit": f"<commit xmlns='{BASE}'/>",
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_yanglint_takes_requests_and_replies(element, schemas, tmp_path, name):
    rpc, reply = tmp_path / "rpc.xml", tmp_path / "reply.xml"
    rpc.write_text(f"<rpc xmlns='{BASE}' message-id='1'>{OPERATIONS[name]}</rpc>")
    state = tmp_path / "state.xml"
    with element.connect() as client:
        data = client.get(f"<sessions xmlns='{SUBSCRIBER}'/>")  # before: an action may end its session
        answer = client.rpc(OPERATIONS[name])
    state.write_bytes(b"".join(etree.tostring(child) for child in data))
    answer.set("message-id", "1")
    reply.write_bytes(etree.tostring(answer))
    lint(schemas, "nc-rpc", rpc, "-O", state)
    lint(schemas, "nc-reply", reply, "-R", rpc, "-O", state)


def test_yanglint_takes_notifications(element, schemas, tmp_path):
    with element.connect() as client:
        client.subscribe(start_time="2026-01-01T00:00:00Z")
        for number in range(3):
            received = client.next_notification(timeout=30)
            file = tmp_path / f"{number}.xml"
            file.write_text(
                f"<notification xmlns='{NOTIFICATION}'><eventTime>{received.event_time}</eventTime>"
                f"{etree.tostring(received.content, encoding='unicode')}</notification>"
            )
            lint(schemas, "nc-notif", file)


# --- netconf-client ---------------------------------------------------------------------------------


def test_netconf_client(element):
    connection = netconf_client_ssh(
        host="127.0.0.1", port=element.port, username="admin", password=PASSWORDS["admin"]
    )
    with Manager(connection, timeout=30) as manager:
        manager.lock(target="candidate")
        config = f"<config xmlns='{BASE}'>{PROFILE.replace('judged', 'client')}</config>"
        manager.edit_config(config, target="candidate")
        manager.validate(source="candidate")
        manager.commit()
        manager.unlock(target="candidate")
        shown = manager.get_config(filter=f"<filter><shaping-profiles xmlns='{SHAPING}'/></filter>")
        assert b"<name>client</name>" in shown.data_xml
        manager.create_subscription(start_time="2026-01-01T00:00:00Z")
        assert b"session-start" in manager.take_notification(True, 10).notification_xml
