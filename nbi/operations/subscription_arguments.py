"""What establish-subscription and modify-subscription have in common: their parameters become terms."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import replace
from typing import Final

from lxml import etree

from nbi.operations.arguments import Arguments, leaf_text
from nbi.operations.filters import MAX_XPATH
from nbi.protocol.errors import RpcError, bad_element, invalid_value, missing_element
from nbi.protocol.event_filter import EventFilter, subtree_filter
from nbi.protocol.names import DATASTORES_NS, PUSH_NS, SUBSCRIBED_NS, qualified
from nbi.protocol.notification import parse_time
from nbi.protocol.subscription_errors import Structure, subscription_error
from nbi.protocol.xml import serialize
from nbi.subscriptions import STREAM, EventTerms, PushTerms, filters
from nbi.subscriptions.terms import Filter, OnChangeTerms, PeriodicTerms, Terms
from yang.provider import OperationError
from yang.query import Selection
from yang.query.subtree import module_resolver
from yang.tree import Tree

DATASTORE: Final = qualified(PUSH_NS, "datastore")
PERIODIC: Final = qualified(PUSH_NS, "periodic")
ON_CHANGE: Final = qualified(PUSH_NS, "on-change")
STREAM_FILTERS: Final = ("stream-filter-name", "stream-subtree-filter", "stream-xpath-filter")
SELECTION_FILTERS: Final = tuple(
    qualified(PUSH_NS, name)
    for name in ("selection-filter-ref", "datastore-subtree-filter", "datastore-xpath-filter")
)
COMMON: Final = (*STREAM_FILTERS, DATASTORE, *SELECTION_FILTERS, "stop-time", PERIODIC, ON_CHANGE)
MAX_SUBTREE: Final = 65536
"""Octets that a subtree filter may have: it is kept as long as the subscription, and shown in its state."""
_SUBSCRIBABLE: Final = ("running", "operational")
_CHANGES: Final = frozenset({"create", "delete", "insert", "move", "replace"})
_MAX_CENTISECONDS: Final = 0xFFFFFFFF


class SubscriptionArguments:
    """Reads the parameters of one request.

    Args:
        rpc: ``establish`` or ``modify``.
        min_period: hundredths of a second.
    """

    def __init__(self, tree: Tree, arguments: Arguments, rpc: str, min_period: int) -> None:
        self._tree = tree
        self._arguments = arguments
        self._min_period = min_period
        self._stream_error: Structure = (
            "establish-subscription-stream-error-info"
            if rpc == "establish"
            else "modify-subscription-stream-error-info"
        )
        self._push_error: Structure = (
            "establish-subscription-datastore-error-info"
            if rpc == "establish"
            else "modify-subscription-datastore-error-info"
        )

    @property
    def about_datastore(self) -> bool:
        """Whether a parameter of datastores is given."""
        return any(
            self._arguments.element(name) is not None
            for name in (DATASTORE, *SELECTION_FILTERS, PERIODIC, ON_CHANGE)
        )

    @property
    def about_stream(self) -> bool:
        """Whether a parameter of event streams is given."""
        return any(self._arguments.element(name) is not None for name in ("stream", *STREAM_FILTERS))

    def time(self, name: str) -> int | None:
        """A date-and-time in nanoseconds since the epoch."""
        text = self._arguments.text(name)
        if text is None:
            return None
        try:
            return parse_time(text)
        except ValueError:
            raise invalid_value(name, f"<{name}> must be a time as RFC 3339 has it", "application") from None

    def stop_time(self, after: int) -> int | None:
        """The stop time, which must be later than a time."""
        stop = self.time("stop-time")
        if stop is not None and stop <= after:
            raise invalid_value("stop-time", "<stop-time> is too early", "application")
        return stop

    # --- new subscriptions -----------------------------------------------------------------------

    def events(self, *, replayable: bool) -> EventTerms:
        """Terms of a subscription to a stream."""
        stream = self._arguments.required_text("stream")
        if stream != STREAM:
            raise invalid_value(
                "stream", f"this server has no stream {stream}; it has {STREAM}", "application"
            )
        start = self.time("replay-start-time")
        now = time.time_ns()
        if start is not None:
            if not replayable:
                raise subscription_error(
                    self._stream_error, "replay-unsupported", f"stream {stream} has no log"
                )
            if start > now:
                raise invalid_value(
                    "replay-start-time", "<replay-start-time> must not be in the future", "application"
                )
        stop = self.stop_time(now if start is None else start)
        wanted, given = self.stream_filter() or (None, Filter())
        return EventTerms(wanted, start, stop, given)

    def push(self) -> PushTerms:
        """Terms of a subscription to a datastore."""
        datastore = self.datastore()
        trigger = self.trigger()
        if trigger is None:
            raise missing_element("periodic", "application")
        selection, given = self.selection_filter() or (self._tree.select_all(), Filter())
        return PushTerms(datastore, selection, trigger, self.stop_time(time.time_ns()), given)

    # --- changes ---------------------------------------------------------------------------------

    def modified(self, terms: Terms) -> Terms:
        """Terms with what is given; the rest is as it was (RFC 8639 section 2.4.3).

        Raises:
            RpcError: among others, of a stream it is made one of a datastore, or the other way round.
        """
        stop = self.stop_time(time.time_ns())
        if stop is not None:
            terms = replace(terms, stop=stop)
        if isinstance(terms, EventTerms):
            if self.about_datastore:
                raise invalid_value("id", "it is a subscription to an event stream", "application")
            found = self.stream_filter()
            return terms if found is None else replace(terms, wanted=found[0], filter=found[1])
        if self.about_stream:
            raise invalid_value("id", "it is a subscription to a datastore", "application")
        if self._arguments.element(DATASTORE) is not None and self.datastore() != terms.datastore:
            raise invalid_value("datastore", f"it is a subscription to {terms.datastore}", "application")
        selected = self.selection_filter()
        if selected is not None:
            terms = replace(terms, selection=selected[0], filter=selected[1])
        trigger = self.trigger(of=terms.trigger)
        return terms if trigger is None else replace(terms, trigger=trigger)

    # --- filters ---------------------------------------------------------------------------------

    def stream_filter(self) -> tuple[EventFilter, Filter] | None:
        """The filter on events, if one is given."""
        name, subtree, xpath = self._filters(STREAM_FILTERS, self._stream_error)
        if subtree is not None:
            own = deepcopy(subtree)
            return subtree_filter(own), Filter(subtree=_content(own))
        if name is None and xpath is None:
            return None
        expression = (
            self._configured(name, self._stream_error, stream=True)
            if name is not None
            else self._expression(xpath, self._stream_error)
        )
        try:
            return filters.event_filter(self._tree, expression), Filter(name, xpath=expression)
        except ValueError as error:
            raise self._unsupported(self._stream_error, str(error)) from None

    def selection_filter(self) -> tuple[Selection, Filter] | None:
        """The filter on a datastore, if one is given."""
        name, subtree, xpath = self._filters(SELECTION_FILTERS, self._push_error)
        try:
            if subtree is not None:
                return self._tree.select_subtree(subtree), Filter(subtree=_content(subtree))
            if name is None and xpath is None:
                return None
            expression = (
                self._configured(name, self._push_error, stream=False)
                if name is not None
                else self._expression(xpath, self._push_error)
            )
            return filters.selection(self._tree, expression), Filter(name, xpath=expression)
        except OperationError as error:
            raise self._unsupported(self._push_error, error.message) from None

    def _filters(
        self, names: tuple[str, ...], structure: Structure
    ) -> tuple[str | None, etree._Element | None, etree._Element | None]:
        """The one filter of a choice: name of a configured one, subtree, XPath."""
        elements = [self._arguments.element(name) for name in names]
        if sum(element is not None for element in elements) > 1:
            raise bad_element(_local(names[0]), "only one filter can be given", "application")
        name, subtree, xpath = elements
        if subtree is not None and len(serialize(subtree)) > MAX_SUBTREE:
            raise self._unsupported(structure, f"a subtree filter may have {MAX_SUBTREE} octets at most")
        return (None if name is None else leaf_text(name)), subtree, xpath

    def _configured(self, name: str, structure: Structure, *, stream: bool) -> str:
        expression = filters.configured_filter(self._tree, name, stream=stream)
        if expression is None:
            raise self._unsupported(structure, f"there is no configured filter {name}")
        return expression

    def _expression(self, element: etree._Element | None, structure: Structure) -> str:
        """An XPath with module names as prefixes."""
        assert element is not None
        text = leaf_text(element)
        if len(text) > MAX_XPATH:
            raise self._unsupported(structure, f"an XPath may have {MAX_XPATH} characters at most")
        try:
            etree.XPath(text)
        except etree.XPathSyntaxError as error:
            raise self._unsupported(structure, f"{text!r} is not an XPath expression: {error}") from None
        known = module_resolver(self._tree.schema, element)

        def resolve(prefix: str) -> str | None:
            if prefix and prefix not in element.nsmap and self._tree.schema.module(prefix) is not None:
                return prefix
            return known(prefix) if prefix else None

        kind = self._tree.schema.node(
            "/ietf-subscribed-notifications:establish-subscription/input/stream-xpath-filter"
        ).type
        assert kind is not None
        try:
            return str(kind.parse(text, resolve))
        except ValueError as error:
            raise self._unsupported(structure, f"{text!r}: {error}") from None

    @staticmethod
    def _unsupported(structure: Structure, message: str) -> RpcError:
        return subscription_error(structure, "filter-unsupported", message, {"filter-failure-hint": message})

    # --- datastores ------------------------------------------------------------------------------

    def datastore(self) -> str:
        """``running`` or ``operational``."""
        element = self._arguments.required(DATASTORE)
        namespace, name = identity(element)
        if namespace != DATASTORES_NS or name not in _SUBSCRIBABLE:
            raise subscription_error(
                self._push_error,
                "datastore-not-subscribable",
                f"{name} cannot be subscribed to; {' and '.join(_SUBSCRIBABLE)} can",
            )
        return name

    def trigger(
        self, of: PeriodicTerms | OnChangeTerms | None = None
    ) -> PeriodicTerms | OnChangeTerms | None:
        """When updates are sent, if it is given.

        Args:
            of: the trigger that is modified; its kind cannot be.
        """
        periodic, on_change = self._arguments.element(PERIODIC), self._arguments.element(ON_CHANGE)
        if periodic is not None and on_change is not None:
            raise bad_element("on-change", "only one of periodic and on-change can be given", "application")
        if periodic is not None:
            if isinstance(of, OnChangeTerms):
                raise invalid_value("periodic", "it is an on-change subscription", "application")
            return self._periodic(periodic)
        if on_change is None:
            return None
        if isinstance(of, PeriodicTerms):
            raise invalid_value("on-change", "it is a periodic subscription", "application")
        return self._on_change(on_change, of)

    def _periodic(self, element: etree._Element) -> PeriodicTerms:
        own = Arguments(element, "period", "anchor-time")
        own.required("period")
        period = own.number("period", 0, _MAX_CENTISECONDS)
        assert period is not None
        if period < max(1, self._min_period):
            raise subscription_error(
                self._push_error,
                "period-unsupported",
                f"the least period is {self._min_period} hundredths of a second",
                {"period-hint": self._min_period},
            )
        anchor = own.text("anchor-time")
        try:
            return PeriodicTerms(period, None if anchor is None else parse_time(anchor))
        except ValueError:
            raise invalid_value(
                "anchor-time", "<anchor-time> must be a time as RFC 3339 has it", "application"
            ) from None

    def _on_change(self, element: etree._Element, of: OnChangeTerms | None) -> OnChangeTerms:
        rest = deepcopy(element)
        excluded = []
        for child in element.iterchildren(qualified(PUSH_NS, "excluded-change")):
            excluded.append(leaf_text(child))
        for child in list(rest.iterchildren(qualified(PUSH_NS, "excluded-change"))):
            rest.remove(child)
        own = Arguments(rest, "dampening-period", *(() if of else ("sync-on-start",)))
        if of is not None and excluded:
            raise bad_element("excluded-change", "<excluded-change> cannot be modified", "application")
        if not _CHANGES.issuperset(excluded):
            raise invalid_value(
                "excluded-change", f"<excluded-change> is one of {', '.join(sorted(_CHANGES))}", "application"
            )
        dampening = own.number("dampening-period", 0, _MAX_CENTISECONDS)
        if of is not None:
            return of if dampening is None else replace(of, dampening=dampening)
        sync = own.choice("sync-on-start", ("true", "false"))
        return OnChangeTerms(dampening or 0, sync != "false", frozenset(excluded))


def subscription_id(arguments: Arguments) -> int:
    """The parameter id."""
    arguments.required("id")
    identifier = arguments.number("id", 0, 0xFFFFFFFF)
    assert identifier is not None
    return identifier


def identity(element: etree._Element) -> tuple[str, str]:
    """Namespace and name of an identityref; a module's name may stand for its prefix only where it is
    declared."""
    prefix, _, name = leaf_text(element).rpartition(":")
    return element.nsmap.get(prefix or None) or "", name


def check_encoding(arguments: Arguments) -> None:
    """Only encode-xml can be asked for."""
    element = arguments.element("encoding")
    if element is not None and identity(element) != (SUBSCRIBED_NS, "encode-xml"):
        raise subscription_error(
            "establish-subscription-stream-error-info",
            "encoding-unsupported",
            "over NETCONF notifications are XML: encode-xml",
        )


def _content(element: etree._Element) -> str:
    """The children of a filter as XML."""
    return "".join(etree.tostring(child, encoding="unicode", with_tail=False) for child in element)


def _local(tag: str) -> str:
    return etree.QName(tag).localname
