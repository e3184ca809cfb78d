"""Operations on the datastores, over the unix socket."""

from lxml import etree

NC = {"nc": "urn:ietf:params:xml:ns:netconf:base:1.0"}
SHAPING = "urn:aether:yang:aether-shaping"


def profile(name: str, rate: int = 50_000_000, operation: str = "") -> str:
    attribute = f"nc:operation='{operation}'" if operation else ""
    return (
        f"<shaping-profiles xmlns='{SHAPING}' xmlns:nc='{NC['nc']}'><profile {attribute}><name>{name}</name>"
        f"<download><rate>{rate}</rate></download><upload><rate>{rate}</rate></upload>"
        "</profile></shaping-profiles>"
    )


def edit(content: str, target: str = "candidate", options: str = "") -> str:
    return f"<edit-config><target><{target}/></target>{options}<config>{content}</config></edit-config>"


def get_config(source: str) -> str:
    return (
        f"<get-config><source><{source}/></source>"
        f"<filter><shaping-profiles xmlns='{SHAPING}'/></filter></get-config>"
    )


def names(reply: etree._Element) -> set[str]:
    return {name.text for name in reply.iterfind(".//s:profile/s:name", {"s": SHAPING})}


async def test_edit_validate_commit(serve):
    served = await serve()
    client = await served.client()
    await client.ok(edit(profile("silver")))
    assert names(await client.rpc(get_config("running"))) == {"gold"}
    assert names(await client.rpc(get_config("candidate"))) == {"gold", "silver"}
    await client.ok("<validate><source><candidate/></source></validate>")
    await client.ok("<commit/>")
    assert names(await client.rpc(get_config("running"))) == {"gold", "silver"}
    (diff,) = served.element.profiles.committed
    assert list(diff.changed) == ["/aether-shaping:shaping-profiles/profile[name='silver']"]


async def test_discard_changes(serve):
    client = await (await serve()).client()
    await client.ok(edit(profile("silver")))
    await client.ok("<discard-changes/>")
    assert names(await client.rpc(get_config("candidate"))) == {"gold"}


async def test_errors_of_an_edit_name_the_node(serve):
    client = await (await serve()).client()
    error = await client.error(edit(profile("gold", operation="create")))
    assert error.findtext("nc:error-tag", None, NC) == "data-exists"
    path = error.find("nc:error-path", NC)
    prefix = next(p for p, uri in path.nsmap.items() if uri == SHAPING)
    assert path.text == f"/{prefix}:shaping-profiles/{prefix}:profile[{prefix}:name='gold']"
    assert await client.error_tag(edit(profile("none", operation="delete"))) == "data-missing"
    assert await client.error_tag(edit(profile("silver", rate=1))) == "invalid-value"
    assert await client.error_tag(edit("<x xmlns='urn:none'/>")) == "unknown-namespace"
    assert await client.error_tag(edit(f"<nothing xmlns='{SHAPING}'/>")) == "unknown-element"
    assert await client.error_tag(edit(profile("x"), options="<error-option>x</error-option>")) == (
        "invalid-value"
    )


async def test_rollback_on_error_leaves_nothing_of_the_edit(serve):
    client = await (await serve()).client()
    created = profile("gold", operation="create").partition("<profile ")[2]
    content = profile("silver").replace("</profile>", f"</profile><profile {created}", 1)
    content = content.removesuffix("</shaping-profiles>")
    options = "<error-option>rollback-on-error</error-option>"
    assert await client.error_tag(edit(content, options=options)) == "data-exists"
    assert names(await client.rpc(get_config("candidate"))) == {"gold"}


async def test_a_handler_that_refuses_leaves_running_as_it_was(serve):
    client = await (await serve()).client()
    await client.ok(edit(profile("refused")))
    error = await client.error("<commit/>")
    assert error.findtext("nc:error-tag", None, NC) == "resource-denied"
    assert "no room" in error.findtext("nc:error-message", None, NC)
    assert names(await client.rpc(get_config("running"))) == {"gold"}


async def test_what_is_locked_is_not_changed_by_others(serve):
    served = await serve()
    holder, other = await served.client(), await served.client()
    await holder.ok("<lock><target><candidate/></target></lock>")
    for operation in (edit(profile("silver")), "<commit/>", "<discard-changes/>"):
        error = await other.error(operation)
        assert error.findtext("nc:error-tag", None, NC) in ("in-use", "lock-denied"), operation
    assert await other.error_tag("<unlock><target><candidate/></target></unlock>") == "operation-failed"
    await holder.ok(edit(profile("silver")))
    await holder.ok("<commit/>")
    await holder.ok("<unlock><target><candidate/></target></unlock>")
    await other.ok(edit(profile("bronze")))


async def test_a_dirty_candidate_cannot_be_locked(serve):
    served = await serve()
    first, second = await served.client(), await served.client()
    await first.ok(edit(profile("silver")))
    assert await second.error_tag("<lock><target><candidate/></target></lock>") == "lock-denied"


async def test_a_confirmed_commit_reverts_with_its_session(serve):
    served = await serve()
    client, other = await served.client(), await served.client()
    await client.ok(edit(profile("silver")))
    await client.ok("<commit><confirmed/><confirm-timeout>600</confirm-timeout></commit>")
    assert names(await other.rpc(get_config("running"))) == {"gold", "silver"}
    client.close()
    await served.ended(client.session_id)
    assert names(await other.rpc(get_config("running"))) == {"gold"}


async def test_a_persistent_confirmed_commit_is_confirmed_by_its_token(serve):
    served = await serve()
    client, other = await served.client(), await served.client()
    await client.ok(edit(profile("silver")))
    await client.ok("<commit><confirmed/><persist>token</persist></commit>")
    client.close()
    await served.ended(client.session_id)
    assert await other.error_tag("<commit><persist-id>other</persist-id></commit>") == "invalid-value"
    await other.ok("<commit><persist-id>token</persist-id></commit>")
    assert await other.error_tag("<cancel-commit><persist-id>token</persist-id></cancel-commit>") != ""
    assert names(await other.rpc(get_config("running"))) == {"gold", "silver"}


async def test_cancel_commit(serve):
    client = await (await serve()).client()
    await client.ok(edit(profile("silver")))
    await client.ok("<commit><confirmed/></commit>")
    await client.ok("<cancel-commit/>")
    assert names(await client.rpc(get_config("running"))) == {"gold"}


async def test_parameters_of_a_confirmed_commit_need_it(serve):
    client = await (await serve()).client()
    assert await client.error_tag("<commit><persist>x</persist></commit>") == "bad-element"
    assert await client.error_tag("<commit><confirmed/><persist/></commit>") == "invalid-value"
    timeout = "<commit><confirmed/><confirm-timeout>0</confirm-timeout></commit>"
    assert await client.error_tag(timeout) == "invalid-value"


async def test_running_is_not_writable(serve):
    client = await (await serve()).client()
    assert await client.error_tag(edit(profile("silver"), target="running")) == "operation-not-supported"
    delete = "<delete-config><target><running/></target></delete-config>"
    assert await client.error_tag(delete) in ("operation-not-supported", "invalid-value", "operation-failed")


async def test_copy_config(serve):
    client = await (await serve()).client()
    await client.ok(edit(profile("silver")))
    copy = "<copy-config><target><candidate/></target><source><running/></source></copy-config>"
    await client.ok(copy)
    assert names(await client.rpc(get_config("candidate"))) == {"gold"}


async def test_validate_a_given_configuration(serve):
    client = await (await serve()).client()
    bad = f"<validate><source><config>{profile('x', rate=1)}</config></source></validate>"
    assert await client.error_tag(bad) == "invalid-value"


async def test_with_defaults(serve):
    client = await (await serve()).client()
    for mode, priority in (("explicit", None), ("report-all", "4"), ("trim", None)):
        reply = await client.rpc(
            f"<get-config><source><running/></source><filter><shaping-profiles xmlns='{SHAPING}'/></filter>"
            "<with-defaults xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults'>"
            f"{mode}</with-defaults></get-config>"
        )
        assert reply.findtext(f".//{{{SHAPING}}}priority") == priority, mode


async def test_partial_lock(serve):
    served = await serve()
    client, other = await served.client(), await served.client()
    reply = await client.rpc(
        "<partial-lock xmlns='urn:ietf:params:xml:ns:netconf:partial-lock:1.0'>"
        f"<select xmlns:s='{SHAPING}'>/s:shaping-profiles/s:profile[s:name='gold']</select></partial-lock>"
    )
    lock_id = reply.findtext("{*}lock-id")
    assert "profile" in reply.findtext("{*}locked-node")
    await other.ok(edit(profile("gold", rate=60_000_000)))
    assert await other.error_tag("<commit/>") in ("in-use", "lock-denied")
    await client.ok(
        "<partial-unlock xmlns='urn:ietf:params:xml:ns:netconf:partial-lock:1.0'>"
        f"<lock-id>{lock_id}</lock-id></partial-unlock>"
    )
    await other.ok("<commit/>")
