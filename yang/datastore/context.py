"""libyang's context, and the Python schema that is made from it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import libyang
from _libyang import ffi, lib

from yang.datastore.limits import limits_of, patterns_of
from yang.datastore.sources import module_files, own_dir, standard_dirs
from yang.datastore.submodules import find_module, find_submodules
from yang.schema import Kind, Module, Schema, SchemaNode
from yang.types import LeafType

_KINDS: Final[dict[int, Kind]] = {
    lib.LYS_CONTAINER: "container",
    lib.LYS_LIST: "list",
    lib.LYS_LEAF: "leaf",
    lib.LYS_LEAFLIST: "leaf-list",
    lib.LYS_ANYDATA: "anydata",
    lib.LYS_ANYXML: "anydata",
    lib.LYS_RPC: "rpc",
    lib.LYS_ACTION: "action",
    lib.LYS_INPUT: "input",
    lib.LYS_OUTPUT: "output",
    lib.LYS_NOTIF: "notification",
}
# Text with prefixes although its built-in type is string.
_PREFIXED_TYPEDEFS: Final = frozenset({"node-instance-identifier", "xpath1.0"})
# libyang's own helpers, which are no part of what the element serves.
_INTERNAL_MODULES: Final = frozenset({"ietf-yang-schema-mount", "ietf-yang-structure-ext", "yang"})
_PASSWORD_HASH: Final = "iana-crypt-hash:crypt-hash"  # noqa: S105 - a type's name
_IDENTITY: Final = re.compile(r"^\s*identity\s+([A-Za-z_][\w.-]*)", re.MULTILINE)
_UNBOUNDED: Final = (0, 0xFFFFFFFF)

# The binding switches the path of errors off when it is imported; rpc-error needs it.
lib.ly_set_log_clb(ffi.NULL, True)


def load_context(extra_dirs: Sequence[Path] = ()) -> libyang.Context:
    """A context with all modules.

    Raises:
        ValueError: a module does not compile; the message is libyang's.
    """
    search = ":".join(str(path) for path in (*standard_dirs(), own_dir(), *extra_dirs))
    # compiled at the end, all at once: a deviation takes effect before what it removes asks for more modules
    context = libyang.Context(search, explicit_compile=True)
    for path, features in module_files(extra_dirs):
        try:
            with path.open() as file:
                context.parse_module_file(file, features=list(features) or None)
        except libyang.LibyangError as error:
            raise ValueError(f"{path.name}: {error}") from error
    try:
        context.compile_schema()  # type: ignore[no-untyped-call]
    except libyang.LibyangError as error:
        raise ValueError(f"the modules do not compile: {error}") from error
    return context


class SchemaBuilder:
    """Makes a `Schema` of a context; used once.

    Args:
        folders: where the context's modules are, besides the folders that every context has.
    """

    def __init__(self, context: libyang.Context, folders: Sequence[Path] = ()) -> None:
        self._context = context
        self._folders = (*folders, own_dir(), *standard_dirs())
        self._identities: list[str] = []
        self._choices = 0

    def build(self) -> Schema:
        """The schema of all implemented modules."""
        cmodules = list(self._modules())
        modules = tuple(self._module(cmodule) for cmodule in cmodules)
        self._identities = [
            f"{module.name}:{name}" for module in modules for name in _IDENTITY.findall(module.text)
        ]
        root = SchemaNode("root", "", "", "", "")
        for cmodule in cmodules:
            if cmodule.implemented and cmodule.compiled != ffi.NULL:
                top = lib.lys_getnext(ffi.NULL, ffi.NULL, cmodule.compiled, 0)
                while top != ffi.NULL:
                    self._add(root, top, ())
                    top = lib.lys_getnext(top, ffi.NULL, cmodule.compiled, 0)
        return Schema(root, modules, _content_id(modules))

    def _modules(self) -> Iterator[Any]:
        index = ffi.new("uint32_t *")
        while (cmodule := lib.ly_ctx_get_module_iter(self._context.cdata, index)) != ffi.NULL:
            if _text(cmodule.name) not in _INTERNAL_MODULES:
                yield cmodule

    def _module(self, cmodule: Any) -> Module:
        wrapped = libyang.schema.Module(self._context, cmodule)
        # libyang tells the file of those modules only that it has found by itself
        text = find_module(_text(cmodule.name), _text(cmodule.revision), self._folders)
        text = text or str(wrapped.print_mem("yang"))
        submodules = find_submodules(text, self._folders)
        return Module(
            name=_text(cmodule.name),
            revision=_text(cmodule.revision),
            namespace=_text(cmodule.ns),
            prefix=_text(cmodule.prefix),
            implemented=bool(cmodule.implemented),
            features=tuple(feature.name() for feature in wrapped.features() if feature.state()),
            organization=" ".join(_text(cmodule.org).split()),
            text=text,
            deviations=tuple(sorted(_text(other.name) for other in _array(cmodule.deviated_by))),
            submodules={name: revision for name, (revision, _) in submodules.items()},
            submodule_texts={name: source for name, (_, source) in submodules.items()},
        )

    # --- nodes -----------------------------------------------------------------------------------

    def _add_siblings(self, parent: SchemaNode, first: Any, cases: tuple[tuple[str, str], ...]) -> None:
        node = ffi.cast("struct lysc_node *", first)
        while node != ffi.NULL:
            self._add(parent, node, cases)
            node = node.next

    def _add(self, parent: SchemaNode, cnode: Any, cases: tuple[tuple[str, str], ...]) -> None:
        if cnode.nodetype == lib.LYS_CHOICE:
            self._choices += 1
            choice = f"{_text(cnode.name)}#{self._choices}"
            case = lib.lysc_node_child(cnode)
            while case != ffi.NULL:
                inside = (*cases, (choice, _text(case.name)))
                self._add_siblings(parent, lib.lysc_node_child(case), inside)
                case = case.next
            return
        kind = _KINDS[cnode.nodetype]
        node = self._node(kind, cnode, cases)
        parent.add(node)
        if kind in ("rpc", "action"):
            for end in ("input", "output"):
                self._add_end(node, cnode, end)
        elif kind in ("container", "list", "notification"):
            self._add_siblings(node, lib.lysc_node_child(cnode), ())
            self._add_siblings(node, lib.lysc_node_actions(cnode), ())
            self._add_siblings(node, lib.lysc_node_notifs(cnode), ())
            node.keys = tuple(child.name for child in node.children.values() if child.is_key)

    def _node(self, kind: Kind, cnode: Any, cases: tuple[tuple[str, str], ...]) -> SchemaNode:
        flags = cnode.flags
        extensions = (
            {
                (extension.module().name(), extension.name())
                for extension in libyang.schema.SNode.new(self._context, cnode).extensions()
                if extension.module() is not None
            }
            if cnode.exts != ffi.NULL
            else set()
        )
        node = SchemaNode(
            kind,
            _text(cnode.name),
            _text(cnode.module.name),
            _text(cnode.module.ns),
            _text(cnode.module.prefix),
            config=bool(flags & lib.LYS_CONFIG_W),
            mandatory=bool(flags & lib.LYS_MAND_TRUE),
            description=_text(cnode.dsc),
            reference=_text(cnode.ref),
            cases=cases,
            deny_all=("ietf-netconf-acm", "default-deny-all") in extensions,
            deny_write=("ietf-netconf-acm", "default-deny-write") in extensions,
        )
        if kind in ("leaf", "leaf-list"):
            self._complete_leaf(node, cnode)
        elif kind == "list":
            clist = ffi.cast("struct lysc_node_list *", cnode)
            node.user_ordered = bool(flags & lib.LYS_ORDBY_USER)
            node.max_elements = None if clist.max in _UNBOUNDED else clist.max
        elif kind == "container":
            node.presence = bool(flags & lib.LYS_PRESENCE)
        return node

    def _add_end(self, operation: SchemaNode, cnode: Any, end: str) -> None:
        wrapped = libyang.schema.SRpc(self._context, cnode)
        inout = wrapped.input() if end == "input" else wrapped.output()
        kind: Kind = "input" if end == "input" else "output"
        node = SchemaNode(kind, end, operation.module, operation.namespace, operation.prefix, config=False)
        operation.add(node)
        if inout is not None:
            self._add_siblings(node, lib.lysc_node_child(inout.cdata), ())

    def _complete_leaf(self, node: SchemaNode, cnode: Any) -> None:
        wrapped: Any = libyang.schema.SNode.new(self._context, cnode)
        node.type = self._type(wrapped.type(), node.module, cnode)
        node.secret = node.deny_all and _is_text(node.type) and node.type.typedef != _PASSWORD_HASH
        # A password's hash is a secret, though RFC 7317 only protects it from being written.
        node.deny_all = node.deny_all or node.type.typedef == _PASSWORD_HASH
        node.units = wrapped.units() or ""
        if node.kind == "leaf":
            node.is_key = bool(cnode.flags & lib.LYS_KEY)
            node.secret = node.secret and not node.is_key
            values = ffi.cast("struct lysc_node_leaf *", cnode).dflt
            texts = [_canonical(self._context, values)] if values != ffi.NULL else []
        else:
            cleaflist = ffi.cast("struct lysc_node_leaflist *", cnode)
            node.user_ordered = bool(cnode.flags & lib.LYS_ORDBY_USER)
            node.max_elements = None if cleaflist.max in _UNBOUNDED else cleaflist.max
            texts = [_canonical(self._context, value) for value in _array(cleaflist.dflts)]
        node.defaults = tuple(node.type.parse(text) for text in texts)

    # --- types -----------------------------------------------------------------------------------

    def _type(self, wrapped: Any, home: str, cnode: Any) -> LeafType:
        name = wrapped.name()
        typedef = self._typedef(wrapped, name, home)
        leafref = ""
        while wrapped.base() == libyang.Type.LEAFREF:
            leafref = leafref or wrapped.leafref_path() or ""
            wrapped = wrapped.leafref_type()
        cdata, base = wrapped.cdata, wrapped.basename()
        base = "instance-identifier" if base == "instance-id" else base
        enums: dict[str, int] = {}
        if base == "enumeration":
            enums = {enum.name(): enum.value() for enum in wrapped.enums()}
        elif base == "bits":
            enums = {bit.name(): bit.position() for bit in wrapped.bits()}
        identities: frozenset[str] = frozenset()
        if base == "identityref":
            identities = self._identities_of(cnode)
        members: tuple[LeafType, ...] = ()
        if base == "union":
            members = tuple(self._type(member, home, cnode) for member in wrapped.union_types())
        digits = 0
        if base == "decimal64":
            digits = ffi.cast("struct lysc_type_dec *", cdata).fraction_digits
        return LeafType(
            base=base,
            typedef=typedef,
            enums=enums,
            range=wrapped.range() or wrapped.length() or "",
            fraction_digits=digits,
            members=members,
            identities=identities,
            leafref=leafref,
            limits=limits_of(cdata),
            patterns=patterns_of(cdata),
            prefixed=base == "instance-identifier" or name.rpartition(":")[2] in _PREFIXED_TYPEDEFS,
        )

    def _typedef(self, wrapped: Any, name: str, home: str) -> str:
        if name in libyang.Type.BASENAMES.values() or name == "instance-identifier":
            return ""
        prefix, _, local = name.rpartition(":")
        module = wrapped.module()
        if not prefix:
            return f"{module.name() if module is not None else home}:{local}"
        imported = module.get_module_from_prefix(prefix) if module is not None else None
        return f"{imported.name() if imported is not None else module.name()}:{local}"

    def _identities_of(self, cnode: Any) -> frozenset[str]:
        """The identities that libyang accepts here (the binding does not show how they derive)."""
        found = set()
        for identity in self._identities:
            text = identity.encode()
            status = lib.lyd_value_validate(
                self._context.cdata, cnode, text, len(text), ffi.NULL, ffi.NULL, ffi.NULL
            )
            if status in (lib.LY_SUCCESS, lib.LY_EINCOMPLETE):
                found.add(identity)
        lib.ly_err_clean(self._context.cdata, ffi.NULL)
        return frozenset(found)


def _is_text(kind: LeafType) -> bool:
    return kind.base in ("string", "binary") or any(_is_text(member) for member in kind.members)


def _content_id(modules: Sequence[Module]) -> str:
    """A hash of what a client has to know of the modules, in whatever order they are (RFC 8525)."""
    text = "\n".join(
        f"{m.name}@{m.revision} {m.implemented} {sorted(m.features)} {sorted(m.submodules.items())} "
        f"{sorted(m.deviations)}"
        for m in sorted(modules, key=lambda module: module.name)
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _text(value: Any) -> str:
    return ffi.string(value).decode() if value != ffi.NULL else ""


def _canonical(context: libyang.Context, value: Any) -> str:
    return _text(lib.lyd_value_get_canonical(context.cdata, value))


def _array(array: Any) -> Iterator[Any]:
    """Elements of one of libyang's sized arrays (its length is in front of it)."""
    if array != ffi.NULL:
        for index in range(ffi.cast("uint64_t *", array)[-1]):
            yield array[index]
