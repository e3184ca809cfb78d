"""The schema as plain Python: what every other part of `yang` works with.

`yang.datastore.context` builds it once from libyang; nothing here, and nothing that uses it, knows
libyang. Nodes compare by identity and live as long as the `Schema`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from yang.path import Step
from yang.types import LeafType

Kind = Literal[
    "root",
    "container",
    "list",
    "leaf",
    "leaf-list",
    "anydata",
    "rpc",
    "action",
    "input",
    "output",
    "notification",
]

DATA_KINDS: Final = frozenset({"container", "list", "leaf", "leaf-list", "anydata"})


@dataclass(slots=True, eq=False, repr=False)
class SchemaNode:
    """A node of the schema tree, choices and cases flattened away.

    Attributes:
        kind: container, list, leaf, leaf-list, anydata (anyxml too), rpc, action, notification, the
            ``input`` and ``output`` of the former two, or ``root``.
        name: YANG name; ``input`` and ``output`` have these names.
        module: name of the module whose namespace the node is in (the augmenting one).
        namespace: its XML namespace.
        prefix: the prefix that this module gives itself.
        config: False for state; False below rpc, action and notification.
        keys: names of a list's keys, in order; empty for a list without keys.
        is_key: True for a leaf that is a key of its list.
        mandatory: as the YANG statement says.
        presence: True for a container whose existence means something.
        user_ordered: ordered-by user.
        defaults: default values, at most one for a leaf, as Python values.
        units: the YANG units, or "".
        type: of a leaf or leaf-list, else None.
        max_elements: of a list or leaf-list, None when unbounded.
        description: the YANG description.
        reference: the YANG reference, or "".
        cases: choices that the node is in, outermost first: (identity of the choice, name of the case).
        deny_all, deny_write: nacm:default-deny-all and nacm:default-deny-write of the node or an ancestor.
        secret: a leaf or leaf-list of text that says nacm:default-deny-all itself, and is not a hash already:
            files hold it sealed (`yang.sealing`).
        parent: None for the root.
        children: by qualified name (module, name), in schema order.
        path: ``/module:a/b/module2:c``: a module is named where it differs from the parent's.
    """

    kind: Kind
    name: str
    module: str
    namespace: str
    prefix: str
    config: bool = True
    keys: tuple[str, ...] = ()
    is_key: bool = False
    mandatory: bool = False
    presence: bool = False
    user_ordered: bool = False
    defaults: tuple[object, ...] = ()
    units: str = ""
    type: LeafType | None = None
    max_elements: int | None = None
    description: str = ""
    reference: str = ""
    cases: tuple[tuple[str, str], ...] = ()
    deny_all: bool = False
    deny_write: bool = False
    secret: bool = False
    parent: SchemaNode | None = None
    children: dict[tuple[str, str], SchemaNode] = field(default_factory=dict)
    path: str = ""
    json_name: str = ""
    """RFC 7951 member name: ``module:name`` where the module differs from the parent's, else the name."""
    attr: str = ""
    """Attribute of a provider's record: the name with ``-`` and ``.`` written ``_``."""
    step: Step | None = None
    """Path step without keys; `yang.datastore.data.plain_step` makes it when it is needed first."""
    _key_nodes: tuple[SchemaNode, ...] | None = None
    _by_name: dict[str, SchemaNode | None] = field(default_factory=dict)
    _by_json: dict[str, SchemaNode] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.path or '/'}>"

    def add(self, child: SchemaNode) -> None:
        """Append a child; used while the schema is built."""
        child.parent = self
        own = self.kind != "root" and self.module == child.module
        child.json_name = child.name if own else f"{child.module}:{child.name}"
        child.attr = child.name.replace("-", "_").replace(".", "_")
        child.path = f"{self.path}/{child.json_name}"
        # libyang hands the statement on to what is inside: a secret is what is denied by itself
        child.secret = child.secret and not self.deny_all
        child.deny_all = child.deny_all or self.deny_all
        child.deny_write = child.deny_write or self.deny_write
        self.children[child.module, child.name] = child
        self._by_json.clear()
        self._by_name[child.name] = None if child.name in self._by_name else child

    def child(self, name: str, module: str | None = None) -> SchemaNode | None:
        """The child of that name, or None.

        Without a module: the child of this node's module, else the only child of that name.
        """
        if module:
            return self.children.get((module, name))
        return self.children.get((self.module, name)) or self._by_name.get(name)

    def child_json(self, name: str) -> SchemaNode | None:
        """The child with this RFC 7951 member name (``name`` or ``module:name``), or None."""
        known = self._by_json.get(name)
        if known is not None:
            return known
        module, colon, rest = name.partition(":")
        child = self.child(rest, module) if colon else self.child(name)
        if child is not None:  # what is not there may be anything that a request names: it is not kept
            self._by_json[name] = child
        return child

    @property
    def data_children(self) -> Iterator[SchemaNode]:
        """Children that data trees hold: no operations, no notifications."""
        return (child for child in self.children.values() if child.kind in DATA_KINDS)

    @property
    def key_nodes(self) -> tuple[SchemaNode, ...]:
        """The leaves that are this list's keys, in order."""
        if self._key_nodes is None:
            self._key_nodes = tuple(self.children[self.module, name] for name in self.keys)
        return self._key_nodes

    @property
    def is_leaf(self) -> bool:
        """True for a leaf or a leaf-list."""
        return self.type is not None

    @property
    def chain(self) -> tuple[SchemaNode, ...]:
        """From the top-level node down to this one, without the root."""
        nodes: list[SchemaNode] = []
        node: SchemaNode | None = self
        while node is not None and node.kind != "root":
            nodes.append(node)
            node = node.parent
        return tuple(reversed(nodes))

    def walk(self) -> Iterator[SchemaNode]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children.values():
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the YANG library.

    Attributes:
        revision: ``YYYY-MM-DD`` or "".
        implemented: False when it is only imported.
        features: those that are enabled.
        organization, version: as gNMI Capabilities wants them; version is the revision.
        text: the YANG source, for get-schema.
        submodules: name → revision.
    """

    name: str
    revision: str
    namespace: str
    prefix: str
    implemented: bool
    features: tuple[str, ...] = ()
    organization: str = ""
    text: str = field(default="", repr=False)
    submodules: Mapping[str, str] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()


class Schema:
    """All modules, and the tree of their data nodes, operations and notifications."""

    def __init__(self, root: SchemaNode, modules: tuple[Module, ...], content_id: str) -> None:
        self.root = root
        self.modules = modules
        self.content_id = content_id
        """Changes whenever the set of modules, revisions or features does (RFC 8525)."""
        self._modules = {module.name: module for module in modules}
        self._namespaces = {module.namespace: module.name for module in modules}
        self._nodes = {node.path: node for node in root.walk()}

    def node(self, path: str) -> SchemaNode:
        """The node with this canonical schema path.

        Raises:
            KeyError: there is none.
        """
        return self._nodes[path]

    def find(self, path: str) -> SchemaNode | None:
        """As `node`, but None when there is none."""
        return self._nodes.get(path)

    def module(self, name: str) -> Module | None:
        """The module of that name, or None."""
        return self._modules.get(name)

    def module_of_namespace(self, namespace: str) -> str | None:
        """Name of the module with this XML namespace, or None."""
        return self._namespaces.get(namespace)

    def namespace_of(self, module: str) -> str | None:
        """XML namespace of a module, or None."""
        found = self._modules.get(module)
        return found.namespace if found else None
