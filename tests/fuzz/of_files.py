"""Files that people write, and files that a crash may have torn."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from bng.aaa.accounting import Record
from bng.aaa.dictionary import FOLDER, Dictionary
from bng.aaa.spool import Spool
from bng.codec.radius import Attribute
from bng.seam import segments
from bng.seam.sessions import load_checkpoint
from bng.session import snapshot
from bng.session.effects import AccountKind
from bng.session.machine import Machine
from bng.session.nat import NatPool
from bng.session.recording import decode_event, encode_event
from bng.session.replay import RecordingError, replay
from bng.session.settings import Settings, SubscriberInterface
from bng.units import empty_units, merge, parse
from lab.config.errors import ConfigError
from lab.config.load import parse_config
from tests.fuzz.runner import Target
from yang.provider import OperationError

ROOT = Path(__file__).parents[2]
_YAML_TOKENS = [b": ", b"- ", b"{", b"}", b"*x", b"&x ", b"!!"]
_JSON_TOKENS = [b"null", b"[]", b"{}", b'"x"', b"-1", b"1e9"]


def targets() -> Iterator[Target]:
    lab = (ROOT / "aether.config.yaml").read_bytes()
    yield Target(
        "lab-file", [lab], _lab_file, tokens=[b": ", b"- ", b"{", b"}", b"*x", b"&x ", b"!!"], slow=True
    )
    yield Target("journal", [_records(3), _records(1)], _journal)
    yield Target("checkpoint", [_checkpoint()], _checkpoint_file)
    yield Target(
        "units", [orjson.dumps(_UNITS)], _units, tokens=[b"null", b"[]", b"{}", b'"x"', b"-1", b"1e9"]
    )
    yield Target("recording", _recordings(), _recording, tokens=[b"null", b"[]", b"{}", b'"#zz"', b"-1"])
    recordings = [(ROOT / "tests/replay/recordings" / name).read_bytes() for name in _RECORDINGS]
    yield Target("replay", recordings, _replay, tokens=_FORMS, slow=True)
    yield Target("snapshot", [data[data.index(b"\n") + 1 :] for data in recordings], _snapshot, tokens=_FORMS)
    yield Target("session-record", _session_records(), _session_record, tokens=_JSON_TOKENS)
    yield Target("spool", _spools(), Spools(), tokens=_SPOOL_TOKENS, slow=True)
    yield Target("dictionary", [(FOLDER / "dictionary.oss").read_bytes()], _dictionary)


def _lab_file(data: bytes) -> bool:
    try:
        parse_config(data.decode("utf-8", "replace"))
    except ConfigError:
        return False
    return True


def _records(count: int) -> bytes:
    return b"".join(segments.encode(orjson.dumps({"seq": number})) for number in range(count))


def _journal(data: bytes) -> bool:
    """A torn or damaged record ends the segment; those before it are as they were written."""
    end = 0
    for behind, payload in segments.records(data):
        assert data[end:behind] == segments.encode(payload)
        end = behind
    return end > 0


def _checkpoint() -> bytes:
    head: dict[str, object] = {"seq": 2, "time_ns": 1, "instance_id": "i", "sessions": 1}
    head |= {"started": 1, "rejected": 0}
    head["tombstones"] = {}
    event = {"session-id": "0" * 16, "type": "session-start"}
    return b"".join(segments.encode(orjson.dumps(part)) for part in (head, event))


def _checkpoint_file(data: bytes) -> bool:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        return bool(load_checkpoint(Path(file.name)).by_id)


_UNITS = {
    "bng": {
        "identity": {"bng-id": "bng-01"},
        "interfaces": {"subscriber": ["eth1"], "upstream": "eth2", "dhcp-uplink": "eth3"},
        "dhcp-relay": {"server": [{"address": "192.0.2.2", "port": 67}]},
        "aaa": {"server": [{"name": "r", "address": "192.0.2.2", "secret": "s"}]},
        "nat": {"enabled": True, "source-prefix": ["100.64.0.0/10"]},
    },
    "interfaces": {
        "interface": [
            {"name": "eth1", "ietf-ip:ipv4": {"address": [{"ip": "10.0.0.1", "prefix-length": 16}]}},
        ]
    },
    "shaping-profiles": {
        "gold": {"name": "gold", "download": {"rate": "1000000"}, "upload": {"rate": "1000000"}},
    },
    "access-routers": {
        "n": {"name": "n", "remote-id": "n", "subnet": ["10.1.0.0/24"], "address": "10.0.0.2"},
    },
}


def _units(data: bytes) -> bool:
    try:
        changed = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(changed, dict):
        return False  # a frame of the command socket is an object, or refused
    try:
        parse(merge(empty_units(), changed))
    except OperationError:
        return False
    return True


def _recordings() -> list[bytes]:
    mac = "02:00:00:00:00:01"
    options = {"53": "#01", "82": "1=1/0/1 2=node-1"}
    packet = {
        "kind": "DhcpFromSubscriber",
        "interface": "sub0",
        "source_mac": mac,
        "packet": {"op": 1, "xid": 7, "mac_address": mac, "options": options},
    }
    accept = {"kind": "RadiusAccept", "session_id": "0" * 16, "attempt": 1, "filter_ids": ["gold"]}
    return [orjson.dumps(packet), orjson.dumps(accept)]


def _recording(data: bytes) -> bool:
    try:
        form = orjson.loads(data)
        if not isinstance(form, dict):
            return False
        event = decode_event(form)
    except ValueError:
        return False
    encode_event(event)
    return True


def _dictionary(data: bytes) -> bool:
    try:
        Dictionary(data.decode("utf-8", "replace"))
    except ValueError:
        return False
    return True


_RECORDINGS = ("requests-that-name-no-address.jsonl", "inform.jsonl", "pending-expires.jsonl")
_FORMS = [*_JSON_TOKENS, b'{"$ref":0}', b'{"$octets":"00"}', b'{"$tuple":[]}', b'"$":"Session",', b"Infinity"]


def _replay(data: bytes) -> bool:
    try:
        for played in replay(data.decode("utf-8", "replace").splitlines(keepends=True)):
            assert isinstance(played.identical, bool)
    except RecordingError:
        return False
    return True


def _snapshot(data: bytes) -> bool:
    try:
        forms = [json.loads(line) for line in data.splitlines()]
        snapshot.decode([form for form in forms if isinstance(form, dict) and "object" in form])
    except (ValueError, RecursionError):
        return False
    return True


_SPOOL_TOKENS = [b"|ack|", b"|log|", b"\x80\0\0\1", b"\xff" * 4]
_RECORD = Record("0" * 16, AccountKind.STOP, 1, (Attribute(0, 40, b"\0\0\0\2"),))


def _spools() -> list[bytes]:
    """Two segments, some of whose records are acknowledged, as ``log|ack|acknowledgements|log|…``."""
    found = []
    for acknowledged in ((), (0, 2, 4), (0, 1, 2)):
        with tempfile.TemporaryDirectory() as folder:
            spool = Spool(Path(folder), segment_bytes=200)
            places = [spool.append(_RECORD, number, direct=False) for number in range(6)]
            for number in acknowledged:
                place = places[number]
                assert place is not None
                spool.done(place)
            spool.close()
            parts = []
            for path in sorted(Path(folder).glob("*.log")):
                acks = path.with_suffix(".ack")
                parts.append(path.read_bytes() + b"|ack|" + (acks.read_bytes() if acks.exists() else b""))
            found.append(b"|log|".join(parts))
    return found


class Spools:
    """A folder as a crash may have left it: it can be opened, and works from then on."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)

    def __call__(self, data: bytes) -> bool:
        folder = Path(self._folder.name)
        for path in folder.iterdir():
            path.unlink()
        first = 1
        for part in data.split(b"|log|")[:8]:
            log, mark, acks = part.partition(b"|ack|")
            path = folder / segments.name_of(first)
            path.write_bytes(log)
            if mark:
                path.with_suffix(".ack").write_bytes(acks)
            first += 3
        spool = Spool(folder, newest=1000)
        found = self._read(spool)
        place = spool.append(_RECORD, 1000, direct=True)
        assert place is not None
        assert place not in [record.place for record in found]
        spool.close()

        spool = Spool(folder, newest=1000)
        again = self._read(spool)
        assert [record.place for record in again] == [*(record.place for record in found), place]
        for record in again:
            assert record.place is not None
            spool.done(record.place)
        spool.close()

        spool = Spool(folder, newest=1000)
        assert not spool.unread, "what is acknowledged comes back"
        spool.close()
        return bool(found)

    @staticmethod
    def _read(spool: Spool) -> list[Record]:
        found = spool.read(100_000)
        assert not spool.unread
        return found


def _session_records() -> list[bytes]:
    """The last events of sessions in the journal."""
    event = {
        "session-id": "0" * 16,
        "type": "session-update",
        "access-line": {"remote-id": "node-1", "circuit-id": "1/0/1"},
        "username": "bng-01/node-1/1/0/1",
        "mac-address": "02:00:00:00:00:01",
        "ip-address": "100.64.0.1",
        "interface": "sub0",
        "lease-expiry": "2027-01-15T08:00:00.000000000Z",
        "started": "2027-01-15T07:00:00.000000000Z",
        "status": "active",
        "download-rate": 1000000,
        "upload-rate": 1000000,
        "nat": {"address": "203.0.113.1", "port-first": 1024, "port-last": 2047},
        "_server": "192.0.2.2",
        "_slot": 1,
        "_generation": 7,
        "_last_change": 5,
        "_priority": 4,
        "_class": ["00ff"],
        "_relay_agent": "0105312f302f31",
        "_authorized": 1_700_000_000 * 10**9,
    }
    return [orjson.dumps(event), orjson.dumps({**event, "status": "rejected", "reason": "no"})]


_POOL = NatPool((("203.0.113.1", "203.0.113.9"),), ("100.64.0.0/10",), 1024)


def _session_record(data: bytes) -> bool:
    """One that cannot be restored is told and left out; with the others the machine goes on."""
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(event, dict):
        return False
    settings = Settings("bng-01", "bng-01", interfaces={"sub0": SubscriberInterface("100.64.0.1")}, nat=_POOL)
    machine = Machine(settings, {}, now=1)
    machine.restore([event], {}, 1_800_000_000 * 10**9)
    return len(machine.store) == 1
