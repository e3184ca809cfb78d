"""A target that is not ours: the simulated one of OpenConfig, unmodified, collected as gnmic would."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.collector_rig import Rig, rows

PROGRAM = shutil.which("gnmi-fake-target") or shutil.which(
    "gnmi-fake-target", path=str(Path.home() / ".cache/aether/bin")
)
pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(120),
    pytest.mark.skipif(PROGRAM is None, reason="make setup builds gnmi-fake-target where Go is"),
]

INTERFACE = 'elem { name: "interfaces" } elem { name: "interface" key { key: "name" value: "et-0/0/0" } }'
VALUES = (
    ("in-octets", "uint_val: 18446744073709551615"),
    ("temperature", "double_val: 36.5"),
    ("offset", "int_val: -7"),
    ("enabled", "bool_val: true"),
    ("description", 'string_val: "to \\"core\\""'),
    ("mac", 'bytes_val: "\\000\\377"'),
    ("tags", 'leaflist_val { element { string_val: "a" } element { uint_val: 2 } }'),
    ("subtree", "json_ietf_val: '{\"mtu\": 1500}'"),
    ("loss", "decimal_val { digits: -125 precision: 2 }"),
)
SUBSCRIPTIONS = """
encoding: proto
subscriptions:
  port_stats:
    paths: ["/interfaces/interface[name=et-0/0/0]/state"]
    mode: stream
    stream-mode: sample
    sample-interval: 1s
targets:
  spine-1:
    address: 127.0.0.1:{port}
    username: u
    password: p
    tls-ca: cert.pem
"""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with postgres.cluster() as cluster:
        made = Rig(tmp_path, cluster.create("foreign"))
        try:
            yield made
        finally:
            made.end()


def target(rig: Rig) -> subprocess.Popen[bytes]:
    """The target: values of an interface, then their deletion, then silence."""
    state = f'{INTERFACE} elem {{ name: "state" }}'
    updates = "".join(
        f'update {{ path {{ {state} elem {{ name: "{name}" }} }} val {{ {value} }} }}'
        for name, value in VALUES
    )
    deleted = f'delete {{ {state} elem {{ name: "old" }} }}'
    config = rig.folder / "target.pb.txt"
    config.write_text(
        'target: "spine-1" client_type: GRPC_GNMI disable_eof: true fixed { '
        f"responses {{ update {{ timestamp: 1 {updates} }} }} "
        f"responses {{ sync_response: true }} responses {{ update {{ timestamp: 2 {deleted} }} }} }}"
    )
    assert PROGRAM
    flags = ["-text", "-allow_no_client_auth", "-config", str(config), "-port", str(rig.port)]
    pair = ["-server_crt", str(rig.folder / "cert.pem"), "-server_key", str(rig.folder / "key.pem")]
    return rig.spawn([PROGRAM, *flags, *pair, "-log_dir", str(rig.folder)])


def test_a_target_of_others_is_collected(rig: Rig) -> None:
    (rig.folder / "gnmic.yaml").write_text(SUBSCRIPTIONS.replace("{port}", str(rig.port)))
    running = target(rig)
    rig.collector(targets=[], foreign="gnmic.yaml")
    rig.until("SELECT count(*) FROM foreign_samples", lambda n: n == len(VALUES) + 1)
    found = rows(rig.database, "SELECT *, time > now() - interval '1 minute' AS is_now FROM foreign_samples")
    base = "/interfaces/interface[name=et-0/0/0]/state/"
    got = {
        row["path"].removeprefix(base): (row["kind"], row["number"], json.loads(row["value"] or "null"))
        for row in found
    }
    number = {name: value[1] for name, value in got.items()}
    assert (got["in-octets"][0], number["in-octets"]) == ("uint", 2**64 - 1)
    assert (got["temperature"][0], float(number["temperature"])) == ("float", 36.5)
    assert got["offset"] == ("int", -7, -7)
    assert got["enabled"] == ("bool", None, True)
    assert got["description"] == ("string", None, 'to "core"')
    assert got["mac"] == ("bytes", None, "AP8=")
    assert got["tags"] == ("leaf-list", None, ["a", 2])
    assert got["subtree"] == ("json", None, {"mtu": 1500})
    assert (got["loss"][0], float(number["loss"])) == ("decimal", -1.25)
    assert got["old"] == ("delete", None, None)
    assert {(row["target"], row["subscription"], row["is_now"]) for row in found} == {
        ("spine-1", "port_stats", True)  # a target that stamps with 1 ns after the epoch gets our time
    }
    running.kill()
    running.wait()
    down = "SELECT count(*) FROM target_state WHERE target = 'spine-1' AND state = 'down' AND until IS NULL"
    rig.until(down, lambda n: n == 1)
    target(rig)
    rig.until("SELECT count(*) FROM foreign_samples", lambda n: n == 2 * (len(VALUES) + 1))
    states = rows(rig.database, "SELECT state, until, reason FROM target_state ORDER BY since")
    assert [row["state"] for row in states] == ["up", "down", "up"]
    assert [row["until"] is None for row in states] == [False, False, True]
    assert "UNAVAILABLE" in states[1]["reason"]
