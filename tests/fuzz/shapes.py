"""Hostile variants of XML that stay XML: elements move, attributes lie, namespaces are others.

Octets that are changed one by one end in a parser nearly always; these inputs get past it, to what reads
elements. One in ten is changed as octets all the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from copy import deepcopy

from lxml import etree

from nbi.protocol.names import BASE_NS
from tests.fuzz.mutate import MAX_LENGTH, Mutator

_YANG = "urn:ietf:params:xml:ns:yang:1"
_DEFAULTS = "urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults"
_NMDA = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
_OPERATIONS = ("merge", "replace", "create", "delete", "remove", "none", "explode", "")
_ATTRIBUTES: tuple[tuple[str, Sequence[str]], ...] = (
    (f"{{{BASE_NS}}}operation", _OPERATIONS),
    (f"{{{BASE_NS}}}operation", _OPERATIONS),
    ("operation", _OPERATIONS),
    (f"{{{_YANG}}}insert", ("first", "last", "before", "after", "nowhere")),
    (f"{{{_YANG}}}key", ("[name='gold']", "[h:name='gold']", "[", "")),
    (f"{{{_YANG}}}value", ("gold", "")),
    (f"{{{_DEFAULTS}}}default", ("true", "false", "1", "perhaps")),
    ("type", ("xpath", "subtree", "XPATH", "")),
    ("message-id", ("", "1", "x" * 300, "<&>'\"")),
    ("{http://www.w3.org/XML/1998/namespace}lang", ("en", "")),
    ("{urn:nowhere}a", ("b",)),
    ("select", ("/", "//*", "/h:shaping-profiles/h:profile", "count(//*)")),
)
_STEPS = (
    *("h:shaping-profiles", "h:profile", "h:name", "s:sessions", "s:session", "s:id", "s:counters", "b:bng"),
    *("b:aaa", "b:server", "b:secret", "*", "..", ".", "text()", "node()", "@x", "h:*", "nothing", "z:x"),
)
_CALLS = (
    *(
        "position()",
        "last()",
        "count(//*)",
        "name()",
        "string(.)",
        "string-length(.) > 2",
        "not(*)",
        "1",
        "0",
    ),
    *(
        "h:name='gold'",
        "s:status='active'",
        "s:id='0000000000000001'",
        "current()/../h:name",
        "-1",
        "1 div 0",
    ),
    *("deref(.)", "contains(., 'o')", "re-match(., '(a*)*b')", "sum(//h:rate)", "true()", "id('x')", "$x"),
    *("derived-from(., 'x')", "enum-value(.)", "bit-is-set(., 'x')", "substring(., -1, 1e309)", "'"),
)


class Shapes:
    """Makes inputs of seeds, which are XML.

    Args:
        seeds: good messages.
        words: text and names to put in the place of others.
        generator: where chance comes from.
    """

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes], generator: random.Random) -> None:
        self._random = generator
        self._octets = Mutator(seeds, words, generator, xml=True)
        self._seeds = [etree.fromstring(seed) for seed in seeds]
        self._pool = [element for seed in self._seeds for element in seed.iterdescendants()]
        self._namespaces = sorted({etree.QName(element).namespace or "" for element in self._pool})
        self._names = sorted({etree.QName(element).localname for element in self._pool})
        self._texts = [word.decode() for word in words] + [element.text or "" for element in self._pool]
        self._ways: list[Callable[[etree._Element], None]] = [
            *[self._graft] * 4,
            *[self._text] * 4,
            *[self._attribute] * 3,
            *[self._xpath] * 2,
            self._remove,
            self._twice,
            self._swap,
            self._move,
            self._rename,
            self._namespace,
            self._wrap,
            self._mixed,
            self._many,
        ]

    def next(self) -> bytes:
        """The next input: a seed with one to eight changes."""
        chance = self._random
        if chance.random() < 0.1:
            return self._octets.next()
        root = deepcopy(chance.choice(self._seeds))
        for _ in range(min(8, int(chance.expovariate(0.6)) + 1)):
            chance.choice(self._ways)(root)
        data = etree.tostring(root, encoding="UTF-8")
        return data if len(data) <= MAX_LENGTH else self._octets.next()

    def _any(self, root: etree._Element) -> etree._Element:
        """An element below the root; the root itself where it is alone, and now and then."""
        found = [element for element in root.iter() if isinstance(element.tag, str)]
        below = found[1:] if len(found) > 1 and self._random.random() < 0.97 else found
        return self._random.choice(below or [root])

    def _other(self) -> etree._Element:
        return deepcopy(self._random.choice(self._pool))

    def _graft(self, root: etree._Element) -> None:
        """An element of a seed, in the place of one, beside it, or in it."""
        old, new = self._any(root), self._other()
        parent, where = old.getparent(), self._random.randrange(3)
        if where == 0 or parent is None:
            old.insert(self._random.randrange(len(old) + 1), new)
        elif where == 1:
            parent.replace(old, new)
        else:
            old.addnext(new)

    def _text(self, root: etree._Element) -> None:
        leaves = [element for element in root.iter() if not len(element) and isinstance(element.tag, str)]
        element = self._random.choice(leaves) if leaves and self._random.random() < 0.8 else self._any(root)
        element.text = self._random.choice(self._texts)

    def _attribute(self, root: etree._Element) -> None:
        element = self._any(root)
        if element.attrib and self._random.random() < 0.4:
            name = self._random.choice(sorted(element.attrib))
            if self._random.random() < 0.5:
                del element.attrib[name]
            else:
                element.set(name, self._random.choice(self._texts))
            return
        name, values = self._random.choice(_ATTRIBUTES)
        element.set(name, self._random.choice((*values, self._random.choice(self._texts))))

    def _xpath(self, root: etree._Element) -> None:
        """Another expression in the place of one."""
        places = [e for e in root.iter() if isinstance(e.tag, str) and _has_xpath(e)]
        if not places:
            self._text(root)
            return
        element, expression = self._random.choice(places), self._expression()
        if "select" in element.attrib:
            element.set("select", expression)
        else:
            element.text = expression

    def _expression(self) -> str:
        chance = self._random
        text = ""
        for _ in range(chance.randrange(1, 6)):
            text += chance.choice(("/", "/", "/", "//", " | /", "/ancestor::", "/following-sibling::"))
            text += chance.choice(_STEPS)
            while chance.random() < 0.3:
                text += f"[{chance.choice(_CALLS)}{chance.choice(('', ' and ', ' or ', '=', ' < '))}" + (
                    f"{chance.choice(_CALLS)}]" if chance.random() < 0.9 else ""
                )
        return text

    def _remove(self, root: etree._Element) -> None:
        element = self._any(root)
        if (parent := element.getparent()) is not None:
            parent.remove(element)

    def _twice(self, root: etree._Element) -> None:
        element = self._any(root)
        if element.getparent() is not None:
            element.addnext(deepcopy(element))

    def _swap(self, root: etree._Element) -> None:
        parent = self._any(root)
        if len(parent) > 1:
            parent.append(parent[self._random.randrange(len(parent))])

    def _move(self, root: etree._Element) -> None:
        element, target = self._any(root), self._any(root)
        if element is not root and element not in (target, *target.iterancestors()):
            target.append(element)

    def _rename(self, root: etree._Element) -> None:
        element = self._any(root)
        element.tag = etree.QName(etree.QName(element).namespace, self._random.choice(self._names)).text

    def _namespace(self, root: etree._Element) -> None:
        """An element, or all below it too, is of another module, of none, or of one that nobody knows."""
        element = self._any(root)
        namespace = self._random.choice((*self._namespaces, None, "urn:nowhere", BASE_NS, _NMDA))
        deep = self._random.random() < 0.5
        for each in element.iter() if deep else (element,):
            if isinstance(each.tag, str):
                each.tag = etree.QName(namespace or None, etree.QName(each).localname).text

    def _wrap(self, root: etree._Element) -> None:
        """An element inside of itself, some or very many times."""
        element = self._any(root)
        for _ in range(self._random.choice((1, 2, 60, 300))):
            around = etree.Element(element.tag, nsmap=element.nsmap)
            around.extend(list(element))
            element[:] = [around]

    def _mixed(self, root: etree._Element) -> None:
        """Comments, processing instructions, and text between elements."""
        element = self._any(root)
        kind = self._random.randrange(4)
        if kind == 0:
            element.insert(0, etree.Comment("a comment"))
        elif kind == 1:
            element.insert(0, etree.ProcessingInstruction("pi", "x"))
        elif element is not root:
            element.tail = self._random.choice(self._texts)
        else:
            element.text = " \n"

    def _many(self, root: etree._Element) -> None:
        """An element by the hundred, each with another text somewhere, or all alike."""
        element = self._any(root)
        alike = self._random.random() < 0.3
        for number in range(self._random.choice((20, 100, 300)) if element is not root else 0):
            copy = deepcopy(element)
            leaf = next((e for e in copy.iter() if not len(e)), copy)
            if not alike and isinstance(leaf.tag, str):
                leaf.text = f"{leaf.text or ''}{number}"
            copy.tail = None
            element.addnext(copy)


def _has_xpath(element: etree._Element) -> bool:
    return (
        "select" in element.attrib
        or etree.QName(element).localname in ("select", "path")
        or (etree.QName(element).localname.endswith("xpath-filter"))
    )
