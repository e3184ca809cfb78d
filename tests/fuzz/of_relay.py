"""The whole way of a frame into the session machine."""

from __future__ import annotations

from bng.codec import dhcp, frame
from bng.codec.dhcp import BOOTREPLY, DhcpPacket, MessageType, Option
from bng.codec.errors import DecodeError
from bng.session import effects as fx
from bng.session import events as ev
from bng.session.machine import Machine
from bng.session.settings import Profile, Settings, SubscriberInterface

NS = 1_000_000_000


class Relay:
    """The whole way of a frame into the session machine, whose life goes on from input to input; what is no
    frame is a packet of the DHCP server."""

    def __init__(self) -> None:
        settings = Settings(
            "bng-01",
            "bng-01",
            "192.0.2.1",
            {"sub0": SubscriberInterface("10.0.0.1")},
            (("192.0.2.2", 67),),
            rate_limit=1000,
        )
        self._machine = Machine(settings, {"gold": Profile(10_000_000, 5_000_000)}, now=NS)
        self._now = 2_000_000_000 * NS

    def __call__(self, data: bytes) -> bool:
        self._now += NS // 100
        try:
            udp = frame.parse(data, checksum_ready=False)
            packet = dhcp.parse(udp.payload)
        except DecodeError:
            return self._from_server(data)
        effects = self._machine.handle(ev.DhcpFromSubscriber("sub0", udp.source_mac, packet), self._now)
        for effect in effects:
            if isinstance(effect, fx.SendToServer):
                sent = dhcp.parse(effect.payload)
                if sent.xid % 4 != 3:  # the others wait for what the server sends
                    self._answer(sent)
        return True

    def _from_server(self, data: bytes) -> bool:
        try:
            packet = dhcp.parse(data)
        except DecodeError:
            return False
        self._carry_out(self._machine.handle(ev.DhcpFromServer("192.0.2.2", packet), self._now))
        return True

    def _answer(self, request: DhcpPacket) -> None:
        """Bind what was asked for, and accept: sessions are born and replaced."""
        if request.message_type != MessageType.REQUEST:
            return
        options = {
            Option.MESSAGE_TYPE: bytes([MessageType.ACK]),
            Option.LEASE_TIME: b"\0\0\1\0",
            Option.RELAY_AGENT: request.options[Option.RELAY_AGENT],
        }
        reply = DhcpPacket(
            BOOTREPLY,
            xid=request.xid,
            mac_address=request.mac_address,
            yiaddr="10.0.1.1",
            giaddr="192.0.2.1",
            options=options,
        )
        self._carry_out(self._machine.handle(ev.DhcpFromServer("192.0.2.2", reply), self._now))

    def _carry_out(self, pending: list[fx.Effect]) -> None:
        while pending:
            effect = pending.pop(0)
            if isinstance(effect, fx.AskRadius):
                answer = ev.RadiusAccept(effect.session_id, effect.attempt, ("gold",))
                pending += self._machine.handle(answer, self._now)
            elif isinstance(effect, fx.EnforceStart):
                done = ev.Enforced(effect.session_id, ev.Operation.START, effect.policy)
                pending += self._machine.handle(done, self._now)
            elif isinstance(effect, fx.EnforceStop):
                pending += self._machine.handle(ev.Enforced(effect.session_id, ev.Operation.STOP), self._now)
