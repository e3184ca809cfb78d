"""Requests to change a configuration, as functions from tree to tree; they run in the worker thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from lxml import etree

from yang.access import AccessControl, Context, Rules
from yang.datastore.data import EMPTY, Difference, Tree, check_access, differences, readable
from yang.datastore.edit import Edit, Editor, ValueReader
from yang.datastore.edit_paths import edits_of_operations
from yang.datastore.edit_plain import NotPlain, merge_plain
from yang.datastore.edit_xml import XmlEdits
from yang.datastore.model import PathOperation
from yang.datastore.union import unite
from yang.datastore.validator import Validator
from yang.path import DataPath, PathError, Step
from yang.provider import OperationError, OperationErrors
from yang.schema import Schema, SchemaNode

Change = Callable[[Tree], Tree]


def release(items: list[Any]) -> None:
    """Free what a list holds a few at a time. Freed at once, ten thousands of edits or differences would hold
    up all threads, the event loop's too."""
    while items:
        del items[-256:]


class Edits:
    """Makes changes of requests, and carries them out for a user."""

    def __init__(self, schema: Schema, validator: Validator, access: AccessControl) -> None:
        self._schema = schema
        self._validator = validator
        self._access = access
        self._values = ValueReader(validator.check_value)
        self._named: list[Edit] = []
        self._hiding: Rules | None = None
        self._checked: tuple[Tree, Tree, Rules | None, list[Difference]]
        self.forget()

    def of_xml(
        self,
        config: etree._Element,
        default_operation: str = "merge",
        keep_going: bool = False,
        errors: list[OperationError] | None = None,
    ) -> Change:
        """The change that an edit-config's ``<config>`` asks for.

        Args:
            keep_going: leave out what fails, and append it to `errors`.
        """

        def apply(tree: Tree) -> Tree:
            reader = XmlEdits(self._schema, self._values, keep_going=keep_going)
            editor = Editor(keep_going=keep_going)
            base = EMPTY if default_operation == "replace" else tree
            if default_operation != "none" and not keep_going:
                with suppress(NotPlain, OperationError):  # what is wrong is said below
                    return merge_plain(reader, base, config, self._hiding)
            edits = reader.read(config)
            operation = "merge" if default_operation == "replace" else default_operation
            result = editor.apply(base, edits, operation)
            self._named = list(edits)
            if errors is not None:
                errors.extend((*reader.errors, *editor.errors))
            return result

        return apply

    def of_paths(self, operations: Sequence[PathOperation]) -> Change:
        """The change that operations on paths ask for, one after the other; unions are one operation."""

        def apply(tree: Tree) -> Tree:
            named: list[Edit] = []
            united = [operation for operation in operations if operation.op == "union"]
            for number, operation in enumerate(operations):
                if operation.op == "union" and operation is not united[0]:
                    continue
                try:
                    if operation.op == "union":
                        tree, edits = unite(self._schema, united, self._values, tree)
                    else:
                        edits, default = edits_of_operations(self._schema, operation, self._values, tree)
                        tree = Editor().apply(tree, edits, default)
                except OperationError as error:
                    error.operation = number + (error.operation or 0)
                    raise
                if self._hiding is not None:
                    named.extend(edits)
            self._named = named
            return tree

        return apply

    def carry_out(self, before: Tree, change: Change, rules: Rules, validate: bool) -> Tree:
        """The tree after a change that the rules permit.

        Args:
            validate: check all constraints too.

        Raises:
            OperationError: ``access-denied``, or what is wrong with the change or its result.
        """
        self._named = []
        self._hiding = rules if rules.enabled and not rules.read_everything else None
        with self.concealing(rules, asked=True):
            after = change(before)
        if rules.enabled:
            if self._hiding is not None:
                self._check_guesses(self._named, rules, rules.start)
            self.check_access(before, after, rules)
        release(self._named)
        if validate:
            with self.concealing(rules):
                self._validator.complete(after)
        return after

    def readable(self, tree: Tree, rules: Rules) -> Tree:
        """The tree without what the user may not read: a datastore as the source of a copy."""
        return readable(self._schema.root, tree, rules)

    @contextmanager
    def concealing(self, rules: Rules, *, asked: bool = False) -> Iterator[None]:
        """Errors that would tell what the user may not read say no more than that (RFC 8341 section 3.2.5).

        Args:
            asked: the paths of the errors are those of the request.
        """
        try:
            yield
        except OperationErrors as failure:
            raise OperationErrors([self.concealed(error, rules, asked) for error in failure.errors]) from None
        except OperationError as error:
            raise self.concealed(error, rules, asked) from None

    def concealed(self, error: OperationError, rules: Rules, asked: bool) -> OperationError:
        """The error, or another one in its place that tells nothing of what may not be read."""
        if error.tag == "access-denied" or not error.path or not rules.enabled:
            return error
        try:
            steps = DataPath.parse(error.path).steps
        except PathError:
            return error
        if rules.reads(self._schema.root, steps):
            return error
        if asked and error.tag in ("data-exists", "data-missing"):
            denied = OperationError("access-denied", f"you may not change {error.path}", path=error.path)
            denied.operation = error.operation
            return denied
        if asked and error.app_tag != "missing-instance":
            return error  # about what the request says, not about what is there
        return OperationError(error.tag, "a constraint does not hold at a place that you may not see")

    def _check_guesses(
        self,
        edits: Sequence[Edit],
        rules: Rules,
        context: Context,
        above: tuple[Step, ...] = (),
        seen: bool = True,
    ) -> None:
        """Raise ``access-denied`` for an edit that names what the user may neither read nor write, also where
        it changes nothing: that it does not would tell that the value, or the entry, is the one that was
        guessed (RFC 8341 section 3.2.5)."""
        for edit in edits:
            node, steps = edit.node, (*above, edit.step)
            keys = edit.keys if node.kind == "list" else (edit.value,)
            inner = rules.enter(context, node, keys)
            readable = seen and rules.permits(inner, node, "read")
            tells = not readable and node.kind != "container"
            if tells and not any(rules.permits(inner, node, write) for write in ("update", "create")):
                self._access.denied_data_writes += 1
                path = str(DataPath(steps))
                raise OperationError("access-denied", f"you may not update {path}", path=path)
            self._check_guesses(edit.children, rules, inner, steps, readable)

    def check_access(self, before: Tree, after: Tree, rules: Rules) -> list[Difference]:
        """Raise ``access-denied`` unless all that differs may be changed; what differs."""
        known = self.checked(before, after, rules)
        if known is not None:
            return known
        found = list(differences(self._schema.root, before, after, rules, (), rules.start))
        if not rules.enabled:
            return found
        permitted: set[tuple[SchemaNode, str]] = set()  # leaves, where no rule of a path matches
        try:
            for difference in found:
                op, node, _, context, _, _ = difference
                if not context and (node, op) in permitted:
                    continue
                if node.kind != "leaf" or not rules.permits(context, node, op):
                    check_access(difference, rules)
                elif not context:
                    permitted.add((node, op))
        except OperationError:
            self._access.denied_data_writes += 1
            raise
        self._checked = before, after, rules, found
        return found

    def checked(self, before: Tree, after: Tree, rules: Rules) -> list[Difference] | None:
        """What `check_access` found if this was its last question, as when a commit follows the only edit."""
        last_before, last_after, last_rules, found = self._checked
        same = last_before is before and last_after is after and last_rules is rules
        return found if same else None

    def forget(self) -> None:
        """Let go of what was compared last."""
        self._checked = (EMPTY, EMPTY, None, [])
