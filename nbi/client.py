"""The OSS's side of NETCONF: a small client on ncclient.

All methods block. An asyncio caller runs them with `asyncio.to_thread`. A `NetconfClient` may be used from
several threads: its requests are carried out one after the other. Locks and the candidate belong to the
session, not to a thread, so that a sequence such as lock, edit, commit, unlock needs a client that no
other thread uses meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from lxml import etree
from ncclient import NCClientError, manager
from ncclient.operations import RPCError, TimeoutExpiredError
from ncclient.transport.errors import AuthenticationError

from nbi.protocol.names import (
    BASE_NS,
    CONFIGURATION_NS,
    NOTIFICATION_NS,
    YANG_NS,
    qualified,
)
from nbi.requests import (
    Xml,
    XPath,
    add,
    add_datastore,
    add_filter,
    add_with_defaults,
    as_element,
    new_operation,
    xpath_filter,
)


class NetconfError(Exception):
    """A request that failed, or could not be made.

    Attributes:
        message: a sentence for a person.
        tag: error-tag of the rpc-error, None when the server never answered.
        path: error-path as the server wrote it, or None.
        app_tag: error-app-tag, or None.
        errors: all rpc-errors of the reply, this one first.
    """

    def __init__(
        self, message: str, *, tag: str | None = None, path: str | None = None, app_tag: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.tag = tag
        self.path = path
        self.app_tag = app_tag
        self.errors: list[NetconfError] = [self]


class NetconfConnectionError(NetconfError):
    """No session could be made, or it was lost; the client is of no further use."""


class NetconfAuthenticationError(NetconfConnectionError):
    """The server refused user name or password."""


class NetconfTimeout(NetconfConnectionError):
    """No answer in time. What became of the request is unknown; the session is closed."""


@dataclass(frozen=True, slots=True)
class ReceivedNotification:
    """A notification: its eventTime as written, and its content."""

    event_time: str
    content: etree._Element


class NetconfClient:
    """One NETCONF session; a context manager that closes it. Made by `connect`."""

    def __init__(self, session: Any) -> None:
        self._manager = session
        self._busy = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether the session stands, as far as this side knows."""
        return bool(self._manager.connected)

    @property
    def session_id(self) -> int:
        """The number that the server gave to this session."""
        return int(self._manager.session_id)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """URIs that the server named in its hello."""
        return tuple(self._manager.server_capabilities)

    def close(self) -> None:
        """End the session; never raises."""
        with suppress(Exception):
            self._manager.close_session()

    # -- reading

    def get(
        self,
        subtree: Xml | None = None,
        *,
        xpath: XPath | None = None,
        with_defaults: str | None = None,
    ) -> etree._Element:
        """Configuration and state: the ``data`` element of the reply.

        Args:
            subtree: content of a subtree filter (one element); everything when None.
            xpath: an XPath filter instead.
            with_defaults: a mode of RFC 6243.
        """
        operation = new_operation("get")
        add_filter(operation, subtree, xpath)
        add_with_defaults(operation, with_defaults)
        return self._data(operation)

    def get_config(
        self,
        subtree: Xml | None = None,
        *,
        xpath: XPath | None = None,
        source: str = "running",
        with_defaults: str | None = None,
    ) -> etree._Element:
        """The configuration in a datastore: the ``data`` element of the reply."""
        operation = new_operation("get-config")
        add_datastore(operation, "source", source)
        add_filter(operation, subtree, xpath)
        add_with_defaults(operation, with_defaults)
        return self._data(operation)

    # -- writing

    def edit_candidate(
        self, config: Xml, *, default_operation: str = "merge", error_option: str = "rollback-on-error"
    ) -> None:
        """Change the candidate; nothing is in force until `commit`.

        Args:
            config: one top-level element of the model, or a ``config`` element with several.
            default_operation: ``merge``, ``replace`` or ``none``.
            error_option: ``stop-on-error``, ``continue-on-error`` or ``rollback-on-error``.
        """
        operation = new_operation("edit-config")
        add_datastore(operation, "target", "candidate")
        add(operation, "default-operation", default_operation)
        add(operation, "error-option", error_option)
        content = as_element(config)
        if content.tag != qualified(BASE_NS, "config"):
            wrapped = etree.Element(qualified(BASE_NS, "config"))
            wrapped.append(content)
            content = wrapped
        operation.append(content)
        self.rpc(operation)

    def validate(self, source: str = "candidate") -> None:
        """Check the configuration in a datastore."""
        operation = new_operation("validate")
        add_datastore(operation, "source", source)
        self.rpc(operation)

    def commit(
        self,
        *,
        confirmed: bool = False,
        confirm_timeout: int | None = None,
        persist: str | None = None,
        persist_id: str | None = None,
        comment: str = "",
    ) -> None:
        """Make the candidate the running configuration.

        Args:
            confirmed: take it back unless a further commit comes in time.
            confirm_timeout: that time in seconds; 600 when None.
            persist: a token that lets another session confirm.
            persist_id: the token of the confirmed commit that this one confirms or extends.
            comment: for the history; for elements that have the module aether-configuration.
        """
        operation = new_operation("commit")
        if confirmed:
            etree.SubElement(operation, qualified(BASE_NS, "confirmed"))
        if confirm_timeout is not None:
            add(operation, "confirm-timeout", str(confirm_timeout))
        if persist is not None:
            add(operation, "persist", persist)
        if persist_id is not None:
            add(operation, "persist-id", persist_id)
        if comment:
            etree.SubElement(operation, qualified(CONFIGURATION_NS, "comment")).text = comment
        self.rpc(operation)

    def cancel_commit(self, persist_id: str | None = None) -> None:
        """Take back a confirmed commit at once."""
        operation = new_operation("cancel-commit")
        if persist_id is not None:
            add(operation, "persist-id", persist_id)
        self.rpc(operation)

    def discard(self) -> None:
        """Make the candidate equal to running again."""
        self.rpc(new_operation("discard-changes"))

    def lock(self, target: str = "candidate") -> None:
        """Lock a datastore for this session."""
        operation = new_operation("lock")
        add_datastore(operation, "target", target)
        self.rpc(operation)

    def unlock(self, target: str = "candidate") -> None:
        """Release the lock on a datastore."""
        operation = new_operation("unlock")
        add_datastore(operation, "target", target)
        self.rpc(operation)

    @contextmanager
    def locked(self, target: str = "candidate") -> Iterator[None]:
        """Hold the lock on a datastore for the time of a ``with`` block."""
        self.lock(target)
        try:
            yield
        finally:
            # A lost session has lost its locks; what it was lost by is the error to report.
            with suppress(NetconfConnectionError):
                self.unlock(target)

    # -- everything else

    def action(self, content: Xml) -> etree._Element:
        """Run a YANG 1.1 action: the ``rpc-reply`` element, with the output as its children.

        Args:
            content: from the top-level node down to the action, with list keys and input.
        """
        operation = etree.Element(qualified(YANG_NS, "action"), nsmap={None: YANG_NS})  # type: ignore[dict-item]
        operation.append(as_element(content))
        return self.rpc(operation)

    def rpc(self, operation: Xml) -> etree._Element:
        """Send any operation: the ``rpc-reply`` element.

        Raises:
            NetconfError: the server answered with rpc-error.
            NetconfTimeout: no answer within the timeout given to `connect`.
            NetconfConnectionError: the session is gone.
        """
        request = as_element(operation)
        with self._busy:
            try:
                reply = self._manager.dispatch(request)
            except RPCError as error:
                raise _from_rpc_error(error) from None
            except TimeoutExpiredError:
                self._drop()
                raise NetconfTimeout("the server did not answer in time") from None
            except (NCClientError, OSError, EOFError) as error:
                self._drop()
                raise NetconfConnectionError(f"the session was lost: {error}") from None
        return etree.fromstring(reply.xml.encode(), _reply_parser())

    def subscribe(
        self,
        *,
        stream: str = "NETCONF",
        start_time: str | None = None,
        stop_time: str | None = None,
        xpath: XPath | None = None,
    ) -> None:
        """Ask for notifications (RFC 5277); times are RFC 3339, a start in the past replays."""
        operation = etree.Element(qualified(NOTIFICATION_NS, "create-subscription"))
        etree.SubElement(operation, qualified(NOTIFICATION_NS, "stream")).text = stream
        if xpath is not None:
            operation.append(xpath_filter(NOTIFICATION_NS, xpath))
        for name, text in (("startTime", start_time), ("stopTime", stop_time)):
            if text is not None:
                etree.SubElement(operation, qualified(NOTIFICATION_NS, name)).text = text
        self.rpc(operation)

    def next_notification(self, timeout: float | None = None) -> ReceivedNotification | None:
        """The next notification, or None when none came within `timeout` seconds."""
        received = self._manager.take_notification(timeout=timeout)
        if received is None:
            return None
        root = received.notification_ele
        event_time = root.findtext(qualified(NOTIFICATION_NS, "eventTime")) or ""
        return ReceivedNotification(event_time, root[-1])

    def _data(self, operation: etree._Element) -> etree._Element:
        data = self.rpc(operation).find(qualified(BASE_NS, "data"))
        if data is None:
            raise NetconfError("the server's reply has no data")
        return data

    def _drop(self) -> None:
        with suppress(Exception):
            self._manager._session.close()


def connect(
    host: str,
    port: int = 830,
    *,
    username: str,
    password: str | None = None,
    key_filename: str | None = None,
    host_key: str | None = None,
    timeout: float = 30.0,
) -> NetconfClient:
    """Open a NETCONF session over SSH.

    Args:
        password: for password authentication.
        key_filename: a private key, tried before the password.
        host_key: the server's public key in base64; any key is accepted when None.
        timeout: seconds for connecting, and for the answer to each request.

    Raises:
        NetconfAuthenticationError: the server refused the user.
        NetconfConnectionError: the server cannot be reached or does not speak NETCONF.
    """
    try:
        session = manager.connect_ssh(
            host=host,
            port=port,
            username=username,
            password=password,
            key_filename=key_filename,
            timeout=timeout,
            hostkey_verify=host_key is not None,
            hostkey_b64=host_key,
            allow_agent=False,
            look_for_keys=False,
            manager_params={"timeout": timeout},
        )
    except AuthenticationError:
        raise NetconfAuthenticationError(f"{host}:{port} refused user {username}") from None
    except Exception as error:  # paramiko and ncclient let many kinds through, none more telling
        raise NetconfConnectionError(f"cannot connect to {host}:{port}: {error}") from None
    # Replies come from our own elements and may be larger than the parser's limit for strangers.
    session.huge_tree = True
    return NetconfClient(session)


def _reply_parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)


def _from_rpc_error(error: RPCError) -> NetconfError:
    listed = [_one_error(item) for item in error.errlist or [error]]
    listed[0].errors = listed
    return listed[0]


def _one_error(error: RPCError) -> NetconfError:
    def text(value: str | None) -> str | None:
        return value.strip() if value else None

    return NetconfError(
        text(error.message) or f"the server answered {error.tag}",
        tag=text(error.tag),
        path=text(error.path),
        app_tag=text(error.app_tag),
    )
