"""What is not supported is declared wherever a client may look, and refused."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from lxml import etree

from nbi.server import MODULES_DIR, NetconfServer
from tests.contract.model.client import Client, connect, error_tags
from yang.access import User
from yang.datastore.sources import own_dir
from yang.provider import Registration
from yang.tree import Tree

ROOT = User("root", recovery=True)
DEVIATING = "aether-deviations"
DEVIATED = {"ietf-interfaces", "ietf-system", "ietf-hardware"}


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[tuple[Tree, Client]]:
    (folder / "startup.json").write_text(json.dumps({}))
    tree = await Tree.open(Registration(), folder, folder / "startup.json", module_dirs=[MODULES_DIR])
    server = NetconfServer(tree, [], folder / "key", unix_path=folder / "socket", unix_user=ROOT)
    await server.start()
    client = await connect(folder / "socket")
    yield tree, client
    client.close()
    await server.stop()
    await tree.close()


async def test_they_are_declared(served: tuple[Tree, Client]) -> None:
    tree, client = served
    hello = {}
    for uri in tree.capabilities:
        parameters = parse_qs(uri.partition("?")[2])
        if "deviations" in parameters:
            hello[parameters["module"][0]] = tuple(parameters["deviations"][0].split(","))
    assert hello == {module.name: module.deviations for module in tree.schema.modules if module.deviations}
    assert {name for name, by in hello.items() if DEVIATING in by} >= DEVIATED
    library = "urn:ietf:params:xml:ns:yang:ietf-yang-library"
    for top in ("yang-library", "modules-state"):
        reply = await client.rpc(f'<get><filter><{top} xmlns="{library}"/></filter></get>')
        listed = {
            module.findtext(f"{{{library}}}name")
            for module in reply.iter(f"{{{library}}}module")
            if module.find(f"{{{library}}}deviation") is not None
        }
        assert listed == hello.keys()
    monitoring = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
    request = f'<get-schema xmlns="{monitoring}"><identifier>{DEVIATING}</identifier></get-schema>'
    assert b"deviate not-supported" in etree.tostring(await client.rpc(request))


def test_what_is_not_supported_is_in_no_schema(served: tuple[Tree, Client]) -> None:
    tree, _ = served
    modules = {"if": "ietf-interfaces", "ip": "ietf-ip", "sys": "ietf-system", "hw": "ietf-hardware",
               "ncn": "ietf-netconf-notifications", "yanglib": "ietf-yang-library"}  # fmt: skip
    text = (own_dir() / f"{DEVIATING}.yang").read_text()
    found = re.findall(r'deviation\s+"([^"]+)" \{.*?deviate (not-supported|add|replace)', text, re.DOTALL)
    assert len(found) > 25
    for path, how in found:
        node = tree.schema.root
        for step in path[1:].split("/"):
            prefix, _, name = step.partition(":")
            node = node.child(name, modules[prefix]) if node is not None else None
        assert (node is None) == (how == "not-supported"), path
        assert how != "add" or not node.config, path


@pytest.mark.parametrize(
    ("module", "top", "inside"),
    [
        ("ietf-system", "system", "<clock/>"),
        ("ietf-hardware", "hardware", "<component><name>c</name></component>"),
        (
            "ietf-interfaces",
            "interfaces",
            '<interface><name>e</name><ipv4 xmlns="urn:ietf:params:xml:ns:yang:ietf-ip">'
            "<forwarding>true</forwarding></ipv4></interface>",
        ),
    ],
)
async def test_to_set_them_is_refused(
    served: tuple[Tree, Client], module: str, top: str, inside: str
) -> None:
    _, client = served
    config = f'<{top} xmlns="urn:ietf:params:xml:ns:yang:{module}">{inside}</{top}>'
    edit = f"<edit-config><target><candidate/></target><config>{config}</config></edit-config>"
    assert error_tags(await client.rpc(edit)) == ["unknown-element"]


async def test_to_call_them_is_refused(served: tuple[Tree, Client]) -> None:
    _, client = served
    reply = await client.rpc('<system-restart xmlns="urn:ietf:params:xml:ns:yang:ietf-system"/>')
    assert error_tags(reply) == ["operation-not-supported"]
