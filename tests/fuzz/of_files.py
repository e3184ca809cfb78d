"""Files that people write, and files that a crash may have torn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from bng.aaa.dictionary import FOLDER, Dictionary
from bng.seam import segments
from bng.seam.sessions import load_checkpoint
from bng.session.recording import decode_event, encode_event
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
