"""The YANG library (RFC 8525): a client needs nothing else to read what the server says."""

from __future__ import annotations

import libyang
import pytest
from lxml import etree

from yang.datastore.context import SchemaBuilder

LIBRARY = "urn:ietf:params:xml:ns:yang:ietf-yang-library"
MONITORING = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
NMDA = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
DATASTORES = "urn:ietf:params:xml:ns:yang:ietf-datastores"
L = {"l": LIBRARY}
# What libyang has built in; it is not loaded once more.
BUILT_IN = {
    "ietf-yang-metadata",
    "ietf-yang-types",
    "ietf-inet-types",
    "ietf-datastores",
    "ietf-yang-library",
}


async def library(client):
    reply = await client.rpc(f"<get><filter><yang-library xmlns='{LIBRARY}'/></filter></get>")
    return reply.find(f".//{{{LIBRARY}}}yang-library")


async def schema_text(client, name: str, revision: str | None) -> str:
    version = f"<version>{revision}</version>" if revision else ""
    reply = await client.rpc(
        f"<get-schema xmlns='{MONITORING}'><identifier>{name}</identifier>{version}</get-schema>"
    )
    return reply.find(f"{{{MONITORING}}}data").text


async def test_a_client_builds_its_schema_from_the_server_alone(serve, tmp_path):
    """And reads the whole of operational strictly by it."""
    served = await serve(50, user="viewer")
    client = await served.client()
    found = await library(client)
    modules = found.findall("l:module-set/l:module", L)
    imported = found.findall("l:module-set/l:import-only-module", L)
    assert {m.findtext("l:name", None, L) for m in modules} >= {
        "ietf-netconf-nmda",
        "ietf-origin",
        "aether-bng",
    }
    assert {m.findtext("l:name", None, L) for m in imported} >= {"ietf-yang-metadata", "ietf-inet-types"}
    for module in (*modules, *imported):
        name, revision = module.findtext("l:name", None, L), module.findtext("l:revision", None, L)
        text = await schema_text(client, name, revision)
        assert f"module {name} " in text
        (tmp_path / (f"{name}@{revision}.yang" if revision else f"{name}.yang")).write_text(text)
    context = libyang.Context(str(tmp_path))
    for module in modules:
        name, revision = module.findtext("l:name", None, L), module.findtext("l:revision", None, L)
        features = [feature.text for feature in module.findall("l:feature", L)]
        if name not in BUILT_IN:
            with (tmp_path / (f"{name}@{revision}.yang" if revision else f"{name}.yang")).open() as file:
                context.parse_module_file(file, features=features or None)
    reply = await client.rpc(
        f"<get-data xmlns='{NMDA}' xmlns:ds='{DATASTORES}'><datastore>ds:operational</datastore>"
        "<with-origin/></get-data>"
    )
    data = reply.find(f"{{{NMDA}}}data")
    assert len(data) > 8
    text = "".join(etree.tostring(child, encoding="unicode") for child in data)
    tree = context.parse_data_mem(text, "xml", strict=True, parse_only=True)
    assert tree is not None
    tree.free()


async def test_datastores_and_content_id(serve):
    served = await serve()
    client = await served.client()
    found = await library(client)
    names = [leaf.text.rpartition(":")[2] for leaf in found.findall("l:datastore/l:name", L)]
    assert {"running", "candidate", "intended", "operational"} <= set(names)
    assert {leaf.text for leaf in found.findall("l:datastore/l:schema", L)} == {"complete"}
    content_id = found.findtext("l:content-id", None, L)
    capabilities = [leaf.text for leaf in client.hello.iter("{*}capability")]
    assert (
        f"urn:ietf:params:netconf:capability:yang-library:1.1?revision=2019-01-04&content-id={content_id}"
        in capabilities
    )
    assert any(
        uri.startswith("urn:ietf:params:netconf:capability:with-operational-defaults:1.0")
        for uri in capabilities
    )
    for name in names:
        await client.rpc(
            f"<get-data xmlns='{NMDA}' xmlns:ds='{DATASTORES}'><datastore>ds:{name}</datastore>"
            f"<subtree-filter><yang-library xmlns='{LIBRARY}'/></subtree-filter></get-data>"
        )
    legacy = await client.rpc(f"<get><filter><modules-state xmlns='{LIBRARY}'/></filter></get>")
    assert legacy.findtext(f".//{{{LIBRARY}}}module-set-id") == content_id
    schemas = await client.rpc(
        f"<get><filter><netconf-state xmlns='{MONITORING}'><schemas/></netconf-state></filter></get>"
    )
    listed = {leaf.text for leaf in schemas.iter(f"{{{MONITORING}}}identifier")}
    assert listed == {leaf.text for leaf in found.iterfind(".//l:name", L)} - {"complete"} - {
        leaf.text for leaf in found.findall("l:datastore/l:name", L)
    }


MAIN = """module test-main { yang-version 1.1; namespace "urn:test:main"; prefix m; include test-part;
  organization "it includes; include nothing-at-all;"; // include not-this-one;
  revision 2026-11-25 { description "x"; } %s }"""
PART = """submodule test-part { yang-version 1.1; belongs-to test-main { prefix m; }
  revision 2026-11-20; revision 2026-01-01; identity base-of; identity one { base base-of; }
  identity two { base "one"; base m:base-of; } leaf x { type string; } }"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A schema with a submodule, and a function that builds it with a change."""
    folder = tmp_path_factory.mktemp("modules")

    def build(more: str = "", part: str = PART):
        (folder / "test-main.yang").write_text(MAIN % more)
        (folder / "test-part@2026-11-20.yang").write_text(part)
        context = libyang.Context(str(folder))
        with (folder / "test-main.yang").open() as file:
            context.parse_module_file(file)
        return SchemaBuilder(context, [folder]).build()

    return build


def test_submodules(built):
    schema = built()
    module = schema.module("test-main")
    assert dict(module.submodules) == {"test-part": "2026-11-20"}
    assert module.submodule_texts["test-part"] == PART
    assert schema.identities.derived("test-main:base-of") == {"test-main:one", "test-main:two"}
    assert schema.identities.derived("test-main:one") == {"test-main:two"}
    assert schema.content_id == built("leaf y { type string; }").content_id, "no revision, no change"
    assert schema.content_id != built(part=PART.replace("2026-11-20", "2026-11-21", 1)).content_id
