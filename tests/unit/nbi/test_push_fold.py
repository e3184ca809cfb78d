"""Whoever applies all patches of an on-change subscription has what a read answers."""

import random
from copy import deepcopy
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from lxml import etree

from tests.support.waiting import until
from tests.unit.nbi.subscribing import YP, establish, established, name
from yang import observe
from yang.access import User
from yang.datastore.model import PathOperation
from yang.path import DataPath
from yang.schema import SchemaNode

DS = "urn:ietf:params:xml:ns:yang:ietf-datastores"
SEEDS = range(4)


class Copy:
    """A datastore as a client keeps it (RFC 8072 section 2.5, RFC 8641 section 4.3.1)."""

    def __init__(self, schema, contents: etree._Element) -> None:
        self._schema = schema
        self.root = deepcopy(contents)

    def apply(self, edit: etree._Element) -> None:
        operation, target = edit.findtext("{*}operation"), edit.findtext("{*}target")
        parent, node, keys = self._parent(target)
        there = self._find(parent, node, keys)
        if operation == "delete":
            assert there is not None, f"delete of {target}, which is not there"
            parent.remove(there)
            return
        if operation == "move":
            assert there is not None, f"move of {target}, which is not there"
            value = there
            parent.remove(there)
        else:
            [value] = edit.find("{*}value")
            value = deepcopy(value)
            assert operation != "replace" or there is not None
            if there is not None:
                assert operation == "replace", f"{operation} of {target}, which is there"
                parent.replace(there, value)
                return
        if operation in ("insert", "move") and edit.findtext("{*}where") == "after":
            _, _, point = self._parent(edit.findtext("{*}point"))
            before = self._find(parent, node, point)
            assert before is not None, f"{edit.findtext('{*}point')} is not there"
            before.addnext(value)
        elif operation in ("insert", "move"):
            siblings = parent.findall(value.tag)
            if siblings:
                siblings[0].addprevious(value)
            else:
                parent.append(value)
        else:
            parent.append(value)

    def _parent(self, target: str) -> tuple[etree._Element, SchemaNode, list[str]]:
        element, node = self.root, self._schema.root
        *above, last = target[1:].split("/")
        for segment in above:
            label, _, values = segment.partition("=")
            node = node.child_json(label)
            found = self._find(element, node, self._values(segment, values))
            if found is None:
                assert node.kind == "container", f"{target}: {segment} is not there"
                found = etree.SubElement(element, f"{{{node.namespace}}}{node.name}")
            element = found
        label, _, values = last.partition("=")
        return element, node.child_json(label), self._values(last, values)

    @staticmethod
    def _values(segment: str, values: str) -> list[str]:
        return [unquote(value) for value in values.split(",")] if "=" in segment else []

    @staticmethod
    def _find(parent: etree._Element, node: SchemaNode, keys: list[str]) -> etree._Element | None:
        for element in parent.iterfind(f"{{{node.namespace}}}{node.name}"):
            if node.kind == "list":
                own = [element.findtext(f"{{{node.namespace}}}{key}") for key in node.keys]
            else:
                own = [element.text] if node.kind == "leaf-list" else []
            if own == keys:
                return element
        return None

    def picture(self, element: etree._Element | None = None, node: SchemaNode | None = None):
        """Comparable; sorted where order means nothing, without containers that hold nothing."""
        element, node = (self.root, self._schema.root) if element is None else (element, node)
        if node.type is not None:
            return element.text or ""
        found: dict[str, list] = {}
        for child in element:
            below = node.children[
                self._schema.module_of_namespace(etree.QName(child).namespace), etree.QName(child).localname
            ]
            picture = self.picture(child, below)
            if picture or below.kind != "container":
                found.setdefault(below.path, []).append(picture)
        for path, values in found.items():
            if not self._schema.node(path).user_ordered:
                values.sort(key=str)
        return found


def random_nacm(source: random.Random) -> dict:
    """A rule-list configuration that permits everything at its end."""

    def rule(number: int) -> dict:
        return {
            "name": f"r/{number}",
            "module-name": source.choice(["aether-bng", "ietf-ip"]),
            "access-operations": source.choice(["read", "exec"]),
            "action": "permit",
            **({"comment": source.choice(["a", "b<c"])} if source.random() < 0.5 else {}),
        }

    lists = [
        {
            "name": f"list {number}",
            "group": source.sample(["viewers", "administrators", "others"], source.randint(1, 3)),
            "rule": [rule(number) for number in source.sample(range(6), source.randint(0, 4))],
        }
        for number in source.sample(range(6), source.randint(0, 5))
    ]
    everything = {"name": "everything", "module-name": "*", "action": "permit"}
    whole = {"name": "all/of it", "group": ["*"], "rule": [everything]}
    lists.insert(source.randint(0, len(lists)), whole)  # or nothing of this could be read
    return {
        "enable-nacm": True,
        "read-default": "permit",
        "write-default": "permit",
        "enable-external-groups": source.choice([True, False]),
        "groups": {
            "group": [
                {"name": f"g{number}", "user-name": ["admin", *source.sample(["a", "b", "c"], 2)]}
                for number in source.sample(range(6), source.randint(1, 4))
            ]
        },
        "rule-list": lists,
    }


def random_profiles(source: random.Random) -> dict:
    return {
        "profile": [
            {
                "name": f"p{number}",
                "download": {"rate": str(source.choice([1_000_000, 2_000_000]))},
                "upload": {"rate": "1000000"},
                **({"priority": source.randint(0, 3)} if source.random() < 0.5 else {}),
            }
            for number in source.sample(range(8), source.randint(1, 6))
        ]
    }


@pytest.mark.parametrize("seed", SEEDS)
async def test_patches_add_up(serve, seed):
    source = random.Random(seed)
    served = await serve(sessions=12)
    tree, sessions = served.element.tree, served.element.sessions
    client = await served.client()
    operation = establish(
        f"<yp:datastore xmlns:ds='{DS}'>ds:operational</yp:datastore><yp:datastore-subtree-filter>"
        "<sessions xmlns='urn:aether:yang:aether-subscriber'/>"
        "<shaping-profiles xmlns='urn:aether:yang:aether-shaping'/>"
        "<nacm xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-acm'/>"
        "</yp:datastore-subtree-filter><yp:on-change/>"
    )
    identifier = await established(client, operation)
    known = Copy(tree.schema, (await client.notification())[1].find(f"{{{YP}}}datastore-contents"))
    spare = list(sessions.by_id.values())
    recovery = User("", recovery=True)
    for _ in range(12):
        for _ in range(source.randint(0, 4)):
            record = source.choice(spare)
            if record.id in sessions.by_id and source.random() < 0.4:
                del sessions.by_id[record.id]
            else:
                record.status = source.choice(["active", "idle"])
                record.profile = source.choice(["gold", None, "silver"])
                sessions.by_id[record.id] = record
            served.element.touch(record.id)
        configuration = tree.running_json(defaults=False)
        if source.random() < 0.5:
            configuration["ietf-netconf-acm:nacm"] = random_nacm(source)
        if source.random() < 0.5:
            configuration["aether-shaping:shaping-profiles"] = random_profiles(source)
        replaced = []
        for top in ("ietf-netconf-acm:nacm", "aether-shaping:shaping-profiles"):
            replaced.append(PathOperation("replace", DataPath.parse(f"/{top}"), configuration[top]))
        await tree.transaction(recovery, "test", replaced)
        await client.ok("<discard-changes/>")
    await client.ok(f"<resync-subscription xmlns='{YP}'><id>{identifier}</id></resync-subscription>")
    while True:
        event = (await client.notification())[1]
        if name(event) == "push-update":
            break
        for edit in event.iter(f"{{{YP}}}edit"):
            known.apply(edit)
    expected = Copy(tree.schema, event.find(f"{{{YP}}}datastore-contents"))
    assert known.picture() == expected.picture()


class Interfaces:
    """A kernel's interfaces, of which some are configured and some are not (`OperationalProvider`)."""

    path = "/ietf-interfaces:interfaces/interface"

    def __init__(self) -> None:
        self.records: dict[tuple[str, ...], SimpleNamespace] = {}

    def get(self, keys):
        return self.records.get(keys)

    def iter(self):
        return list(self.records.values())

    def absent(self, keys):
        return SimpleNamespace(name=keys[0], oper_status="not-present")

    def change(self, source: random.Random) -> None:
        key = (source.choice("abcd"),)
        if key in self.records and source.random() < 0.4:
            del self.records[key]
            return
        addresses = [
            SimpleNamespace(ip=f"192.0.2.{number}", prefix_length=24)
            for number in source.sample(range(1, 5), source.randint(0, 3))
        ]
        self.records[key] = SimpleNamespace(
            name=key[0],
            type="iana-if-type:ethernetCsmacd",
            enabled=source.choice([True, False]),
            oper_status=source.choice(["up", "down"]),
            speed=source.choice([None, 10**9]),
            ipv4=SimpleNamespace(mtu=source.choice([None, 1400]), address=addresses),
        )


def random_interfaces(source: random.Random) -> list[dict]:
    return [
        {
            "name": name,
            "type": "iana-if-type:ethernetCsmacd",
            **({"description": source.choice(["x", "y"])} if source.random() < 0.5 else {}),
            **(
                {
                    "ietf-ip:ipv4": {
                        "address": [{"ip": f"192.0.2.{source.randint(1, 4)}", "prefix-length": 24}]
                    }
                }
                if source.random() < 0.5
                else {}
            ),
        }
        for name in source.sample("abcd", source.randint(0, 4))
    ]


@pytest.mark.parametrize("seed", SEEDS)
async def test_patches_of_what_nobody_configured_add_up(serve, seed, monkeypatch):
    monkeypatch.setattr(observe, "_ANNOUNCED_SHARE", 0)
    source = random.Random(seed)
    served = await serve(sessions=1)
    tree, interfaces = served.element.tree, Interfaces()
    tree.add_provider(interfaces)
    client = await served.client()
    operation = establish(
        f"<yp:datastore xmlns:ds='{DS}'>ds:operational</yp:datastore><yp:datastore-subtree-filter>"
        "<interfaces xmlns='urn:ietf:params:xml:ns:yang:ietf-interfaces'/>"
        "</yp:datastore-subtree-filter><yp:on-change/>"
    )
    identifier = await established(client, operation)
    known = Copy(tree.schema, (await client.notification())[1].find(f"{{{YP}}}datastore-contents"))
    top = "/ietf-interfaces:interfaces"
    kept = tree.running_json(defaults=False).get(top[1:], {}).get("interface", [])
    for _ in range(15):
        for _ in range(source.randint(0, 3)):
            interfaces.change(source)
        tree.bus.state_changed(interfaces.path)
        if source.random() < 0.7:
            content = {"interface": [*kept, *random_interfaces(source)]}
            await tree.transaction(
                User("", recovery=True), "test", [PathOperation("replace", DataPath.parse(top), content)]
            )
        for _ in range(source.randint(0, 3)):
            await client.ok("<discard-changes/>")
    observed = served.server.subscriptions.subscriptions[identifier].served._observation
    await client.ok("<discard-changes/>")  # it has heard of the last change
    await until(lambda: not any(part.dirty for part in observed._parts))  # and told it
    await client.ok(f"<resync-subscription xmlns='{YP}'><id>{identifier}</id></resync-subscription>")
    while name(event := (await client.notification())[1]) != "push-update":
        for edit in event.iter(f"{{{YP}}}edit"):
            known.apply(edit)
    expected = Copy(tree.schema, event.find(f"{{{YP}}}datastore-contents"))
    assert known.picture() == expected.picture()
