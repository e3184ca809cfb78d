"""The startup configuration: YANG data, XML or JSON by what the file holds; bad ones with line or path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.yang.conftest import STARTUP
from yang.access import User
from yang.provider import OperationError, Registration
from yang.tree import Tree

BNG = "urn:aether:yang:aether-bng"
NC = "urn:ietf:params:xml:ns:netconf:base:1.0"


async def load(folder: Path, content: str | bytes) -> Tree:
    file = folder / "startup"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return await Tree.open(Registration(), folder / "state", file)


async def refused(folder: Path, content: str | bytes) -> OperationError:
    with pytest.raises(OperationError) as caught:
        await load(folder, content)
    assert caught.value.message.startswith(str(folder / "startup"))
    return caught.value


async def test_xml_is_what_a_client_read(tmp_path: Path) -> None:
    """The reply to get-config starts another element with the same configuration."""
    (tmp_path / "json").mkdir()
    tree = await load(tmp_path / "json", json.dumps(STARTUP))
    root = User("root", recovery=True)
    data = b"".join(tree.read_xml(tree.select_all(), root, content="config"))
    await tree.close()
    for number, text in enumerate(
        (
            b"<data>" + data + b"</data>",
            b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<!-- c -->\n<config xmlns="%s">%s</config>'
            % (NC.encode(), data),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        again = await load(folder, text)
        assert again.running_json(defaults=False) == tree.running_json(defaults=False)
        assert again.datastores.history()[0]["kind"] == "startup"
        await again.close()


async def test_one_top_level_node_is_a_configuration(tmp_path: Path) -> None:
    tree = await load(tmp_path, f'<bng xmlns="{BNG}"><identity><bng-id>b</bng-id></identity></bng>')
    await tree.close()
    assert tree.running_json(defaults=False) == {"aether-bng:bng": {"identity": {"bng-id": "b"}}}


async def test_passwords_of_xml_are_hashed(tmp_path: Path) -> None:
    tree = await load(
        tmp_path,
        '<config><system xmlns="urn:ietf:params:xml:ns:yang:ietf-system"><authentication><user><name>u</name>'
        "<password>$0$clear</password></user></authentication></system></config>",
    )
    await tree.close()
    assert tree.authenticate("u", password="clear") is not None
    assert b"clear" not in (tmp_path / "state/config/running.json").read_bytes()


def bng(inner: str) -> str:
    return (
        f'<config>\n<bng xmlns="{BNG}">\n<identity><bng-id>b</bng-id></identity>\n{inner}\n</bng>\n</config>'
    )


@pytest.mark.parametrize(
    ("content", "tag", "what"),
    [
        ("{\n  'x': 1\n}", "malformed-message", "line 2, column 3"),
        ("[]", "malformed-message", "JSON object"),
        ('{"@": 1}', "malformed-message", "RFC 7952"),
        ("   \n", "operation-failed", "the file is empty"),
        ("<config>\n<a>\n</config>", "malformed-message", "line 3, column 10"),
        ("<", "malformed-message", "line 1"),
        ("<html/>", "unknown-element", "line 1: <html> is neither <config>"),
        (bng("<timers><nothing/></timers>"), "unknown-element", "line 4: "),
        (bng("<timers>\n<counters>x</counters></timers>"), "invalid-value", "line 5: "),
        (bng("<timers><counters>60000</counters></timers>"), "invalid-value", "1 to 300"),
        (bng("<interfaces><upstream>eth9</upstream></interfaces>"), "data-missing", "eth9"),
        ('<bng xmlns="urn:gone"/>', "unknown-element", "line 1"),
        ('<config><bng xmlns="urn:gone"/></config>', "unknown-namespace", "urn:gone"),
        (f'<bng xmlns="{BNG}"/>', "data-missing", "bng-id"),
        (
            '<!DOCTYPE a [<!ENTITY e "x">]><config><a>&e;</a></config>',
            "malformed-message",
            "no document type",
        ),
        ('{"aether-bng:bng": {"identity": {"bng-id": 5}}}', "invalid-value", "/aether-bng:bng"),
        (
            '{"aether-bng:bng": {"identity": {"bng-id": "b"}, "timers": {"counters": 0}}}',
            "invalid-value",
            "/aether-bng:bng/timers/counters",
        ),
        ("\0{}", "malformed-message", "line 1"),
        (b"\xff\xfe\x00", "malformed-message", "line 1"),
        (b"<config>\xff</config>", "malformed-message", "line 1"),
        ("<a>" * 300 + "</a>" * 300, "malformed-message", "line 1"),
    ],
)
async def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, content: str | bytes, tag: str, what: str
) -> None:
    error = await refused(tmp_path, content)
    assert what in error.message
    assert error.tag == tag
    assert not (tmp_path / "state/config/running.json").exists()


async def test_entities_of_a_bomb_are_not_expanded(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE c [<!ENTITY e0 "x">{entities}]><config>&e11;</config>'
    assert (await refused(tmp_path, bomb)).tag == "malformed-message"


async def test_the_file_is_read_once(tmp_path: Path) -> None:
    text: Any = f'<bng xmlns="{BNG}"><identity><bng-id>b</bng-id></identity></bng>'
    await (await load(tmp_path, text)).close()
    again = await load(tmp_path, "nonsense")
    await again.close()
    assert again.running_json(defaults=False)["aether-bng:bng"]["identity"]["bng-id"] == "b"
