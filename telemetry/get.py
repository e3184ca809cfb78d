"""Capabilities and Get."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson

from telemetry.errors import EXPECTED, Code, Refused, invalid, refusal, unimplemented
from telemetry.plan import Content
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.model import ENCODINGS, UnknownNode, data_path, encode, gnmi_path, plain_tree
from telemetry.reader import SLICE, scalars
from telemetry.requests import check_encoding, check_models, prefix_of
from yang.access import User
from yang.path import ANY, DESCEND, DataPath
from yang.schema import SchemaNode
from yang.tree import Tree

GNMI_VERSION = pb.DESCRIPTOR.GetOptions().Extensions[pb.gnmi_service]
MAXIMUM_ANSWER = 64 * 1024 * 1024
"""Octets of a GetResponse; more is to be read by Subscribe, which sends it in pieces."""

MAXIMUM_PATHS = 1000

_CONTENTS: dict[int, Content] = {
    pb.GetRequest.ALL: "all",
    pb.GetRequest.CONFIG: "config",
    pb.GetRequest.STATE: "state",
    pb.GetRequest.OPERATIONAL: "state",
}


def capabilities(tree: Tree) -> pb.CapabilityResponse:
    """All modules of the YANG library, and what this server speaks."""
    modules = sorted(tree.schema.modules, key=lambda module: (module.name, module.revision))
    return pb.CapabilityResponse(
        supported_models=[
            pb.ModelData(name=module.name, organization=module.organization, version=module.revision)
            for module in modules
        ],
        supported_encodings=ENCODINGS,
        gNMI_version=GNMI_VERSION,
    )


async def get(tree: Tree, user: User, request: pb.GetRequest) -> pb.GetResponse:
    """One notification per path of the request. Raises Refused."""
    content = _check(tree, request)
    response = pb.GetResponse()
    size = 0
    prefix = request.prefix if request.HasField("prefix") else None
    for asked in request.path or [pb.Path()]:
        try:
            tree.check_exec("/ietf-netconf:get", user)  # what a Get is in NETCONF
            path = data_path(tree.schema, prefix, asked)
            notification = pb.Notification(timestamp=time.time_ns(), prefix=prefix_of(request))
            if asked.origin:
                notification.prefix.origin = asked.origin
            async for update in _updates(tree, user, path, content, request.encoding):
                size += update.ByteSize()
                if size > MAXIMUM_ANSWER:
                    raise Refused(
                        Code.RESOURCE_EXHAUSTED,
                        f"the answer is larger than {MAXIMUM_ANSWER} octets; use Subscribe with mode ONCE",
                    )
                notification.update.append(update)
        except UnknownNode as error:
            raise unimplemented(str(error)) from None
        except EXPECTED as error:
            raise refusal(error) from None
        if not notification.update and _must_exist(tree, path):
            raise Refused(Code.NOT_FOUND, f"{path} does not exist")
        response.notification.append(notification)
    return response


def _check(tree: Tree, request: pb.GetRequest) -> Content:
    check_encoding(request.encoding)
    check_models(tree.schema, request.use_models)
    for extension in request.extension:
        if extension.WhichOneof("ext") in ("history", "depth"):
            raise unimplemented(f"the extension {extension.WhichOneof('ext')} is not supported in Get")
    if len(request.path) > MAXIMUM_PATHS:
        raise invalid(f"a Get names at most {MAXIMUM_PATHS} paths")
    content = _CONTENTS.get(request.type)
    if content is None:
        raise invalid(f"data type {request.type} does not exist")
    return content


async def _updates(
    tree: Tree, user: User, path: DataPath, content: Content, encoding: int
) -> AsyncIterator[pb.Update]:
    number = 0
    selection = tree.select_paths([path])
    if content != "config":
        await tree.prepare(selection)
    if encoding in (pb.PROTO, pb.ASCII):
        for entry, leaves in scalars(tree, user, [path], content):
            for names, value, node in leaves:
                found = gnmi_path(entry)
                for name in names:
                    found.elem.add(name=name)
                yield pb.Update(path=found, val=encode(value, node, encoding))
            number += 1
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return
    for instance, value in tree.read_json(selection, user, content=content):
        # a whole tree takes long to write: a thread does it
        yield pb.Update(
            path=gnmi_path(instance), val=await asyncio.to_thread(_json, tree, instance, value, encoding)
        )
        number += 1
        if number % SLICE == 0:
            await asyncio.sleep(0)


def _json(tree: Tree, path: DataPath, value: Any, encoding: int) -> pb.TypedValue:
    if encoding == pb.JSON_IETF:
        return pb.TypedValue(json_ietf_val=orjson.dumps(value))
    return pb.TypedValue(json_val=orjson.dumps(plain_tree(value, _node(tree, path))))


def _node(tree: Tree, path: DataPath) -> SchemaNode:
    return path.schema_node(tree.schema) if path.steps else tree.schema.root


def _must_exist(tree: Tree, path: DataPath) -> bool:
    """True when nothing at this path is NOT_FOUND, not merely empty: it names one instance.

    A container without presence outside of any list always exists, and a list may have no entries.
    """
    if any(step.name in (ANY, DESCEND) for step in path.steps):
        return False
    chain = _node(tree, path).chain
    lists = [(node, step) for node, step in zip(chain, path.steps, strict=True) if node.kind == "list"]
    given = [{key for key, value in step.keys if value != ANY} for _, step in lists]
    if any(set(node.keys) - known for (node, _), known in zip(lists, given, strict=True)):
        return False
    return bool(lists) or any(node.is_leaf or node.presence for node in chain)
