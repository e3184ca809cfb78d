"""Reading the parameters of an RPC: what does not belong there gets the error of RFC 6241 appendix A."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lxml import etree

from nbi.protocol.errors import (
    RpcError,
    bad_element,
    invalid_value,
    missing_element,
    unknown_attribute,
    unknown_element,
)
from nbi.protocol.names import BASE_NS, qualified, split_tag

DATASTORES = ("running", "candidate", "startup")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration comes from or goes to: name of a datastore, a ``config`` element given inline, or
    a url (`given` is its element then).
    """

    given: str | etree._Element
    url: str | None = None


class Arguments:
    """The children of an operation, each allowed at most once.

    Args:
        operation: the operation's element.
        allowed: names of its parameters; a name without ``{namespace}`` is of the operation's own.
        repeated: names of those that may be given several times; they are in `elements`.

    Raises:
        RpcError: unknown-element, unknown-attribute, bad-element (a parameter that is given twice).
    """

    def __init__(self, operation: etree._Element, *allowed: str, repeated: Collection[str] = ()) -> None:
        self.operation = operation
        self._namespace = split_tag(str(operation.tag))[0]
        tags = {self._tag(name) for name in allowed}
        many: dict[str, list[etree._Element]] = {self._tag(name): [] for name in repeated}
        self._many = many
        self._given: dict[str, etree._Element] = {}
        reject_attributes(operation)
        reject_text(operation)
        for child in operation:
            tag = str(child.tag)
            if tag == "config":
                # ncclient sends a config without its namespace as it is, and Ansible's manual writes it so
                tag = self._tag(tag)
            if tag in many:
                many[tag].append(child)
                continue
            if tag not in tags:
                raise unknown_element(child)
            if tag in self._given:
                raise bad_element(split_tag(tag)[1], f"<{split_tag(tag)[1]}> is given twice")
            self._given[tag] = child

    def _tag(self, name: str) -> str:
        return name if name.startswith("{") else qualified(self._namespace, name)

    def element(self, name: str) -> etree._Element | None:
        """The parameter's element, or None."""
        return self._given.get(self._tag(name))

    def elements(self, name: str) -> list[etree._Element]:
        """The elements of a parameter that may be given several times."""
        return self._many[self._tag(name)]

    def required(self, name: str) -> etree._Element:
        """The parameter's element; missing-element if it is not given."""
        element = self.element(name)
        if element is None:
            raise missing_element(split_tag(self._tag(name))[1])
        return element

    def flag(self, name: str) -> bool:
        """Whether an empty parameter is given."""
        element = self.element(name)
        if element is None:
            return False
        reject_attributes(element)
        if len(element) or (element.text or "").strip():
            local = split_tag(name)[1]
            raise bad_element(local, f"<{local}> must be empty")
        return True

    def text(self, name: str) -> str | None:
        """A simple parameter's value without the white space around it, or None."""
        element = self.element(name)
        return None if element is None else leaf_text(element)

    def required_text(self, name: str) -> str:
        """A simple parameter's value; missing-element if it is not given."""
        return leaf_text(self.required(name))

    def number(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds, or None; invalid-value otherwise."""
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) <= high):
            local = split_tag(name)[1]
            raise invalid_value(local, f"<{local}> must be a number from {low} to {high}")
        return int(text)

    def choice(self, name: str, values: Collection[str]) -> str | None:
        """One of the values, or None; invalid-value otherwise."""
        text = self.text(name)
        if text is not None and text not in values:
            local = split_tag(name)[1]
            raise invalid_value(local, f"<{local}> must be one of {', '.join(sorted(values))}")
        return text

    def datastore(self, name: str) -> str:
        """Name of the datastore in ``source`` or ``target``: ``running``, ``candidate`` or ``startup``."""
        return str(self.source(name, inline=False).given)

    def source(self, name: str, *, inline: bool = True, url: bool = False) -> Source:
        """A datastore, or (with `inline`) a ``config`` element, or (with `url`) a url.

        Raises:
            RpcError: missing-element, unknown-element, bad-element; operation-not-supported for a url where
                none may be.
        """
        parent = self.required(name)
        reject_attributes(parent)
        children = list(parent)
        if len(children) != 1:
            raise bad_element(name, f"<{name}> must hold exactly one datastore")
        child = children[0]
        namespace, local = split_tag(str(child.tag))
        if namespace != BASE_NS:
            raise unknown_element(child)
        if local == "url":
            if not url:
                raise RpcError("operation-not-supported", f"the {name} of this operation cannot be a url")
            return Source(child, leaf_text(child))
        if local == "config" and inline:
            return Source(child)
        if local not in DATASTORES:
            raise unknown_element(child)
        if len(child) or (child.text or "").strip():
            raise bad_element(local, f"<{local}> must be empty")
        return Source(local)


def leaf_text(element: etree._Element) -> str:
    """Text of an element that may have neither attributes nor children."""
    reject_attributes(element)
    if len(element):
        raise unknown_element(element[0])
    return (element.text or "").strip()


def reject_attributes(element: etree._Element, *allowed: str) -> None:
    """Raise unknown-attribute for any attribute that is not allowed."""
    for name in element.attrib:
        if str(name) not in allowed:
            raise unknown_attribute(element, str(name))


def reject_text(element: etree._Element) -> None:
    """Raise bad-element where text stands between the children of an element that has children only."""
    tails = (child.tail for child in element)
    if any(text and text.strip() for text in (element.text, *tails)):
        name = split_tag(str(element.tag))[1]
        raise bad_element(name, f"<{name}> must not hold text")
