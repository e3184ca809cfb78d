"""What error-info says of conflicts between running and a private candidate (draft-ietf-netconf-privcand).

The draft asks for a list of paths and values, and names no elements; these are netopeer2's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lxml import etree

from nbi.protocol.names import PRIVATE_CANDIDATE_NS, qualified
from nbi.protocol.paths import instance_identifier_to_xpath
from nbi.protocol.xml import new_element


class Conflict(Protocol):
    """A node that both sides have changed; see `yang.datastore.merge.Conflict`."""

    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def running(self) -> str | None: ...
    @property
    def candidate(self) -> str | None: ...


def add_conflict(parent: etree._Element, conflict: Conflict, namespaces: Mapping[str, str]) -> etree._Element:
    """A ``conflict`` element below error-info; the texts are those of its children."""
    element = new_element(
        qualified(PRIVATE_CANDIDATE_NS, "conflict"), {None: PRIVATE_CANDIDATE_NS}, parent=parent
    )
    xpath, nsmap = instance_identifier_to_xpath(conflict.path, namespaces)
    new_element(qualified(PRIVATE_CANDIDATE_NS, "xpath"), nsmap, parent=element).text = xpath
    for name, text in (
        ("conflict-type", conflict.kind),
        ("value-running", conflict.running),
        ("value-candidate", conflict.candidate),
    ):
        if text is not None:
            etree.SubElement(element, qualified(PRIVATE_CANDIDATE_NS, name)).text = text
    return element
