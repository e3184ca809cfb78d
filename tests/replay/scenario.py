"""Runs a recording: turns its short names into events and effects into short lines."""

from __future__ import annotations

from typing import Any

from bng.codec import dhcp, option82
from bng.codec.dhcp import BOOTREPLY, BOOTREQUEST, DhcpPacket, MessageType, Option
from bng.session import effects as fx
from bng.session import events as ev
from bng.session.machine import Machine
from bng.session.nat import NatBinding
from bng.session.recording import decode_event, decode_settings
from bng.session.records import Session
from bng.session.settings import Policy, Profile

NS = 1_000_000_000
START = 1_800_000_000 * NS
LINK = "100.64.0.1"
UPLINK = "192.0.2.1"
SERVER = "192.0.2.53"

SETTINGS: dict[str, Any] = {
    "bng_id": "bng-01",
    "relay_id": "bng-01",
    "uplink_address": UPLINK,
    "interfaces": {"sub0": {"address": LINK}},
    "servers": [[SERVER, 67]],
    "auth_retry_interval": 10,
}
PROFILES = {"gold": Profile(100_000_000, 50_000_000), "silver": Profile(10_000_000, 5_000_000)}
_CLIENT = {
    "discover": MessageType.DISCOVER,
    "request": MessageType.REQUEST,
    "renew": MessageType.REQUEST,
    "reboot": MessageType.REQUEST,
    "release": MessageType.RELEASE,
    "decline": MessageType.DECLINE,
    "inform": MessageType.INFORM,
}
_SERVER = {"offer": MessageType.OFFER, "ack": MessageType.ACK, "nak": MessageType.NAK}


def _address(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


def agent(line: str) -> bytes:
    """Option 82 of an access node, from ``remote-id circuit-id``."""
    remote, circuit = line.split(" ")
    return option82.build(((1, circuit.encode()), (2, remote.encode())))


def from_client(name: str, line: str = "node-a 1/0/1", **fields: Any) -> ev.DhcpFromSubscriber:
    """A client's packet; `ip` is its address where it has one. `marked: false`: without option 82;
    `client_id`: text of option 61; `agent`: sub-options beside the line's, as ``code=text``."""
    mac, ip = fields.pop("mac", "02:00:00:00:00:01"), fields.pop("ip", None)
    interface = fields.pop("interface", "sub0")
    source = fields.pop("source", mac)
    options: dict[int, bytes] = {Option.MESSAGE_TYPE: bytes([_CLIENT[name]])}
    if name in ("renew", "release", "inform"):
        fields.setdefault("ciaddr", ip)
    elif name in ("request", "decline"):
        options[Option.REQUESTED_ADDRESS] = _address(ip)
        options[Option.SERVER_ID] = _address(LINK)
    elif name == "reboot":
        options[Option.REQUESTED_ADDRESS] = _address(ip)
    if "client_id" in fields:
        options[Option.CLIENT_ID] = fields.pop("client_id").encode()
    if fields.pop("marked", True):
        options[Option.RELAY_AGENT] = agent(line) + _more(fields.pop("agent", ""))
    fields.setdefault("xid", 1)
    return ev.DhcpFromSubscriber(
        interface, source, DhcpPacket(BOOTREQUEST, mac_address=mac, options=options, **fields)
    )


def _more(text: str) -> bytes:
    pairs = [pair.partition("=") for pair in text.split()]
    return option82.build(tuple((int(code), value.encode()) for code, _, value in pairs))


def from_server(name: str, line: str = "node-a 1/0/1", **fields: Any) -> ev.DhcpFromServer:
    """The server's packet, with option 82 echoed as we sent it."""
    mac, ip = fields.pop("mac", "02:00:00:00:00:01"), fields.pop("ip", "0.0.0.0")
    link, server = fields.pop("link", LINK), fields.pop("server", SERVER)
    options = {Option.MESSAGE_TYPE: bytes([_SERVER[name]])}
    lease = fields.pop("lease", 3600)
    if lease is not None:
        options[Option.LEASE_TIME] = lease.to_bytes(4, "big")
    options[Option.RELAY_AGENT] = option82.add(agent(line), "bng-01", link)
    fields.setdefault("xid", 1)
    packet = DhcpPacket(BOOTREPLY, mac_address=mac, yiaddr=ip, giaddr=UPLINK, options=options, **fields)
    return ev.DhcpFromServer(server, packet)


class Player:
    """A machine with the memory of what it asked, so that answers need no numbers."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self.settings = decode_settings({**SETTINGS, **(settings or {})})
        self.machine = Machine(self.settings, PROFILES, sequence=0, now=START)
        self.now = START
        self.asked: fx.AskRadius | None = None
        self.enforcing: list[Any] = []
        self.timers: dict[tuple[str, str], int] = {}
        self.names: dict[str, str] = {}
        self.journal: list[dict[str, Any]] = []

    def do(self, at: float, event: ev.Event) -> list[fx.Effect]:
        self.now = START + int(at * NS)
        return self._remember(self.machine.handle(event, self.now))

    def session(self, name: str = "$1") -> Session | None:
        return self.machine.store.get(self.id(name))

    def id(self, name: str) -> str:
        return next((i for i, n in self.names.items() if n == name), name)

    def restart(self, at: float) -> list[fx.Effect]:
        """End the machine and make another one from the journal."""
        self.now = START + int(at * NS)
        records: dict[str, Any] = {}
        tombstones: dict[str, int] = {}
        ended: dict[str, int] = {}
        for event in self.journal:
            key = f"{event['access-line']['remote-id']} {event['access-line']['circuit-id']}"
            if "new-access-line" in event:
                continue
            if event["type"] == "session-stop":
                records.pop(event["session-id"])
                ended[key] = event["at"]
                if "_tombstone_until" in event:
                    tombstones[key] = event["_tombstone_until"]
            else:
                records[event["session-id"]] = event
                if event["type"] == "session-start":
                    tombstones.pop(key, None)
                    ended.pop(key, None)
        self.machine = Machine(self.settings, PROFILES, sequence=100, now=self.now)
        self.timers.clear()
        return self._remember(self.machine.restore(records.values(), tombstones, self.now, ended))

    def step(self, at: float, name: str, fields: dict[str, Any]) -> list[fx.Effect]:
        """One step of a recording, by its short name."""
        if name in _CLIENT:
            return self.do(at, from_client(name, **fields))
        if name in _SERVER:
            return self.do(at, from_server(name, **fields))
        if name == "restart":
            return self.restart(at)
        self.now = START + int(at * NS)
        return self.do(at, self._event(name, dict(fields)))

    def _event(self, name: str, fields: dict[str, Any]) -> ev.Event:
        if name in ("accept", "reject", "silent"):
            assert self.asked is not None
            kind = {"accept": ev.RadiusAccept, "reject": ev.RadiusReject, "silent": ev.RadiusUnanswered}[name]
            fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            return kind(self.asked.session_id, self.asked.attempt, **fields)
        if name in ("enforced", "stopped"):
            effect = self.enforcing.pop(0)
            operation = {
                fx.EnforceStart: ev.Operation.START,
                fx.EnforceChange: ev.Operation.CHANGE,
                fx.EnforceStop: ev.Operation.STOP,
            }[type(effect)]
            counters = ev.Counters(**fields.pop("counters")) if "counters" in fields else None
            policy = getattr(effect, "policy", None)
            token = getattr(effect, "token", 0)
            return ev.Enforced(effect.session_id, operation, policy, token, counters=counters, **fields)
        if name == "due":
            timer, key = ev.Timer(fields["timer"]), self.id(fields.get("key", "$1"))
            key = "" if timer is ev.Timer.PENDING else key
            assert self.timers.pop((timer.value, key)) <= self.now, "the timer is not due yet"
            return ev.TimerDue(timer, key)
        if "session_id" in fields:
            fields["session_id"] = self.id(fields["session_id"])
        if "session_id" in fields.get("selector", {}):
            fields["selector"] = {
                **fields["selector"],
                "session_id": self.id(fields["selector"]["session_id"]),
            }
        return decode_event({"kind": name, **fields})

    def _remember(self, effects: list[fx.Effect]) -> list[fx.Effect]:
        for effect in effects:
            if isinstance(effect, fx.AskRadius):
                self.asked = effect
            elif isinstance(effect, fx.EnforceStart | fx.EnforceChange | fx.EnforceStop):
                self.enforcing.append(effect)
            elif isinstance(effect, fx.SetTimer):
                self.timers[effect.timer.value, effect.key] = effect.deadline
            elif isinstance(effect, fx.CancelTimer):
                self.timers.pop((effect.timer.value, effect.key), None)
            elif isinstance(effect, fx.Journal):
                event = {**effect.event, "at": self.now}
                self.journal.append(event)
                self.names.setdefault(event["session-id"], f"${len(self.names) + 1}")
        return effects

    def lines(self, effects: list[fx.Effect]) -> list[str]:
        """Effects as short lines; cancelled timers are left out, so are access nodes seen."""
        lines = [line for effect in effects if (line := self._line(effect))]
        for session_id, name in self.names.items():
            lines = [line.replace(session_id, name) for line in lines]
        return lines

    def _line(self, effect: fx.Effect) -> str:
        if isinstance(effect, fx.SendToServer):
            return f"to server {effect.address}: {_packet_line(effect.payload)}"
        if isinstance(effect, fx.SendToSubscriber):
            to = f"{effect.destination_mac} {effect.destination_address}:{effect.destination_port}"
            return f"to {effect.interface} {to}: {_packet_line(effect.payload)}"
        if isinstance(effect, fx.AskRadius):
            return f"ask {effect.session_id} #{effect.attempt} {effect.username} {effect.ip_address}"
        if isinstance(effect, fx.Account):
            octets = (
                f" in={effect.counters.in_octets} out={effect.counters.out_octets}" if effect.counters else ""
            )
            cause = f" {effect.terminate_cause}" if effect.terminate_cause else ""
            return f"account {effect.kind.value} {effect.session_id} {effect.session_time}s{octets}{cause}"
        if isinstance(effect, fx.EnforceStart):
            guard = (
                f"{effect.interface} {'routed' if effect.routed else effect.mac_address} {effect.ip_address}"
            )
            return f"enforce start {effect.session_id} {guard} {_policy(effect.policy)}{_nat(effect.nat)}"
        if isinstance(effect, fx.EnforceChange):
            return f"enforce change {effect.session_id} {_policy(effect.policy)}"
        if isinstance(effect, fx.EnforceStop):
            return f"enforce stop {effect.session_id}"
        if isinstance(effect, fx.Journal):
            return _event_line(effect.event)
        if isinstance(effect, fx.SetTimer):
            key = effect.key or "-"
            return f"timer {effect.timer.value} {key} +{(effect.deadline - self.now) / NS:g}s"
        if isinstance(effect, fx.Answer):
            said = effect.message or effect.output or ""
            return f"answer {effect.token} {effect.error_tag or 'ok'} {said}".strip()
        if isinstance(effect, fx.Continue):
            return "go on"
        if isinstance(effect, fx.Log):
            return f"log {effect.level} {effect.message_id}"
        return ""


def _nat(nat: NatBinding | None) -> str:
    return f" nat {nat.address}:{nat.port_first}-{nat.port_last}" if nat else ""


def _policy(policy: Policy) -> str:
    return f"{policy.profile or '-'} {policy.download_rate // 1000}/{policy.upload_rate // 1000} kbit/s"


def _packet_line(payload: bytes) -> str:
    packet = dhcp.parse(payload)
    name = MessageType(packet.message_type).name
    pairs = option82.parse(packet.options.get(Option.RELAY_AGENT, b""))
    parts = [f"{c}={v.decode() if v.isascii() and v.decode().isprintable() else v.hex()}" for c, v in pairs]
    return f"{name} giaddr={packet.giaddr} hops={packet.hops} yiaddr={packet.yiaddr} 82[{' '.join(parts)}]"


def _event_line(event: Any) -> str:
    line = f"journal {event['type']} {event['session-id']} {event['status']} {event['ip-address']}"
    for key in ("profile", "terminate-cause", "reason"):
        if key in event:
            line += f" {key}={event[key]}"
    if "new-access-line" in event:
        line += f" new={' '.join(event['new-access-line'].values())}"
    if event["type"] == "session-stop":
        line += f" in-octets={event['counters']['in-octets']}"
    if "nat" in event:
        line += f" nat={event['nat']['address']}:{event['nat']['port-first']}-{event['nat']['port-last']}"
    if "_tombstone_until" in event:
        line += " tombstone"
    return line
