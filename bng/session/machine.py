"""The session machine: events in, effects out.

A pure function but for the state it holds: no I/O, no clock, no randomness, so a recording of its
events gives the same effects again. `handle` never raises on what came from the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bng.codec.address import NO_IP
from bng.codec.dhcp import DhcpPacket, MessageType
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import policy as policies
from bng.session.base import Ending, Granted, Outcome, Tombstone, line_of
from bng.session.commands import Commands
from bng.session.nat import NatAllocator, NatPool
from bng.session.records import AccessLine, Binding, Session, from_event, lease_deadline
from bng.session.relay import Drop, Exchange
from bng.session.settings import Profile, Settings
from bng.session.states import Input, State

_ENDINGS = {
    ev.Timer.LEASE: (Input.LEASE_EXPIRED, Ending("Lost-Carrier", "lease expired")),
    ev.Timer.SESSION_TIMEOUT: (Input.SESSION_TIMEOUT, Ending("Session-Timeout", "session timeout")),
    ev.Timer.IDLE_TIMEOUT: (Input.IDLE_TIMEOUT, Ending("Idle-Timeout", "idle timeout")),
}
_DUE = {ev.Timer.INTERIM: Input.INTERIM_DUE, ev.Timer.AUTH_RETRY: Input.RETRY_DUE}
_RESTORABLE = (State.AUTHORIZING, State.ACTIVE, State.IDLE, State.REJECTED)


class Machine(Commands):
    """All sessions of one BNG.

    Args:
        settings: configuration in force.
        profiles: shaping profiles by name.
        sequence: where the sequence in session ids begins, 0 to 2²⁴-1; random at each start.
        now: nanoseconds since the epoch; later than any `now` of an earlier machine of this BNG.
    """

    def __init__(
        self,
        settings: Settings,
        profiles: Mapping[str, Profile] | None = None,
        *,
        sequence: int = 0,
        now: int = 0,
    ) -> None:
        super().__init__(settings, profiles or {}, sequence=sequence, now=now)
        self._pending_deadline: int | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.DhcpFromSubscriber: self._from_subscriber,
            ev.DhcpFromServer: self._from_server,
            ev.RadiusAccept: self._accepted,
            ev.RadiusReject: self._rejected,
            ev.RadiusUnanswered: self._unanswered,
            ev.Enforced: self._enforced,
            ev.SessionIdle: self._idle,
            ev.SessionTraffic: self._traffic,
            ev.TimerDue: self._timer_due,
            ev.Disconnect: self._disconnect,
            ev.DisconnectMatching: self._disconnect_matching,
            ev.Reauthenticate: self._reauthenticate,
            ev.SetPolicy: self._set_policy,
            ev.ProfileChanged: self._profile_changed,
            ev.SettingsChanged: self._settings_changed,
            ev.LeaseFound: self._lease_found,
        }

    def handle(self, event: ev.Event, now: int) -> list[fx.Effect]:
        """Take one event in. Returns what is to be done, in order."""
        self._now = now
        out: list[fx.Effect] = []
        self._out = out
        self._handlers[type(event)](event)
        return out

    def restore(
        self, records: Iterable[Mapping[str, Any]], tombstones: Mapping[str, int], now: int
    ) -> list[fx.Effect]:
        """Take over the sessions of the journal after a restart. Restored is not started: nothing is
        journaled and no accounting starts. Timers are set again; who was not authorised is asked for.

        Args:
            records: the last event of each session, as `bng.seam.sessions` folds them.
            tombstones: ``remote-id circuit-id`` → nanoseconds, until when renewals stay away.
        """
        self._now = now
        out: list[fx.Effect] = []
        self._out = out
        for record in records:
            try:
                self._restore(from_event(record))
            except (KeyError, TypeError, ValueError) as error:
                self._log("warning", "session.not-restored", record=dict(record), error=repr(error))
        for session in self.store:
            if session.enforcing:
                self._follow_nat(session)
        for key, until in tombstones.items():
            line = line_of(key)
            if until > now and self.store.on_line(line) is None:
                self.tombstones[line] = Tombstone(until)
                out.append(fx.SetTimer(ev.Timer.TOMBSTONE, key, until))
        return out

    def _restore(self, session: Session) -> None:
        if session.state not in _RESTORABLE:
            raise ValueError(f"a session that is {session.state.value} is not kept")
        if self.store.get(session.id) is not None:
            raise ValueError("there twice")
        self.store.slots.adopt(session.slot, session.generation)
        self.store.add(session)
        if session.nat is not None:
            self.nat.adopt(session.nat)
        self._arm_lease(session)
        if session.state in (State.AUTHORIZING, State.REJECTED):
            self._ask(session)
            return
        session.enforcing = True
        self._arm_interim(session, session.spread())
        self._arm_session(session)
        session.idle_since = self._now if session.state is State.IDLE else 0
        self._arm_idle(session)

    def reinforce(self, session_id: str) -> list[fx.Effect]:
        """What makes the data plane hold a session that forwards and that the kernel lost; empty when
        there is no such session. Its `events.Enforced` is handled as a change of policy."""
        session = self.store.get(session_id)
        if session is None or session.state not in (State.ACTIVE, State.IDLE) or session.policy is None:
            return []
        return [self.start_effect(session, session.policy)]

    # DHCP

    def _from_subscriber(self, event: ev.DhcpFromSubscriber) -> None:
        try:
            line, relay_agent = self.relay.classify(event, self._now)
            self._out.append(fx.RouterSeen(line.remote_id, event.packet.giaddr, event.interface))
            ending = self._judge(event.packet, line)
        except Drop as drop:
            self._dropped(str(drop))
            return
        try:
            self._out.extend(self.relay.forward(event, line, relay_agent, self._now))
        except Drop as drop:
            self._dropped(str(drop))
        session = self.store.on_line(line)
        if ending is not None and session is not None:
            what = Input.RELEASED if ending.cause == "User-Request" else Input.DECLINED
            self.fire(session, what, ending)
        self._arm_pending()

    def _judge(self, packet: DhcpPacket, line: AccessLine) -> Ending | None:
        """Whether a request may go on (else Drop), and whether it ends the session."""
        if packet.message_type in (MessageType.RELEASE, MessageType.DECLINE):
            return self._judge_ending(packet, line)
        session = self.store.on_line(line)
        if session is None and line not in self._starting:
            router = self.settings.routers.get(line.remote_id)
            if router is not None and not router.in_service:
                raise Drop("access-router-down")
            if self.store.full:
                raise Drop("max-sessions")
        if line in self.tombstones:
            # only who begins anew comes back: a DISCOVER, and the REQUEST that selects an offer
            selecting = packet.message_type == MessageType.REQUEST and packet.server_id != NO_IP
            if packet.message_type != MessageType.DISCOVER and not selecting:
                raise Drop("tombstone")
            del self.tombstones[line]
        return None

    def _judge_ending(self, packet: DhcpPacket, line: AccessLine) -> Ending | None:
        """RELEASE and DECLINE count only from the device that holds the address, on its own line."""
        release = packet.message_type == MessageType.RELEASE
        address = packet.ciaddr if release else packet.requested_address
        held = self._starting.get(line) or self.store.on_line(line) or self.tombstones.get(line)
        if held is None or (held.mac_address, held.ip_address) != (packet.mac_address, address):
            raise Drop("not-the-holder")
        self._starting.pop(line, None)
        if release:
            return Ending("User-Request", "released")
        return Ending("Lost-Service", "address declined: in use by another device")

    def _from_server(self, event: ev.DhcpFromServer) -> None:
        packet = event.packet
        try:
            exchange = self.relay.match(event, self._now)
            binding = self._binding_of(event, exchange)
        except Drop as drop:
            self._dropped(str(drop))
            return
        self._out.append(self.relay.backward(packet, exchange))
        if packet.message_type == MessageType.NAK:
            self._nak(exchange.line, packet)
        elif packet.message_type == MessageType.ACK:
            self.relay.done(packet, exchange)
            self._arm_pending()
            if binding is not None:
                self._acknowledged(binding)

    def _binding_of(self, event: ev.DhcpFromServer, exchange: Exchange) -> Binding | None:
        """What an ACK binds; None for other packets and for the answer to an INFORM."""
        packet = event.packet
        if packet.message_type != MessageType.ACK or exchange.request == MessageType.INFORM:
            return None
        if packet.yiaddr == NO_IP:
            raise Drop("ack-without-address")
        if self.store.full and self.store.on_line(exchange.line) is None:
            raise Drop("max-sessions")
        return Binding(
            exchange.line,
            packet.mac_address,
            packet.yiaddr,
            exchange.interface,
            exchange.giaddr,
            event.server,
            lease_deadline(packet.lease_time, self._now),
        )

    def _acknowledged(self, binding: Binding) -> None:
        if self._starting.pop(binding.line, None) is not None:
            self.bind(binding)  # the session before is still ending, and is waited for again
            return
        session = self.store.on_line(binding.line)
        if session is None or not binding.renews(session) or not self.fire(session, Input.RENEWED, binding):
            self.bind(binding)

    def _nak(self, line: AccessLine, packet: DhcpPacket) -> None:
        session = self.store.on_line(line)
        if session is None or session.mac_address != packet.mac_address:
            return
        naks = session.naks + 1
        if naks < self.settings.nak_threshold:
            self.fire(session, Input.NAKED)
        else:
            self.fire(session, Input.NAK_LIMIT, Ending("Lost-Service", f"{naks} DHCPNAKs in a row"))

    def _lease_found(self, event: ev.LeaseFound) -> None:
        line = AccessLine(event.remote_id, event.circuit_id)
        if (
            self.store.on_line(line) is not None
            or line in self._starting
            or line in self.tombstones
            or event.renewed <= self._ended.get(line, -1)
            or (event.expires is not None and event.expires <= self._now)
            or self.store.full
        ):
            return
        binding = Binding(
            line,
            event.mac_address,
            event.ip_address,
            event.interface,
            event.giaddr,
            event.server,
            event.expires,
        )
        binding.reason = "recovered from the DHCP server's lease"
        self.bind(binding)

    def _arm_pending(self) -> None:
        deadline = self.relay.expire(self._now)
        if deadline != self._pending_deadline:
            self._pending_deadline = deadline
            if deadline is None:
                self._out.append(fx.CancelTimer(ev.Timer.PENDING, ""))
            else:
                self._out.append(fx.SetTimer(ev.Timer.PENDING, "", deadline))

    def _dropped(self, reason: str) -> None:
        self.relay.dropped[reason] += 1

    # RADIUS and data plane

    def _asked(self, session_id: str, attempt: int) -> Session | None:
        """The session that an answer is for, unless it was asked again or is gone."""
        session = self.store.get(session_id)
        return session if session is not None and session.asked and session.attempt == attempt else None

    def _accepted(self, event: ev.RadiusAccept) -> None:
        session = self._asked(event.session_id, event.attempt)
        if session is None:
            return
        policy = policies.of_accept(event, self.profiles)
        if isinstance(policy, str):
            self.fire(session, Input.REJECTED, policy)
        else:
            self.fire(session, Input.ACCEPTED, Granted(event, policy))

    def _rejected(self, event: ev.RadiusReject) -> None:
        session = self._asked(event.session_id, event.attempt)
        if session is not None:
            self.fire(session, Input.REJECTED, event.message or "rejected by the RADIUS server")

    def _unanswered(self, event: ev.RadiusUnanswered) -> None:
        session = self._asked(event.session_id, event.attempt)
        if session is not None:
            self.fire(session, Input.UNANSWERED)

    def _enforced(self, event: ev.Enforced) -> None:
        session = self.store.get(event.session_id)
        if event.operation is ev.Operation.STOP:
            if session is not None:
                self.fire(session, Input.STOPPED, event.counters or ev.Counters())
            return
        handled = False
        if session is not None and event.policy is not None:
            outcome = Outcome(event.operation, event.policy, event.token, event.error)
            handled = self.fire(session, Input.NOT_ENFORCED if event.error else Input.ENFORCED, outcome)
        if not handled:
            self._answer(event.token, "operation-failed", "the session ended meanwhile")

    def _idle(self, event: ev.SessionIdle) -> None:
        session = self.store.get(event.session_id)
        if session is not None:
            self.fire(session, Input.IDLE, event.since)

    def _traffic(self, event: ev.SessionTraffic) -> None:
        session = self.store.get(event.session_id)
        if session is not None:
            self.fire(session, Input.TRAFFIC)

    def _timer_due(self, event: ev.TimerDue) -> None:
        if event.timer is ev.Timer.PENDING:
            self._pending_deadline = None
            self._arm_pending()
        elif event.timer is ev.Timer.TOMBSTONE:
            self.tombstones.pop(line_of(event.key), None)
        else:
            session = self.store.get(event.key)
            if session is None:
                return
            if event.timer in _ENDINGS:
                self.fire(session, *_ENDINGS[event.timer])
            else:
                self.fire(session, _DUE[event.timer])

    # configuration

    def _profile_changed(self, event: ev.ProfileChanged) -> None:
        if event.profile is None:
            self.profiles.pop(event.name, None)  # who uses it keeps its rates
            return
        self.profiles[event.name] = event.profile
        policy = policies.of_profile(event.name, event.profile)
        for session in self.store.with_profile(event.name):
            if session.policy != policy:
                self.fire(session, Input.SET_POLICY, (policy, 0))

    def _settings_changed(self, event: ev.SettingsChanged) -> None:
        self.settings = event.settings
        self.store.resize(event.settings.max_sessions)
        self.relay.configure(event.settings)
        if event.settings.nat != self.nat.pool:
            self._pool_changed(event.settings.nat)
        self._arm_pending()

    def _pool_changed(self, pool: NatPool | None) -> None:
        self.nat = NatAllocator(pool)
        sessions = list(self.store)
        for session in sessions:
            if session.nat is not None:
                self.nat.adopt(session.nat)
        for session in sessions:
            if session.state in (State.ACTIVE, State.IDLE):
                self._follow_nat(session)
