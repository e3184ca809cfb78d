"""Set: one transaction on the running configuration, and who of several controllers may make it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from telemetry.details import failed_operation, set_response
from telemetry.errors import EXPECTED, Code, Refused, invalid, refusal
from telemetry.pace import Pace
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.model import data_path, decode
from telemetry.protocol.paths import PathError
from telemetry.set_messages import Results, read_request, response
from yang.access import User
from yang.datastore.model import PathOperation, Session
from yang.datastore.wildcards import has_wildcards
from yang.path import DataPath
from yang.provider import OperationError
from yang.schema import SchemaNode
from yang.tree import Tree

MAXIMUM_OPERATIONS = 100_000
MAXIMUM_WILDCARDS = 100
"""Deletes by wildcards in a Set: each looks at all of the configuration, and other commits wait meanwhile."""
MAXIMUM_ROLES = 100
_SLICE = 256
"""Operations that are freed before other tasks get their turn."""
_Op = Literal["delete", "union", "replace", "update"]
_SESSION_OF_CANCEL = 0xFFFFFFFF
"""Session-id under which a confirmed commit is cancelled: no NETCONF session has it."""


class Arbitration:
    """Lets only the controller with the highest election id of its role write."""

    def __init__(self) -> None:
        self._highest: dict[str, tuple[int, int]] = {}

    def check(self, role: str, election: tuple[int, int]) -> None:
        """Raises Refused when somebody with a higher id has written."""
        highest = self._highest.get(role)
        if highest is not None and election < highest:
            raise Refused(
                Code.PERMISSION_DENIED,
                f"a controller with a higher election id has the role {role[:64]!r}: "
                f"high {highest[0]}, low {highest[1]}",
            )
        if highest is None and len(self._highest) >= MAXIMUM_ROLES:
            raise Refused(Code.RESOURCE_EXHAUSTED, f"this target keeps {MAXIMUM_ROLES} roles")
        self._highest[role] = election


class Setter:
    """Carries out Set."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._arbitration = Arbitration()

    async def set(self, user: User, peer: str, octets: bytes) -> bytes:
        """All of a serialised request or nothing; what is returned is serialised, too. Raises Refused.

        Args:
            peer: address of the client, for the history of commits.
        """
        pace = Pace()
        request = await read_request(octets, pace)
        operations: list[PathOperation] = []
        try:
            for rpc in ("edit-config", "commit"):  # what a Set is in NETCONF
                self._tree.check_exec(f"/ietf-netconf:{rpc}", user)
            commit = self._extensions(request.extension)
            if commit is not None and commit.WhichOneof("action") != "commit":
                await self._finish(user, peer, commit, request)
                return await response(request, pace)
            for operation in self._operations(request):
                operations.append(operation)
                await pace.pause()
            confirm_timeout, persist_id = _confirmation(commit)
            if operations:
                await self._tree.transaction(
                    user, f"gnmi {peer}", operations, confirm_timeout=confirm_timeout, persist_id=persist_id
                )
        except (Refused, *EXPECTED) as error:
            raise await _failed(error, request, operations, pace) from None
        finally:
            # the last of it: freed at once, it would hold the loop
            while operations:
                del operations[-_SLICE:]
                await pace.pause()
        return await response(request, pace)

    def _extensions(self, extensions: Iterable[Any]) -> Any | None:
        """The commit extension, if any; checks arbitration."""
        commit = None
        for extension in extensions:
            kind = extension.WhichOneof("ext")
            if kind == "master_arbitration":
                asked = extension.master_arbitration
                if not asked.HasField("election_id"):
                    raise invalid("the master arbitration extension needs an election_id")
                self._arbitration.check(asked.role.id, (asked.election_id.high, asked.election_id.low))
            elif kind == "commit":
                commit = extension.commit
                if not commit.id or commit.WhichOneof("action") is None:
                    raise invalid("the commit extension needs an id and an action")
            elif kind in ("history", "depth", "config_subscription"):
                raise invalid(f"the extension {kind} does not belong to Set")
        return commit

    async def _finish(self, user: User, peer: str, commit: Any, request: pb.SetRequest) -> None:
        """Confirm or cancel the confirmed commit that is under way."""
        if request.delete or request.replace or request.update or request.union_replace:
            raise invalid("a Set about a commit that is under way changes nothing else")
        action = commit.WhichOneof("action")
        datastores = self._tree.datastores
        try:
            if action == "confirm":
                await datastores.confirm_commit(commit.id)
            elif action == "cancel":
                self._tree.check_exec("/ietf-netconf:cancel-commit", user)
                session = Session(_SESSION_OF_CANCEL, user, f"gnmi {peer}")
                await datastores.cancel_commit(session, commit.id)
            else:
                seconds = _seconds(commit.set_rollback_duration.rollback_duration)
                if not seconds:
                    raise invalid("rollback_duration must be greater than 0")
                await datastores.set_rollback_duration(commit.id, seconds)
        except OperationError as error:
            if error.tag == "operation-failed":  # none is under way (commit-confirmed, 3.2.2 to 3.2.4)
                raise Refused(Code.FAILED_PRECONDITION, error.message) from None
            raise

    def _operations(self, request: pb.SetRequest) -> Iterator[PathOperation]:
        """In the order of the specification (3.4.3): deletes, the union, replaces, updates."""
        changes = (request.delete, request.union_replace, request.replace, request.update)
        if sum(map(len, changes)) > MAXIMUM_OPERATIONS:
            raise Refused(Code.RESOURCE_EXHAUSTED, f"a Set holds at most {MAXIMUM_OPERATIONS} operations")
        prefix = request.prefix if request.HasField("prefix") else None
        asked: tuple[tuple[_Op, Iterable[Any]], ...] = (
            ("delete", request.delete),
            ("union", request.union_replace),
            ("replace", request.replace),
            ("update", request.update),
        )
        every = ((op, item) for op, items in asked for item in items)
        wildcards = 0
        for number, (op, item) in enumerate(every):
            try:
                operation = self._operation(op, prefix, item)
                wildcards += op == "delete" and has_wildcards(self._tree.schema, operation.path)
                if wildcards > MAXIMUM_WILDCARDS:
                    message = f"a Set holds at most {MAXIMUM_WILDCARDS} deletes by wildcards"
                    raise Refused(Code.RESOURCE_EXHAUSTED, message)
                yield operation
            except (Refused, *EXPECTED) as error:
                refused = error if isinstance(error, Refused) else refusal(error, writing=True)
                refused.operation = number
                raise refused from None

    def _operation(self, op: _Op, prefix: pb.Path | None, item: Any) -> PathOperation:
        if op == "delete":
            return PathOperation(op, data_path(self._tree.schema, prefix, item))
        if not item.HasField("val"):
            raise invalid("an update without 'val'; the withdrawn field 'value' is not supported")
        path = data_path(self._tree.schema, prefix, item.path)
        node = self._node(path)
        value = decode(item.val, node)
        if op != "update" and not value and node.kind == "list" and path.steps[-1].keys:
            raise invalid(f"{path}: an entry is not replaced by nothing; use delete")  # 3.4.4
        return PathOperation(op, path, value)

    def _node(self, path: DataPath) -> SchemaNode:
        if path.module_only is not None:
            return self._tree.schema.root
        if not path.exact:
            raise PathError(f"{path}: what is set must be one node; wildcards are for delete")
        return path.schema_node(self._tree.schema) if path.steps else self._tree.schema.root


async def _failed(
    error: Exception, request: pb.SetRequest, operations: Sequence[PathOperation], pace: Pace
) -> Refused:
    """The status of a Set that failed, with what became of each operation (specification, 3.4.7)."""
    refused = error if isinstance(error, Refused) else refusal(error, writing=True)
    if refused.code is Code.ABORTED and request.union_replace:
        refused.code = Code.INTERNAL  # union_replace, 5.2.2: it could not be put in force
    number = refused.operation
    if number is None and isinstance(error, OperationError):
        number = await failed_operation(error, (operation.path for operation in operations), pace)
    if number is not None:
        prefix = request.prefix if request.HasField("prefix") else None
        code, message = refused.code.value[0], refused.message
        refused.details.insert(0, set_response(prefix, Results(request), number, code, message))
    return refused


def _confirmation(commit: Any | None) -> tuple[float | None, str | None]:
    """Seconds until it is undone and the id that confirms it; (None, None) for a commit for good."""
    if commit is None:
        return None, None
    return _seconds(commit.commit.rollback_duration) or 600.0, commit.id


def _seconds(duration: Any) -> float:
    """Of a rollback_duration. Raises Refused."""
    seconds: float = duration.seconds + duration.nanos / 1e9
    if not 0 <= seconds <= 7 * 24 * 3600:
        raise invalid("rollback_duration is at most seven days, and not negative")
    return seconds
