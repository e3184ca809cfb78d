"""The configuration's life as a client sees it: comments, the list of commits, their diffs, the way back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import libyang
import pytest
from lxml import etree
from ncclient import manager
from ncclient.manager import Manager
from ncclient.operations import RPCError
from ncclient.xml_ import to_ele

from tests.contract.netconf.conftest import PASSWORDS, Element
from yang.datastore.context import load_context

AC = "urn:aether:yang:aether-configuration"
NC = "urn:ietf:params:xml:ns:netconf:base:1.0"
SHAPING = "urn:aether:yang:aether-shaping"
NS = {"c": AC}


def connect(element: Element, user: str = "admin") -> Manager:
    return manager.connect(
        host="127.0.0.1",
        port=element.port,
        username=user,
        password=PASSWORDS[user],
        hostkey_verify=False,
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    )


@pytest.fixture
def client(element: Element) -> Iterator[Manager]:
    with connect(element) as connected:
        yield connected


def rpc(client: Manager, text: str) -> etree._Element:
    reply = client.dispatch(to_ele(text))
    return etree.fromstring(reply.xml.encode())


def edit(client: Manager, name: str, rate: int) -> None:
    rates = "".join(f"<{way}><rate>{rate}</rate></{way}>" for way in ("download", "upload"))
    profile = f"<profile><name>{name}</name>{rates}</profile>"
    config = f'<config xmlns="{NC}"><shaping-profiles xmlns="{SHAPING}">{profile}</shaping-profiles></config>'
    client.edit_config(target="candidate", config=config)


def commit(client: Manager, comment: str) -> None:
    rpc(client, f'<commit xmlns="{NC}"><comment xmlns="{AC}">{comment}</comment></commit>')


def newest(client: Manager) -> tuple[etree._Element, int]:
    data = client.get(filter=("subtree", f'<commits xmlns="{AC}"/>')).data
    entry = data.findall("c:commits/c:commit", NS)[-1]
    return entry, int(entry.findtext("c:number", namespaces=NS))


def test_a_commit_with_a_comment_and_what_it_changed(client: Manager, element: Element) -> None:
    edit(client, "history-1", 9000)
    commit(client, "ticket 17: &lt;new&gt; plan")
    entry, number = newest(client)
    told = {etree.QName(leaf).localname: leaf.text for leaf in entry}
    assert told["comment"] == "ticket 17: <new> plan"
    assert (told["user"], told["transport"], told["peer"]) == ("admin", "netconf", "127.0.0.1")
    assert told["netconf-session-id"] == client.session_id
    with connect(element, "viewer") as viewer:
        assert newest(viewer)[1] == number, "the history is for every reader"
        reply = rpc(viewer, f'<get-commit-diff xmlns="{AC}"><number>{number}</number></get-commit-diff>')
    change = reply.find("c:change", NS)
    assert change is not None
    assert change.findtext("c:operation", namespaces=NS) == "create"
    path = change.findtext("c:path", namespaces=NS)
    assert path == "/aether-shaping:shaping-profiles/profile[name='history-1']"
    assert json.loads(change.findtext("c:new", namespaces=NS))["download"] == {"rate": "9000"}


def test_the_way_back(client: Manager) -> None:
    before = newest(client)[1]
    edit(client, "history-2", 9000)
    commit(client, "")
    reply = rpc(
        client, f'<rollback-to xmlns="{AC}"><number>{before}</number><comment>no</comment></rollback-to>'
    )
    assert reply.findtext("c:number", namespaces=NS) == str(before + 2)
    assert "history-2" not in client.get_config("running").xml
    entry, _ = newest(client)
    assert entry.findtext("c:kind", namespaces=NS) == "rollback"
    text = rpc(
        client,
        f'<get-commit-diff xmlns="{AC}"><number>{before + 1}</number><against>running</against>'
        "<format>xml</format></get-commit-diff>",
    ).findtext("c:config", namespaces=NS)
    client.edit_config(target="candidate", config=text)
    client.commit()
    assert "history-2" in client.get_config("running").xml


@pytest.mark.parametrize(
    ("request_text", "tag"),
    [
        (f'<get-commit-diff xmlns="{AC}"/>', "missing-element"),
        (f'<get-commit-diff xmlns="{AC}"><number>4000000</number></get-commit-diff>', "data-missing"),
        (f'<get-commit-diff xmlns="{AC}"><number>-1</number></get-commit-diff>', "invalid-value"),
        (
            f'<get-commit-diff xmlns="{AC}"><number>1</number><against>x</against></get-commit-diff>',
            "invalid-value",
        ),
        (f'<rollback-to xmlns="{AC}"><number>99999999999</number></rollback-to>', "invalid-value"),
        (f'<rollback-to xmlns="{AC}"><number>0</number><persist>x</persist></rollback-to>', "invalid-value"),
        (
            f'<rollback-to xmlns="{AC}"><number>0</number><comment>{"x" * 1025}</comment></rollback-to>',
            "invalid-value",
        ),
        (f'<commit xmlns="{NC}"><comment xmlns="{AC}">{"x" * 1025}</comment></commit>', "invalid-value"),
        (f'<commit xmlns="{NC}"><comment>x</comment></commit>', "unknown-element"),
        (f'<commit xmlns="{NC}"><comment xmlns="{AC}"><b/></comment></commit>', "unknown-element"),
    ],
)
def test_bad_requests(client: Manager, request_text: str, tag: str) -> None:
    with pytest.raises(RPCError) as caught:
        rpc(client, request_text)
    assert caught.value.tag == tag


def test_a_viewer_cannot_roll_back(client: Manager, element: Element) -> None:
    edit(client, "history-viewer", 9000)  # so that it would change something
    commit(client, "")
    with connect(element, "viewer") as viewer, pytest.raises(RPCError) as caught:
        rpc(viewer, f'<rollback-to xmlns="{AC}"><number>0</number></rollback-to>')
    assert caught.value.tag == "access-denied"


def test_replies_are_valid(client: Manager) -> None:
    """libyang reads the list of commits, and the output of the diff."""
    context = load_context()
    data = client.get(filter=("subtree", f'<commits xmlns="{AC}"/>')).data
    content = "".join(etree.tostring(child, encoding="unicode") for child in data)
    context.parse_data_mem(content, "xml", strict=True, validate_present=True).free()
    request = f'<get-commit-diff xmlns="{AC}"><number>0</number></get-commit-diff>'
    reply = rpc(client, request)
    operation = context.parse_op_mem("xml", request, libyang.DataType.RPC_YANG)
    inner = "".join(etree.tostring(child, encoding="unicode") for child in reply)
    text = f'<get-commit-diff xmlns="{AC}">{inner}</get-commit-diff>'
    context.parse_op_mem("xml", text, libyang.DataType.REPLY_YANG).free()
    operation.free()


def test_each_commit_is_on_the_disk_with_its_model(client: Manager, element: Element) -> None:
    number = newest(client)[1]
    config = element.folder / "state" / "config"
    packed = (config / "history" / f"{number:010d}.json.gz").read_bytes()
    head, _, document = gzip.decompress(packed).partition(b"\n")
    note = json.loads(document)["@"]
    assert json.loads(head)["number"] == note["aether-configuration:commit"] == number
    assert "aether-bng@" in note["aether-configuration:modules"]
