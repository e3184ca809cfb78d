"""Handlers of the transition table: how a session begins, lives on, and ends."""

from __future__ import annotations

from bng.codec.address import NO_IP
from bng.codec.dhcp import MessageType
from bng.seam.clock import NS
from bng.session import effects as fx
from bng.session.authorization import Authorization
from bng.session.base import Ending, Tombstone, tombstone_key
from bng.session.events import Counters, Timer
from bng.session.moves import Moves
from bng.session.records import Binding, Session, counters_event, to_event
from bng.session.relay import Exchange
from bng.session.states import Input, State

_SESSION_TIMERS = (
    Timer.LEASE,
    Timer.INTERIM,
    Timer.AUTH_RETRY,
    Timer.SESSION_TIMEOUT,
    Timer.IDLE_TIMEOUT,
)
_ID_EPOCH_MS = 1_735_689_600_000  # 2025-01-01: 40 bits of milliseconds from here reach into 2059


class Lifecycle(Authorization, Moves):
    """Sessions and what happens to them. `Machine` tells it in the vocabulary of the table."""

    # birth

    def bind(self, binding: Binding) -> None:
        """An access line got its address: start its session as soon as those in its way are gone."""
        line = binding.line
        others = self.elsewhere(line, binding.mac_address, binding.client_id)
        keeper = self.keeper(*others, self.held_elsewhere(line, binding.ip_address))
        if self.settings.port_move == "deny" and keeper is not None:
            self.fire_pending(Input.DENIED, (binding, keeper))
            return
        # in this order, so that a recording gives the same again
        in_the_way = [self.store.on_line(line), self.store.with_ip(binding.ip_address)]
        in_the_way += others if binding.asked else []
        waits = {other.id: other for other in in_the_way if other is not None}
        if not waits:
            self._start(binding)
            return
        binding.waits = set(waits)
        self._starting[line] = binding
        for session_id in waits:
            lines = self._waiting.setdefault(session_id, [])
            if line not in lines:
                lines.append(line)
        for other in waits.values():
            self._make_way(other, binding)

    def _make_way(self, other: Session, binding: Binding) -> None:
        if other.state is State.TERMINATING:
            return
        if other.line != binding.line:
            same = other.mac_address == binding.mac_address
            self.move(other, binding.line, "device is" if same else "address bound")
            return
        if other.mac_address != binding.mac_address:
            self.relay.devices.hold(other.line, other.mac_address, other.lease_expiry_ns, self._now)
        reason = f"replaced by {binding.ip_address} of {binding.mac_address}"
        self.fire(other, Input.REPLACED, Ending("NAS-Request", reason))

    def _start(self, binding: Binding) -> None:
        twins = self.elsewhere(binding.line, binding.mac_address, b"")
        if twins:
            line = twins[0].line
            binding.reason = f"hardware address also on {line.remote_id} {line.circuit_id}"
            self._log("warning", "session.duplicate-mac", mac=binding.mac_address, other=twins[0].id)
        try:
            slot, generation = self.store.slots.take()
        except LookupError:
            self.fire_pending(Input.NO_SLOT, binding)
            return
        session = Session(
            self._new_id(), self.settings.bng_id, binding, routed=self._is_routed(binding), now=self._now
        )
        session.slot, session.generation = slot, generation
        session.renewed_ns = binding.renewed or self._now
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

    def on_expired(self, exchange: Exchange) -> None:
        """Nobody answered, or the client did not take what was offered."""
        wants = exchange.request in (MessageType.DISCOVER, MessageType.REQUEST)
        if wants and self.store.on_line(exchange.line) is None:
            self.failures["no-address"] += 1

    def on_denied(self, denied: tuple[Binding, Session]) -> None:
        """The server gave it away all the same, or what was waited for went to another line."""
        binding, holder = denied
        self.failures["move-denied"] += 1
        self.deny_move(holder, binding.line, binding.mac_address)

    def on_no_slot(self, binding: Binding) -> None:
        self.failures["no-slot"] += 1
        self._log("warning", "session.no-slot", ip=binding.ip_address)

    def on_bound(self, session: Session, reason: str) -> None:
        self._journal(session, "session-start", reason)
        self._arm_lease(session)
        self._ask(session)

    # lease

    def on_renewed(self, session: Session, binding: Binding) -> None:
        session.naks = 0
        session.lease_expiry_ns = binding.lease_expiry
        session.server = binding.server
        if binding.asked:
            session.relay_agent = binding.relay_agent or session.relay_agent
            self.store.reindex_client(session, binding.client_id)
        session.renewed_ns = binding.renewed or self._now
        self._journal(session, "session-update", binding.reason)
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
        binding.client_id, binding.relay_agent = session.client_id, session.relay_agent
        binding.renewed = session.renewed_ns
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
                self.bind(binding)  # what was in the way is gone, something else may have come
