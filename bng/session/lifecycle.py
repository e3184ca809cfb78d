"""Handlers of the transition table: how a session begins, lives on, and ends."""

from __future__ import annotations

from bng.codec.address import NO_IP
from bng.seam.clock import NS
from bng.session import effects as fx
from bng.session.authorization import Authorization
from bng.session.base import Ending, Tombstone, tombstone_key
from bng.session.events import Counters, Timer
from bng.session.records import Binding, Session, counters_event, to_event
from bng.session.states import Input

_SESSION_TIMERS = (
    Timer.LEASE,
    Timer.INTERIM,
    Timer.AUTH_RETRY,
    Timer.SESSION_TIMEOUT,
    Timer.IDLE_TIMEOUT,
)
_ID_EPOCH_MS = 1_735_689_600_000  # 2025-01-01: 40 bits of milliseconds from here reach into 2059


class Lifecycle(Authorization):
    """Sessions and what happens to them. `Machine` tells it in the vocabulary of the table."""

    # birth

    def bind(self, binding: Binding) -> None:
        """An access line got its address: start its session as soon as those in its way are gone."""
        binding.waits = {
            other.id
            for other in (self.store.on_line(binding.line), self.store.with_ip(binding.ip_address))
            if other is not None
        }
        if not binding.waits:
            self._start(binding)
            return
        self._starting[binding.line] = binding
        for session_id in tuple(binding.waits):
            other = self.store.get(session_id)
            assert other is not None
            lines = self._waiting.setdefault(session_id, [])
            if binding.line not in lines:
                lines.append(binding.line)
            if other.line == binding.line:
                reason = f"replaced by {binding.ip_address} of {binding.mac_address}"
            else:
                reason = f"address bound to {binding.line.remote_id} {binding.line.circuit_id}"
            self.fire(other, Input.REPLACED, Ending("NAS-Request", reason))

    def _start(self, binding: Binding) -> None:
        twin = next((s for s in self.store.with_mac(binding.mac_address) if s.line != binding.line), None)
        if twin is not None:
            binding.reason = f"hardware address also on {twin.line.remote_id} {twin.line.circuit_id}"
            self._log("warning", "session.duplicate-mac", mac=binding.mac_address, other=twin.id)
        try:
            slot, generation = self.store.slots.take()
        except LookupError:
            self._log("warning", "session.no-slot", ip=binding.ip_address)
            return
        session = Session(
            self._new_id(), self.settings.bng_id, binding, routed=self._is_routed(binding), now=self._now
        )
        session.slot, session.generation = slot, generation
        self.store.add(session)
        self.tombstones.pop(binding.line, None)
        self._out.append(fx.CancelTimer(Timer.TOMBSTONE, tombstone_key(binding.line)))
        self.started_total += 1
        self.fire(session, Input.BOUND, binding.reason)

    def _is_routed(self, binding: Binding) -> bool:
        router = self.settings.routers.get(binding.line.remote_id)
        return router.routed if router is not None else binding.gateway != NO_IP

    def _new_id(self) -> str:
        """40 bits of time, 24 of a sequence that began at random: unique across restarts."""
        self._sequence = (self._sequence + 1) & 0xFFFFFF
        milliseconds = (self._now // 1_000_000 - _ID_EPOCH_MS) & 0xFFFFFFFFFF
        return f"{milliseconds:010x}{self._sequence:06x}"

    def on_bound(self, session: Session, reason: str) -> None:
        self._journal(session, "session-start", reason)
        self._arm_lease(session)
        self._ask(session)

    # lease

    def on_renewed(self, session: Session, binding: Binding) -> None:
        session.naks = 0
        session.lease_expiry_ns = binding.lease_expiry
        session.server = binding.server
        self._journal(session, "session-update")
        self._arm_lease(session)

    def on_renewed_ask(self, session: Session, binding: Binding) -> None:
        self.on_renewed(session, binding)
        self._ask(session)

    def on_naked(self, session: Session, _detail: None) -> None:
        session.naks += 1

    def _arm_lease(self, session: Session) -> None:
        if session.lease_expiry_ns is None:
            self._out.append(fx.CancelTimer(Timer.LEASE, session.id))
        else:
            self._out.append(fx.SetTimer(Timer.LEASE, session.id, session.lease_expiry_ns))

    # life

    def on_idle(self, session: Session, since: int) -> None:
        session.idle_since = since
        self._journal(session, "session-update")
        self._arm_idle(session)

    def on_traffic(self, session: Session, _detail: None) -> None:
        session.idle_since = 0
        self._out.append(fx.CancelTimer(Timer.IDLE_TIMEOUT, session.id))
        self._journal(session, "session-update")

    def on_interim(self, session: Session, _detail: None) -> None:
        self._account(session, fx.AccountKind.INTERIM, None)
        self._arm_interim(session)
        self._follow_nat(session)

    # end

    def on_revoked(self, session: Session, reason: str) -> None:
        """Refused when asked again: its accounting ends, the lease goes on as a session that starts
        without rights and is asked for in its turn."""
        binding = Binding(
            session.line,
            session.mac_address,
            session.ip_address,
            session.interface,
            session.gateway,
            session.server,
            session.lease_expiry_ns,
        )
        binding.waits = {session.id}
        self._starting[session.line] = binding
        self._waiting.setdefault(session.id, []).append(session.line)
        self.on_end(session, Ending("Service-Unavailable", reason))

    def on_end(self, session: Session, ending: Ending) -> None:
        session.ending = (ending.cause, ending.reason, ending.tombstone)
        if ending.token:
            session.tokens = (ending.token,)
        self._out.extend(fx.CancelTimer(timer, session.id) for timer in _SESSION_TIMERS)
        if session.line not in self._starting:
            self.relay.forget(session.line)
        if session.enforcing:
            self._out.append(self._stop_effect(session))
        else:
            self.fire(session, Input.STOPPED, Counters())

    def on_disconnect_again(self, session: Session, ending: Ending) -> None:
        assert session.ending is not None
        cause, reason, tombstone = session.ending
        session.ending = (cause, reason, tombstone or ending.tombstone)
        if ending.token:
            session.tokens = (*session.tokens, ending.token)

    def on_stopped(self, session: Session, counters: Counters) -> None:
        assert session.ending is not None
        cause, reason, tombstone = session.ending
        event = to_event(session, "session-stop", reason)
        event["terminate-cause"] = cause
        event["counters"] = counters_event(counters)
        if tombstone and self.settings.tombstone_ttl:
            until = self._now + self.settings.tombstone_ttl * NS
            event["_tombstone_until"] = until
            self._starting.pop(session.line, None)
            self.relay.forget(session.line)
            self.tombstones[session.line] = Tombstone(until, session.mac_address, session.ip_address)
            self._out.append(fx.SetTimer(Timer.TOMBSTONE, tombstone_key(session.line), until))
        self._out.append(fx.Journal(event))
        if session.authorized_ns:
            self._account(session, fx.AccountKind.STOP, counters, cause)
        self._release_nat(session)
        self.store.remove(session)
        self._ended[session.line] = self._now
        self._ended.move_to_end(session.line)
        if len(self._ended) > self.settings.max_sessions:
            self._ended.popitem(last=False)
        for token in session.tokens:
            self._answer(token)
        self._start_waiting(session.id)

    def _start_waiting(self, session_id: str) -> None:
        for line in self._waiting.pop(session_id, ()):
            binding = self._starting.get(line)
            if binding is None:
                continue
            binding.waits.discard(session_id)
            if not binding.waits:
                del self._starting[line]
                self._start(binding)
