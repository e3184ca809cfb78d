"""The programs of a lab, in the order in which they start; no I/O."""

from __future__ import annotations

from lab import tools, topology
from lab.config.model import Bng, LabConfig
from lab.paths import LabPaths
from lab.render.bng import GNMI_PORT, LEASE_API_PORT, NETCONF_PORT
from lab.render.files import NATS_PORT, REDIS_PORT
from lab.supervisor.spec import Probe, ProcessSpec, aether, python
from lab.topology import Topology, host_name

PUBLISH = "publish"
"""The program that shows the management network on the machine's loopback."""

SEED = "oss-seed"
"""The program that ends once plans and services have reached RADIUS and the BNGs."""

_SEED_PATIENCE = 90
"""Seconds that subscribers wait for that; then they start all the same."""


def processes(config: LabConfig, network: Topology, paths: LabPaths) -> list[ProcessSpec]:
    """Every program, each after those that it needs."""
    specs = [
        *_databases(config, network, paths),
        *_upstream(config, network),
        *_kea(config, network, paths),
        _radius(network, paths),
        ProcessSpec(
            PUBLISH,
            "",
            python("lab.publish", str(paths.root / "publish.json")),
            ready=Probe(log="publish.ready"),
        ),
    ]
    for bng in config.bngs:
        specs.append(_bng(bng, network, paths))
    specs += _management(config, network, paths)
    for bng in config.bngs:
        for node in bng.access_nodes:
            specs.append(_access_node(node.remote_id, network, paths))
            for port, _ in topology.subscriber_ports(node):
                specs.append(_subscriber(node.remote_id, port, bng, network, paths))
    return specs


def _databases(config: LabConfig, network: Topology, paths: LabPaths) -> list[ProcessSpec]:
    namespace = network.namespace("postgres")
    binds = ((str(paths.root / "postgres"), "/var/lib/postgresql"),)
    home = "/var/lib/postgresql"
    psql = (
        "psql",
        "--no-psqlrc",
        "--quiet",
        f"--host={home}/run",
        f"--port={config.services_at.postgres_port}",
    )
    return [
        ProcessSpec(
            "postgres-cluster",
            "postgres",
            (f"{home}/setup/cluster.sh",),
            namespace=namespace,
            user="postgres",
            binds=binds,
            oneshot=True,
        ),
        ProcessSpec(
            "postgres",
            "postgres",
            (str(tools.postgres_bin() / "postgres"), "-D", f"{home}/data"),
            namespace=namespace,
            user="postgres",
            binds=binds,
            after=("postgres-cluster",),
            ready=Probe(log="database system is ready to accept connections"),
            stop_signal="SIGINT",  # "fast": ends sessions and writes a checkpoint
            stop_timeout=20.0,
        ),
        ProcessSpec(
            "postgres-databases",
            "postgres",
            (*psql, "--dbname=postgres", f"--file={home}/setup/databases.sql"),
            namespace=namespace,
            user="postgres",
            binds=binds,
            oneshot=True,
            after=("postgres",),
        ),
    ]


def _upstream(config: LabConfig, network: Topology) -> list[ProcessSpec]:
    namespace = network.namespace("internet")
    upstream = config.upstream
    return [
        ProcessSpec(
            "internet",
            "internet",
            python("lab.internet", str(upstream.internet_host), str(upstream.http_port)),
            namespace=namespace,
            ready=Probe(log="internet.ready"),
        ),
        *(_iperf3(port, upstream.iperf3_port, namespace) for port in upstream.iperf3_ports),
    ]


def _iperf3(port: int, first: int, namespace: str) -> ProcessSpec:
    return ProcessSpec(
        "iperf3" if port == first else f"iperf3-{port}",
        "internet",
        ("iperf3", "--server", "--port", str(port), "--forceflush"),
        namespace=namespace,
        ready=Probe(log="Server listening"),
    )


def _kea(config: LabConfig, network: Topology, paths: LabPaths) -> list[ProcessSpec]:
    namespace = network.namespace("kea")
    binds = ((str(paths.root / "kea/etc"), "/etc/kea"), (str(paths.root / "kea/run"), "/run/kea"))
    environment = {"KEA_PIDFILE_DIR": "/run/kea", "KEA_LOCKFILE_DIR": "/run/kea"}
    return [
        ProcessSpec(
            "kea",
            "kea",
            ("kea-dhcp4", "-c", "/etc/kea/kea-dhcp4.conf"),
            namespace=namespace,
            user="_kea",
            capabilities=("net_bind_service", "net_raw"),
            binds=binds,
            environment=environment,
            after=("postgres-databases",),
            ready=Probe(log="DHCP4_STARTED"),
        ),
        # takes commands over HTTP: the BNGs read the leases by it
        ProcessSpec(
            "kea-ctrl-agent",
            "kea",
            ("kea-ctrl-agent", "-c", "/etc/kea/kea-ctrl-agent.conf"),
            namespace=namespace,
            user="_kea",
            binds=binds,
            environment=environment,
            ready=Probe(tcp=(LEASE_API_PORT,), address=str(config.services_at.kea)),
        ),
    ]


def _radius(network: Topology, paths: LabPaths) -> ProcessSpec:
    return ProcessSpec(
        "radius",
        "radius",
        ("freeradius", "-f", "-l", "stdout", "-d", "/etc/freeradius"),
        namespace=network.namespace("radius"),
        user="freerad",
        binds=((str(paths.root / "radius/raddb"), "/etc/freeradius"),),
        after=("postgres-databases",),
        ready=Probe(log="Ready to process requests"),
    )


def _bng(bng: Bng, network: Topology, paths: LabPaths) -> ProcessSpec:
    return ProcessSpec(
        bng.bng_id,
        bng.bng_id,
        aether(
            "bng",
            "run",
            "--config",
            str(paths.bng(bng.bng_id) / "startup.json"),
            "--state-dir",
            str(paths.bng_state(bng.bng_id)),
        ),
        namespace=network.namespace(bng.bng_id),
        # it answers nobody before they do; its last Accounting-Stop needs them still
        uses=("kea", "radius"),
        ready=Probe(tcp=(NETCONF_PORT, GNMI_PORT), address=str(bng.dhcp_uplink.ip)),
        stop_timeout=10.0,
    )


def _redis(network: Topology, paths: LabPaths) -> ProcessSpec:
    """The optional stream of events; its file is on disk before the collector hears that it took them."""
    where = ("--bind", "127.0.0.1", "--port", str(REDIS_PORT), "--dir", str(paths.root))
    durable = ("--appendonly", "yes", "--appendfsync", "always", "--appenddirname", "redis", "--save", "")
    return ProcessSpec(
        "redis",
        "collector",
        ("redis-server", *where, *durable),
        namespace=network.namespace("collector"),
        ready=Probe(log="Ready to accept connections"),
    )


def _bus(network: Topology, paths: LabPaths) -> list[ProcessSpec]:
    """The optional bus, and who writes what is on it."""
    namespace = network.namespace("collector")
    where = ("-a", "127.0.0.1", "-p", str(NATS_PORT), "-js", "-sd", str(paths.root / "nats"))
    return [
        ProcessSpec(
            "nats",
            "collector",
            ("nats-server", *where),
            namespace=namespace,
            ready=Probe(log="Server is ready"),
        ),
        ProcessSpec(
            "writer",
            "collector",
            aether("collector", "write", "--config", str(paths.root / "writer.json")),
            namespace=namespace,
            after=("postgres-databases", "nats"),
        ),
    ]


def _management(config: LabConfig, network: Topology, paths: LabPaths) -> list[ProcessSpec]:
    services = config.services_at
    return [
        *([_redis(network, paths)] if services.redis_streams.own else []),
        *(_bus(network, paths) if services.jetstream.enabled else []),
        ProcessSpec(
            "collector",
            "collector",
            aether("collector", "run", "--config", str(paths.root / "collector.json")),
            namespace=network.namespace("collector"),
            after=("postgres-databases",),
            uses=tuple(bng.bng_id for bng in config.bngs),
        ),
        ProcessSpec(
            "oss",
            "oss",
            aether("oss", "run", "--config", str(paths.root / "oss.json")),
            namespace=network.namespace("oss"),
            after=("postgres-databases",),
            ready=Probe(tcp=(services.oss_port,), address=str(services.oss)),
        ),
        ProcessSpec(
            SEED,
            "oss",
            python("lab.seeded", str(paths.root / "oss.json"), str(_SEED_PATIENCE)),
            namespace=network.namespace("oss"),
            oneshot=True,
            after=("oss",),
        ),
    ]


def _access_node(remote_id: str, network: Topology, paths: LabPaths) -> ProcessSpec:
    return ProcessSpec(
        remote_id,
        remote_id,
        python("lab.accessnode", "--config", str(paths.root / "access-node" / f"{remote_id}.json")),
        namespace=network.namespace(remote_id),
        ready=Probe(log="accessnode.ready"),
    )


def _subscriber(remote_id: str, port: int, bng: Bng, network: Topology, paths: LabPaths) -> ProcessSpec:
    name = host_name(remote_id, port)
    return ProcessSpec(
        name,
        name,
        (
            "udhcpc",
            "-f",  # stay in the foreground
            "-R",  # release the address at the end
            "-i",
            topology.HOST_INTERFACE,
            "-s",
            str(paths.root / "subscriber/udhcpc.sh"),
            "-x",
            f"hostname:{name}",
            "-t",
            "4",
            "-T",
            "2",
            "-A",
            "3",
        ),
        namespace=network.namespace(name),
        # the OSS tells RADIUS of the services; a line that asks earlier is refused and waits for its retry
        after=(remote_id, bng.bng_id, SEED, "kea", "radius"),
        ready=Probe(log=r'"dhcp\.(bound|renew)"'),
    )
