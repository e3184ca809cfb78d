"""Capabilities and Get."""

from __future__ import annotations

import time

from telemetry.errors import EXPECTED, Code, Refused, invalid, refusal
from telemetry.packing import framed, notification_head
from telemetry.plan import Content
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.model import ENCODINGS, UnknownNode, data_path, gnmi_path
from telemetry.reach import Reach
from telemetry.requests import Extras, check_encoding, models_of, prefix_of
from telemetry.snapshot import Progress, Snapshot
from yang.access import User
from yang.path import ANY, DESCEND, DataPath
from yang.schema import SchemaNode
from yang.tree import Tree

GNMI_VERSION = pb.DESCRIPTOR.GetOptions().Extensions[pb.gnmi_service]
MAXIMUM_ANSWER = 16 * 1024 * 1024
"""Octets of a GetResponse; more is to be read by Subscribe, which sends it in pieces."""

MAXIMUM_PATHS = 1000

_CONTENTS: dict[int, Content] = {
    pb.GetRequest.ALL: "all",
    pb.GetRequest.CONFIG: "config",
    pb.GetRequest.STATE: "state",
    pb.GetRequest.OPERATIONAL: "state",
}


def capabilities(tree: Tree, request: pb.CapabilityRequest) -> pb.CapabilityResponse:
    """All modules of the YANG library, and what this server speaks. Raises Refused."""
    for extension in request.extension:
        kind = extension.WhichOneof("ext")
        if kind not in (None, "registered_ext"):
            raise invalid(f"the extension {kind} does not belong to Capabilities")
    modules = sorted(tree.schema.modules, key=lambda module: (module.name, module.revision))
    return pb.CapabilityResponse(
        supported_models=[
            pb.ModelData(name=module.name, organization=module.organization, version=module.revision)
            for module in modules
        ],
        supported_encodings=ENCODINGS,
        gNMI_version=GNMI_VERSION,
    )


async def get(tree: Tree, user: User, request: pb.GetRequest) -> bytes:
    """A serialised GetResponse, with one notification per path of the request. Raises Refused."""
    content, reach = _check(tree, request)
    read = Snapshot(tree, user, content, request.encoding, reach)
    progress = Progress(MAXIMUM_ANSWER)
    response: list[bytes] = []
    prefix = request.prefix if request.HasField("prefix") else None
    for asked in request.path or [pb.Path()]:
        await progress.pause()
        try:
            tree.check_exec("/ietf-netconf:get", user)  # what a Get is in NETCONF
            path = data_path(tree.schema, prefix, asked)
            if path.steps and not any(step.name in (ANY, DESCEND) for step in path.steps):
                _check_models(reach, _node(tree, path))
            answered = prefix_of(request)
            answered.origin = answered.origin or asked.origin
            answered.elem.extend(gnmi_path(read.common(path)).elem)
            head = notification_head(answered, time.time_ns())
            updates = [piece async for piece in read.updates(path, progress) if piece]
        except EXPECTED as error:
            raise refusal(error) from None
        if not updates and _must_exist(tree, path):
            raise Refused(Code.NOT_FOUND, f"{path} does not exist")
        response.extend(framed(1, [head, *updates]))  # GetResponse.notification
    return await progress.written(response)


def _check(tree: Tree, request: pb.GetRequest) -> tuple[Content, Reach]:
    check_encoding(request.encoding)
    extras = Extras.of(request.extension)
    if extras.history is not None or extras.config_subscription:
        raise invalid("the extensions history and config_subscription belong to Subscribe")
    if len(request.path) > MAXIMUM_PATHS:
        raise invalid(f"a Get names at most {MAXIMUM_PATHS} paths")
    content = _CONTENTS.get(request.type)
    if content is None:
        raise invalid(f"data type {request.type} does not exist")
    return content, Reach(extras.depth, models_of(tree.schema, request.use_models))


def _check_models(reach: Reach, node: SchemaNode) -> None:
    if not reach.has(node):
        raise UnknownNode(f"{node.path} is not in the models that the request is restricted to")


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
