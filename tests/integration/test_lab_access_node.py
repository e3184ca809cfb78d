"""The access node between real DHCP clients and a real Kea, bridged and routed, in network namespaces."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from lab.netns import network
from lab.netns.inside import interface_address, run_inside
from lab.supervisor.spec import ProcessSpec, python
from lab.topology import BRIDGE, UPLINK, Address, BridgePort, Link, Node, Route, Topology, mac_address
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.netns,
    pytest.mark.servers,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

SCRIPT = Path(__file__).parents[2] / "lab/templates/subscriber/udhcpc.sh"
PORTS = (1, 2, 3)


class Bench:
    """Three subscribers, an access node, and Kea where the BNG would be."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder
        self.model = model
        self.topology = Topology("ae" + secrets.token_hex(3))
        self._processes: list[subprocess.Popen[bytes]] = []
        node = Node("node", "access node")
        server = Node("server", "server", [Address("eth0", "10.1.0.1/24")])
        self.topology.nodes = {"node": node, "server": server}
        self.topology.links.append(Link("node", UPLINK, "server", "eth0"))
        for port in PORTS:
            self.topology.nodes[f"h{port}"] = Node(f"h{port}", "subscriber")
            self.topology.links.append(Link("node", f"eth{port}", f"h{port}", "eth0"))
            node.bridge_ports.append(BridgePort(f"eth{port}", isolated=True))
        if model == "bridged":
            node.bridge_ports.append(BridgePort(UPLINK, isolated=False))
            node.addresses.append(Address(BRIDGE, "10.1.0.2/24"))
        else:
            node.addresses += [Address(BRIDGE, "10.2.0.1/24"), Address(UPLINK, "10.1.0.2/24")]
            node.routes.append(Route("default", "10.1.0.1"))
            node.sysctls |= {"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "1"}
            server.routes.append(Route("10.2.0.0/24", "10.1.0.2"))

    @property
    def subnet(self) -> str:
        return "10.1.0" if self.model == "bridged" else "10.2.0"

    def start(self) -> None:
        network.create(self.topology)
        settings = {
            "remote_id": "an-1",
            "access_model": self.model,
            "uplink": UPLINK,
            "bridge": BRIDGE,
            "interfaces": {port: f"eth{port}" for port in PORTS},
            "address": "10.1.0.2" if self.model == "bridged" else "10.2.0.1",
            "bng": None if self.model == "bridged" else "10.1.0.1",
            "pool": ["10.1.0.10", "10.1.0.99"] if self.model == "bridged" else ["10.2.0.10", "10.2.0.99"],
        }
        (self.folder / "node.json").write_text(json.dumps(settings))
        self.node = self.run("node", *python("lab.accessnode", "--config", str(self.folder / "node.json")))
        self._start_kea()
        wait_for("the access node", lambda: "accessnode.ready" in self.log("node"))
        wait_for("Kea", lambda: "DHCP4_STARTED" in self.log("server"))

    def _start_kea(self) -> None:
        """A pool of one address per access line: who gets .1<port> sent the circuit-id of that port."""
        lines = {port: f"1/0/{port}" for port in PORTS}
        configuration = {
            "Dhcp4": {
                "interfaces-config": {
                    "interfaces": ["eth0"],
                    "dhcp-socket-type": "raw" if self.model == "bridged" else "udp",
                },
                "lease-database": {"type": "memfile", "persist": False},
                "valid-lifetime": 60,
                "client-classes": [
                    {
                        "name": f"line-{port}",
                        "test": f"relay4[1].hex == '{circuit}' and relay4[2].hex == 'an-1'",
                    }
                    for port, circuit in lines.items()
                ],
                "subnet4": [
                    {
                        "id": 1,
                        "subnet": f"{self.subnet}.0/24",
                        "option-data": [{"name": "routers", "data": f"{self.subnet}.1"}],
                        "pools": [
                            {
                                "pool": f"{self.subnet}.1{port}/32",
                                "client-class": f"line-{port}",
                            }
                            for port in PORTS
                        ],
                    }
                ],
                "loggers": [
                    {"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout"}]}
                ],
            }
        }
        etc, run = self.folder / "etc", self.folder / "run"
        etc.mkdir()
        run.mkdir()
        (etc / "kea-dhcp4.conf").write_text(json.dumps(configuration))
        spec = ProcessSpec(
            "server",
            "server",
            ("kea-dhcp4", "-c", "/etc/kea/kea-dhcp4.conf"),
            namespace=self.topology.namespace("server"),
            binds=((str(etc), "/etc/kea"), (str(run), "/run/kea")),
        )
        environment = {"KEA_PIDFILE_DIR": "/run/kea", "KEA_LOCKFILE_DIR": "/run/kea"}
        self._spawn("server", spec.command(), environment)

    def run(self, node: str, *command: str) -> subprocess.Popen[bytes]:
        return self._spawn(node, ["ip", "netns", "exec", self.topology.namespace(node), *command], {})

    def _spawn(self, name: str, command: list[str], extra: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=os.environ | extra
            )
        self._processes.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def connect(self, port: int, *options: str) -> subprocess.Popen[bytes]:
        """Start a DHCP client on a subscriber and wait for its address."""
        host = f"h{port}"
        client = self.run(
            host,
            "udhcpc",
            "-f",
            "-R",
            "-i",
            "eth0",
            "-s",
            str(self.folder / "udhcpc.sh"),
            "-T",
            "1",
            *options,
        )
        wait_for(f"the address of {host}", lambda: self.address(port))
        return client

    def address(self, port: int) -> str | None:
        return interface_address(self.topology.namespace(f"h{port}"), "eth0")

    def send(self, node: str, interface: str, *frames: bytes) -> None:
        """Send raw frames from a node."""

        def body() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
                sock.bind((interface, 0))
                for frame in frames:
                    sock.send(frame)

        run_inside(self.topology.namespace(node), body)

    def reaches(self, node: str, address: str) -> bool:
        command = ["ip", "netns", "exec", self.topology.namespace(node), "ping", "-c1", "-W1", address]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        network.remove(self.topology.namespaces())


@pytest.fixture(params=["bridged", "routed"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    script = tmp_path / "udhcpc.sh"
    script.write_text(SCRIPT.read_text())
    script.chmod(0o755)
    bench = Bench(tmp_path, request.param)
    try:
        bench.start()
        yield bench
    finally:
        bench.close()


def discover(port: int, *options: object, **header: object) -> Ether:
    chaddr = bytes.fromhex(mac_address(f"h{port}", "eth0").replace(":", ""))
    fields: dict[str, object] = {"op": 1, "xid": secrets.randbits(32), "chaddr": chaddr} | header
    return (
        Ether(src=mac_address(f"h{port}", "eth0"), dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(**fields)
        / DHCP(options=[("message-type", "discover"), *options, "end"])
    )


def test_each_port_gets_the_address_of_its_access_line(bench: Bench) -> None:
    for port in PORTS:
        bench.connect(port)
        assert bench.address(port) == f"{bench.subnet}.1{port}"
    # the way through the node is open, and from port to port it is not
    assert bench.reaches("h1", "10.1.0.1")
    assert not bench.reaches("h1", f"{bench.subnet}.12")


def test_broadcast_answers_renewal_and_release(bench: Bench) -> None:
    client = bench.connect(2, "-B")
    assert bench.address(2) == f"{bench.subnet}.12"
    acks = bench.log("server").count("DHCP4_LEASE_ALLOC")
    client.send_signal(10)  # SIGUSR1: renew now, by unicast
    wait_for("the renewal", lambda: bench.log("server").count("DHCP4_LEASE_ALLOC") > acks)
    wait_for("its answer", lambda: '"dhcp.renew"' in bench.log("h2"))
    client.terminate()
    wait_for("the release", lambda: "DHCP4_RELEASE" in bench.log("server"))


def test_hostile_packets_change_nothing(bench: Bench) -> None:
    claim = ("relay_agent_information", b"\x01\x051/0/2\x02\x04an-1")
    whole = bytes(discover(1))
    bench.send(
        "h1",
        "eth0",
        whole[:60],
        whole[:-40],
        whole[:14] + b"\x4f" + whole[15:],  # an IP header of 60 octets that is not there
        whole.replace(b"\x63\x82\x53\x63", b"\0\0\0\0"),
        bytes(discover(1, claim, giaddr="10.9.9.9")),
        bytes(discover(1, op=2)),
        bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=7) / discover(1)[IP]),
        *[os.urandom(200) for _ in range(50)],
        *[whole[:42] + os.urandom(400) for _ in range(50)],
    )
    # a DHCP server behind a subscriber port
    offer = discover(1, op=2, yiaddr="6.6.6.6")
    offer[UDP].sport, offer[UDP].dport = 67, 68
    bench.send("h1", "eth0", bytes(offer), bytes(discover(1, claim)))
    bench.connect(3)
    assert bench.address(3) == f"{bench.subnet}.13"
    assert bench.node.poll() is None
    # the spoofed option 82 was replaced: port 2's address is still free for port 2
    bench.connect(2)
    assert bench.address(2) == f"{bench.subnet}.12"


def test_one_port_cannot_starve_another(bench: Bench) -> None:
    flood = [bytes(discover(1)) for _ in range(400)]
    bench.send("h1", "eth0", *flood)
    bench.connect(2)
    assert bench.address(2) == f"{bench.subnet}.12"
    bench.node.terminate()
    bench.node.wait(5)
    assert "too many requests" in bench.log("node")
