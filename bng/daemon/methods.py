"""What management may ask of control over the command socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bng.daemon.insight import insight
from bng.seam.clock import date_and_time
from bng.seam.command import Method
from bng.session import events as ev
from bng.version import version
from yang.provider import OperationError

if TYPE_CHECKING:
    from bng.daemon.control import Control

_SESSION = "/aether-subscriber:sessions/session"
_MakeEvent = Callable[[list[Any], Mapping[str, Any], int], ev.Event]


def _disconnect(keys: list[Any], given: Mapping[str, Any], token: int) -> ev.Event:
    return ev.Disconnect(token, keys[0], given.get("reason", ""))


def _reauthenticate(keys: list[Any], _given: Mapping[str, Any], token: int) -> ev.Event:
    return ev.Reauthenticate(token, keys[0])


def _set_profile(keys: list[Any], given: Mapping[str, Any], token: int) -> ev.Event:
    return ev.SetPolicy(token, keys[0], profile=given["profile"])


def _disconnect_sessions(_keys: list[Any], given: Mapping[str, Any], token: int) -> ev.Event:
    return ev.DisconnectMatching(
        token, given.get("remote-id"), given.get("profile"), given.get("username"), given.get("reason", "")
    )


OPERATIONS: Mapping[str, _MakeEvent] = {
    f"{_SESSION}/disconnect": _disconnect,
    f"{_SESSION}/reauthenticate": _reauthenticate,
    f"{_SESSION}/set-profile": _set_profile,
    "/aether-subscriber:disconnect-sessions": _disconnect_sessions,
}


END_SERVICE = "/aether-bng:end-service"


class Methods:
    """The methods of the command socket."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def table(self) -> dict[str, Method]:
        """Name → method, for `CommandServer`."""
        return {
            "hello": self.hello,
            "config.prepare": self.prepare,
            "config.commit": self.commit,
            "config.abort": self.abort,
            "invoke": self.invoke,
            **insight(self._control.witness),
        }

    async def hello(self, _params: dict[str, Any]) -> dict[str, Any]:
        """Who control is, and all that it pushes as of now."""
        control = self._control
        return {
            "instance_id": control.instance_id,
            "bng_id": control.config.bng_id,
            "version": version(),
            "started": date_and_time(control.started_ns),
            "config_digest": control.configuration.digest,
            "newest_seq": control.journal.durable,
            "health": control.last_health,
            "routers": control.routers.records(),
        }

    async def prepare(self, params: dict[str, Any]) -> dict[str, Any]:
        """``units``, and ``replace`` when they are the whole configuration."""
        token = self._control.configuration.prepare(
            params.get("units") or {}, replace=bool(params.get("replace"))
        )
        return {"token": token}

    async def commit(self, params: dict[str, Any]) -> None:
        await self._control.configuration.commit(params.get("token", 0))

    async def abort(self, params: dict[str, Any]) -> None:
        self._control.configuration.abort(params.get("token", 0))

    async def invoke(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """Carry out an RPC or an action of the model."""
        if params.get("path") == END_SERVICE:
            reason = (params.get("input") or {}).get("reason", "")
            ended = await self._control.accounting.end_service(self._control.writer, reason)
            return {"disconnected": ended}
        make = OPERATIONS.get(params.get("path", ""))
        if make is None:
            raise OperationError("operation-not-supported", f"no operation {params.get('path')!r}")
        keys, given = params.get("keys") or [], params.get("input") or {}
        output = await self._control.writer.command(lambda token: make(keys, given, token))
        return None if output is None else dict(output)
