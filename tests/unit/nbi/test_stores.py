"""startup, files by url, and private candidates, as a client sees them."""

from __future__ import annotations

import json
import os

import pytest
from lxml import etree

from nbi import files as files_module
from nbi.files import MAX_FILES
from nbi.protocol.names import BASE_NS, CAP_BASE_11, CAP_PRIVATE_CANDIDATE, PRIVATE_CANDIDATE_NS

NS = {"nc": BASE_NS, "pc": PRIVATE_CANDIDATE_NS, "s": "urn:aether:yang:aether-shaping"}
RATE = (
    "/aether-shaping:shaping-profiles/aether-shaping:profile[aether-shaping:name='gold']"
    "/aether-shaping:download/aether-shaping:rate"
)


def profile(name: str, rate: int = 50_000_000, operation: str = "merge") -> str:
    return (
        "<shaping-profiles xmlns='urn:aether:yang:aether-shaping'>"
        f"<profile xmlns:nc='{BASE_NS}' nc:operation='{operation}'><name>{name}</name>"
        f"<download><rate>{rate}</rate></download><upload><rate>{rate}</rate></upload></profile>"
        "</shaping-profiles>"
    )


def edit(name: str, rate: int = 50_000_000, target: str = "candidate") -> str:
    return f"<edit-config><target><{target}/></target><config>{profile(name, rate)}</config></edit-config>"


def copy(source: str, target: str, more: str = "") -> str:
    ends = {
        role: end if end.startswith("<") else f"<url>{end}</url>" if ":" in end else f"<{end}/>"
        for role, end in (("target", target), ("source", source))
    }
    return (
        f"<copy-config><target>{ends['target']}</target><source>{ends['source']}</source>{more}</copy-config>"
    )


def delete(target: str) -> str:
    inner = f"<url>{target}</url>" if ":" in target else f"<{target}/>"
    return f"<delete-config><target>{inner}</target></delete-config>"


def lock(target: str, verb: str = "lock") -> str:
    return f"<{verb}><target><{target}/></target></{verb}>"


async def see_all(client) -> None:
    """Have the rule deleted that hides the secrets of the element from its administrators."""
    await client.ok(
        "<edit-config><target><candidate/></target><config><nacm xmlns='urn:ietf:params:xml:ns:yang:"
        "ietf-netconf-acm'><rule-list><name>administrators</name><rule "
        f"xmlns:nc='{BASE_NS}' nc:operation='delete'><name>no-secrets</name></rule></rule-list></nacm>"
        "</config></edit-config>"
    )
    await client.ok("<commit/>")


async def names(client, source: str) -> list[str]:
    reply = await client.rpc(f"<get-config><source><{source}/></source></get-config>")
    return [name.text for name in reply.iterfind(".//s:profile/s:name", NS)]


def text_of(error: etree._Element, path: str) -> str | None:
    return error.findtext(path, None, NS)


# --- startup -------------------------------------------------------------------------------------


async def test_startup_is_a_datastore_like_the_others(serve):
    client = await (await serve()).client()
    await see_all(client)
    assert await names(client, "startup") == ["gold"]
    await client.ok(edit("silver"))
    await client.ok(copy("candidate", "startup"))
    assert (await names(client, "startup"), await names(client, "running")) == (["gold", "silver"], ["gold"])
    await client.ok("<discard-changes/>")
    await client.ok(copy("startup", "candidate"))
    assert await names(client, "candidate") == ["gold", "silver"]
    await client.ok("<validate><source><startup/></source></validate>")
    nmda = await client.rpc(
        "<get-data xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-nmda' "
        "xmlns:ds='urn:ietf:params:xml:ns:yang:ietf-datastores'><datastore>ds:startup</datastore></get-data>"
    )
    assert [name.text for name in nmda.iterfind(".//s:profile/s:name", NS)] == ["gold", "silver"]
    await client.ok("<commit/>")
    await client.ok(delete("startup"))
    assert await names(client, "startup") == []
    await client.ok(copy("running", "startup"))
    assert await names(client, "startup") == ["gold", "silver"]


async def test_a_change_of_startup_is_notified(serve):
    client = await (await serve()).client()
    await client.ok("<create-subscription xmlns='urn:ietf:params:xml:ns:netconf:notification:1.0'/>")
    await client.ok(copy("running", "startup"))  # changes nothing
    await client.ok(delete("startup"))
    changed = (await client.notification())[-1]
    assert changed.tag.endswith("}netconf-config-change")
    assert changed.findtext("{*}datastore") == "startup"
    assert changed.findtext("{*}changed-by/{*}username") == "admin"
    assert len(changed.findall("{*}edit")) >= 4


async def test_what_is_not_done_with_startup(serve):
    client = await (await serve()).client()
    assert await client.error_tag(edit("silver", target="startup")) == "operation-not-supported"
    assert await client.error_tag(copy("startup", "startup")) == "invalid-value"
    assert await client.error_tag(copy("startup", "running")) == "operation-not-supported"
    error = await client.error(copy("candidate", "startup"))
    assert text_of(error, "nc:error-tag") == "data-missing", "a mandatory secret that this user may not read"
    assert text_of(error, "nc:error-path") is None, "nor learn where it is"
    assert await client.error_tag(delete("running")) == "operation-not-supported"


async def test_monitoring_shows_the_lock_of_startup(serve):
    client = await (await serve()).client()
    await client.ok(lock("startup"))
    reply = await client.rpc(
        "<get><filter><netconf-state xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring'>"
        "<datastores/></netconf-state></filter></get>"
    )
    found = {
        store.findtext("{*}name"): store.findtext(".//{*}locked-by-session")
        for store in reply.iter("{*}datastore")
    }
    assert found == {"running": None, "candidate": None, "startup": str(client.session_id)}


@pytest.mark.parametrize("killed", [True, False])
async def test_a_dead_session_leaves_nothing_behind(serve, killed):
    served = await serve()
    client, other = await served.client(), await served.client()
    for target in ("candidate", "running", "startup"):
        await client.ok(lock(target))
        assert await other.error_tag(lock(target)) == "lock-denied"
    await client.ok(edit("silver"))
    if killed:
        await other.ok(f"<kill-session><session-id>{client.session_id}</session-id></kill-session>")
    else:
        client.close()
        await served.ended(client.session_id)
    for target in ("candidate", "running", "startup"):
        await other.ok(lock(target))
    assert await names(other, "candidate") == ["gold"]


# --- private candidates --------------------------------------------------------------------------

UPDATE = f"<update xmlns='{PRIVATE_CANDIDATE_NS}'><resolution-mode>{{}}</resolution-mode></update>"


@pytest.fixture
def private(serve):
    async def start(count: int):
        served = await serve()
        clients = [await served.client(CAP_BASE_11, CAP_PRIVATE_CANDIDATE) for _ in range(count)]
        return served, *clients

    return start


async def test_two_clients_change_different_profiles(private):
    served, one, two = await private(2)
    sharing = await served.client()
    await one.ok(edit("silver"))
    await two.ok(edit("bronze"))
    assert await names(one, "candidate") == ["gold", "silver"]
    assert await names(sharing, "candidate") == ["gold"]
    await one.ok("<commit/>")
    await two.ok("<commit/>")
    assert sorted(await names(sharing, "running")) == ["bronze", "gold", "silver"]


async def test_two_clients_change_one_leaf(private):
    _, one, two = await private(2)
    await one.ok(edit("gold", 7_000_000))
    await two.ok(edit("gold", 8_000_000))
    await two.ok("<commit/>")
    for operation in ("<commit/>", f"<update xmlns='{PRIVATE_CANDIDATE_NS}'/>"):
        error = await one.error(operation)
        assert text_of(error, "nc:error-tag") == "operation-failed"
        assert text_of(error, "nc:error-path") == RATE
        first = error.find("nc:error-info/pc:conflict", NS)
        assert [(child.tag.rpartition("}")[2], child.text) for child in first] == [
            ("xpath", RATE),
            ("conflict-type", "value-change"),
            ("value-running", "8000000"),
            ("value-candidate", "7000000"),
        ]
        assert len(error.findall("nc:error-info/pc:conflict", NS)) == 2  # upload's rate as well
    await one.ok(UPDATE.format("prefer-candidate"))
    await one.ok("<commit/>")
    reply = await two.rpc("<get-config><source><running/></source></get-config>")
    assert reply.findtext(".//s:profile/s:download/s:rate", None, NS) == "7000000"


async def test_mistakes_with_update(private):
    served, one = await private(1)
    assert await one.error_tag(UPDATE.format("guess")) == "invalid-value"
    assert await one.error_tag(f"<update xmlns='{PRIVATE_CANDIDATE_NS}'><x/></update>") == "unknown-element"
    await one.ok(UPDATE.format("prefer-running"))
    sharing = await served.client()
    assert await sharing.error_tag(f"<update xmlns='{PRIVATE_CANDIDATE_NS}'/>") == "operation-not-supported"


async def test_a_private_candidate_ends_with_its_session(private):
    served, one, two = await private(2)
    await one.ok(edit("silver"))
    await one.ok(lock("running"))
    one.close()
    await served.ended(one.session_id)
    await two.ok(edit("bronze"))
    await two.ok("<commit/>")
    assert await names(two, "running") == ["gold", "bronze"]
    assert served.element.tree.datastores.candidate is served.element.tree.datastores.running.tree


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
async def files(serve):
    served = await serve()
    return served, await served.client(), served.path.parent / "files"


async def test_a_configuration_goes_into_a_file_and_comes_back(files):
    _, client, folder = files
    assert folder.stat().st_mode & 0o777 == 0o700
    await client.ok(edit("silver"))
    await client.ok(copy("candidate", "file:///saved.xml"))
    root = etree.parse(folder / "saved.xml").getroot()
    assert root.tag == f"{{{BASE_NS}}}config"
    assert [name.text for name in root.iterfind(".//s:profile/s:name", NS)] == ["gold", "silver"]
    assert (folder / "saved.xml").stat().st_mode & 0o777 == 0o600
    await client.ok("<discard-changes/>")
    edited = "<edit-config><target><candidate/></target><url>file:///{}</url></edit-config>"
    await client.ok(copy(f"<config>{profile('silver', operation='create')}</config>", "file:edit.xml"))
    await client.ok(edited.format("edit.xml"))
    assert await names(client, "candidate") == ["gold", "silver"]
    assert await client.error_tag(edited.format("edit.xml")) == "data-exists"
    await client.ok(copy(f"file://localhost{folder}/edit.xml", "file:///copy%2Exml"))
    assert (folder / "copy.xml").read_bytes() == (folder / "edit.xml").read_bytes()
    assert await client.error_tag(copy("file:copy.xml", "file:///copy.xml")) == "invalid-value"
    await client.ok(delete("file:///copy.xml"))
    assert await client.error_tag(delete("file:///copy.xml")) == "data-missing"


async def test_edit_data_takes_a_file(files):
    _, client, folder = files
    (folder / "x.xml").write_text(f"<config xmlns='{BASE_NS}'>{profile('silver')}</config>")
    await client.ok(
        "<edit-data xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-nmda' xmlns:ds='urn:ietf:params:xml:ns:"
        "yang:ietf-datastores'><datastore>ds:candidate</datastore><url>file:///x.xml</url></edit-data>"
    )
    assert await names(client, "candidate") == ["gold", "silver"]


async def test_a_file_is_validated(files):
    _, client, folder = files
    check = "<validate><source><url>file:///x.xml</url></source></validate>"
    (folder / "x.xml").write_text(
        f"<config xmlns='{BASE_NS}'><bng xmlns='urn:aether:yang:aether-bng'/></config>"
    )
    error = await client.error(check)
    assert text_of(error, "nc:error-tag") == "data-missing"
    assert text_of(error, "nc:error-path") == "/aether-bng:bng/aether-bng:identity/aether-bng:bng-id"
    (folder / "x.xml").write_text(f"<config xmlns='{BASE_NS}'>{profile('x')}</config>")
    await client.ok(check)


async def test_defaults_go_into_a_file_when_they_are_asked_for(files):
    _, client, folder = files
    mode = "<with-defaults xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults'>{}</with-defaults>"
    await client.ok(copy("running", "file:///all.xml", mode.format("report-all")))
    await client.ok(copy("running", "file:///explicit.xml"))
    assert b"<tombstone-ttl>" in (folder / "all.xml").read_bytes()
    assert b"<tombstone-ttl>" not in (folder / "explicit.xml").read_bytes()


async def test_a_file_holds_what_its_writer_may_read(files):
    _, client, folder = files
    await client.ok(copy("running", "file:///all.xml"))
    assert b"radius-1" in (folder / "all.xml").read_bytes()
    assert b"radius-shared-secret" not in (folder / "all.xml").read_bytes()
    await see_all(client)
    await client.ok(copy("running", "file:///all.xml"))
    assert b"radius-shared-secret" in (folder / "all.xml").read_bytes()


async def test_who_may_not_delete_may_not_replace(serve):
    served = await serve(user="viewer")
    client = await served.client()
    await client.ok(copy("running", "file:///mine.xml"))
    error = await client.error(copy("running", "file:///mine.xml"))
    assert text_of(error, "nc:error-tag") == "access-denied"
    assert "delete-config" in text_of(error, "nc:error-message")
    assert await client.error_tag(delete("file:///mine.xml")) == "access-denied"


HOSTILE = (
    ("file:///../startup.json", "invalid-value"),
    ("file:///..%2Fstartup.json", "invalid-value"),
    ("file:///a/../../startup.json", "invalid-value"),
    ("file:///etc/passwd", "invalid-value"),
    ("file://otherhost/x.xml", "invalid-value"),
    ("file:///.new-x", "invalid-value"),
    ("file:///x.xml%00.xml", "invalid-value"),
    ("file:///x.xml?a=b", "invalid-value"),
    ("file:///", "invalid-value"),
    ("file:///..", "invalid-value"),
    ("file://[x/y", "invalid-value"),
    ("x.xml", "invalid-value"),
    ("file:///" + "a" * 5_000, "invalid-value"),
    ("file:///" + "a" * 200, "invalid-value"),
    ("", "invalid-value"),
    ("ftp://host/x.xml", "operation-not-supported"),
    ("https://user:pw@host/x.xml", "operation-not-supported"),
)


async def test_hostile_urls(files):
    served, client, folder = files
    for url, tag in HOSTILE:
        for operation in (
            f"<validate><source><url>{url}</url></source></validate>",
            f"<copy-config><target><url>{url}</url></target><source><running/></source></copy-config>",
            f"<delete-config><target><url>{url}</url></target></delete-config>",
        ):
            assert await client.error_tag(operation) == tag, (url, operation)
    assert (
        await client.error_tag("<validate><source><url>file:///none</url></source></validate>")
        == "data-missing"
    )
    assert list(folder.iterdir()) == []
    assert (served.path.parent / "startup.json").is_file()


async def test_what_is_no_regular_file_is_not_read(files, tmp_path):
    _, client, folder = files
    outside = tmp_path / "outside.xml"
    outside.write_text(f"<config xmlns='{BASE_NS}'>{profile('x')}</config>")
    (folder / "link.xml").symlink_to(outside)
    os.mkfifo(folder / "fifo.xml")
    (folder / "folder.xml").mkdir()
    for name in ("link.xml", "fifo.xml", "folder.xml"):
        error = await client.error(f"<validate><source><url>file:///{name}</url></source></validate>")
        assert text_of(error, "nc:error-tag") == "operation-failed", name
    await client.ok(copy("running", "file:///link.xml"))  # replaces the link, not what it leads to
    assert not (folder / "link.xml").is_symlink()
    assert b"<name>x</name>" in outside.read_bytes()
    assert await client.error_tag(copy("running", "file:///folder.xml")) == "operation-failed"
    assert [path.name for path in folder.glob(".*")] == [".owners"]


NO_CONFIGURATIONS = (
    b"",
    b"no xml",
    b"<config/>",
    f"<data xmlns='{BASE_NS}'/>".encode(),
    b"<!DOCTYPE c [<!ENTITY a 'a'>]><config>&a;</config>",
    b"\xff\xfe<config/>",
    b"<a>" * 1_000_000,
)


async def test_a_file_that_is_no_configuration(files):
    _, client, folder = files
    for content in NO_CONFIGURATIONS:
        (folder / "x.xml").write_bytes(content)
        error = await client.error(copy("file:///x.xml", "candidate"))
        assert text_of(error, "nc:error-tag") == "operation-failed", content[:40]
        assert text_of(error, "nc:error-message").startswith("x.xml is no configuration")


async def test_files_are_bounded_in_size_and_number(serve):
    served = await serve(max_message=20_000)
    client, folder = await served.client(), served.path.parent / "files"
    (folder / "big.xml").write_bytes(b" " * 20_001)
    assert await client.error_tag(copy("file:///big.xml", "candidate")) == "too-big"
    many = "".join(f"<p>{n}</p>" for n in range(10))
    assert await client.error_tag(copy(f"<config><x>{many}</x></config>", "file:///x.xml")) != "too-big"
    for number in range(MAX_FILES - 1):
        (folder / f"{number}.xml").touch()
    await client.ok(delete("file:///0.xml"))
    await client.ok(copy("running", "file:///last.xml"))
    assert await client.error_tag(copy("running", "file:///more.xml")) == "resource-denied"
    await client.ok(copy("running", "file:///last.xml"))


async def test_files_of_a_user_are_bounded(serve, monkeypatch):
    """Whoever may write and not delete leaves room for others, and for himself when somebody deletes his."""
    monkeypatch.setattr(files_module, "MAX_USER_FILES", 2)
    served = await serve()
    client, folder = await served.client(), served.path.parent / "files"
    (folder / "nobody.xml").touch()
    written = "{" + '"viewer.xml": "viewer", "gone.xml": "admin"' + "}"
    (folder / ".owners").write_text(written)
    (folder / "viewer.xml").touch()
    for name in ("one", "two", "one"):
        await client.ok(copy("running", f"file:///{name}.xml"))
    error = await client.error(copy("running", "file:///three.xml"))
    assert text_of(error, "nc:error-tag") == "resource-denied"
    assert "2 files of user admin" in text_of(error, "nc:error-message")
    await client.ok(delete("file:///one.xml"))
    await client.ok(copy("running", "file:///viewer.xml"))
    assert json.loads((folder / ".owners").read_text()) == {"two.xml": "admin", "viewer.xml": "admin"}
    (folder / ".owners").write_text("[]")
    await client.ok(copy("running", "file:///three.xml"))


async def test_mistakes_with_urls(files):
    _, client, _ = files
    both = "<url>file:///x</url><config/>"
    assert (
        await client.error_tag(f"<edit-config><target><candidate/></target>{both}</edit-config>")
        == "bad-element"
    )
    assert (
        await client.error_tag("<edit-config><target><candidate/></target></edit-config>")
        == "missing-element"
    )
    assert (
        await client.error_tag("<lock><target><url>file:///x</url></target></lock>")
        == "operation-not-supported"
    )
    assert (
        await client.error_tag(copy("<config><x xmlns='urn:x'/></config>", "file:///x"))
        == "unknown-namespace"
    )


async def test_a_server_without_a_folder_has_no_urls(serve):
    served = await serve()
    served.server.files = None
    client = await served.client()
    assert await client.error_tag(copy("running", "file:///x")) == "operation-not-supported"


def test_files_that_are_being_written_count_too(tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "MAX_USER_FILES", 2)
    files = files_module.ConfigFiles(tmp_path / "files", 100)
    files.write("a", [b"1"], "oss")

    def slowly():
        yield b"2"
        files.write("a", [b"3"], "oss")
        files.write("c", [b"4"], "other")
        with pytest.raises(files_module.RpcError, match="there are 2 files of user oss"):
            files.write("d", [b"5"], "oss")

    files.write("b", slowly(), "oss")
    files.delete("b")
    files.write("d", [b"5"], "oss")
    assert files.read("a") == b"3"
