"""What every transport does with the session that it carries."""

from __future__ import annotations

from nbi.link import Link
from nbi.session import NetconfSession


class Carrier:
    """Callbacks that asyncio's protocols and asyncssh's sessions have in common.

    A transport sets `_link` and `_session` when a session begins; before that what arrives is dropped.
    """

    _link: Link | None = None
    _session: NetconfSession | None = None

    def data_received(self, data: bytes, datatype: int | None = None) -> None:  # noqa: ARG002
        """Octets from the client."""
        if self._session is not None:
            self._session.data_received(data)

    def eof_received(self) -> bool:
        """The client has said all; it still gets its answers."""
        if self._session is None:
            return False
        self._session.eof_received()
        return True

    def pause_writing(self) -> None:
        """The transport holds enough for this client."""
        if self._link is not None:
            self._link.pause_writing()

    def resume_writing(self) -> None:
        """The transport takes more."""
        if self._link is not None:
            self._link.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The transport is closed."""
        if self._session is not None:
            self._session.connection_lost()
