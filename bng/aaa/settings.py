"""What of the configuration the RADIUS client needs. Names and units as in `aether-bng:aaa`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Server:
    """A RADIUS server.

    Attributes:
        name, address: as configured; dotted text.
        auth_port, acct_port: UDP ports.
        secret: shared secret.
        timeout: milliseconds until the first retransmission; doubled at each.
        retries: retransmissions before the next server is asked.
        priority: lower is asked first.
        status_server: whether Status-Server finds out that it is back when it was silent.
    """

    name: str
    address: str
    secret: bytes
    auth_port: int = 1812
    acct_port: int = 1813
    timeout: int = 2000
    retries: int = 3
    priority: int = 10
    status_server: bool = True


@dataclass(frozen=True, slots=True)
class AaaSettings:
    """Configuration of the client.

    Attributes:
        nas_identifier: NAS-Identifier and Called-Station-Id.
        nas_ip_address: NAS-IP-Address, dotted text.
        user_password: User-Password of Access-Requests.
        servers: in any order.
        source_ports: UDP source ports; each holds 256 requests in flight per server and port.
        max_waiting: Access-Requests that may wait for a free identifier.
        accounting_window: accounting records in flight at once.
        window: accounting records in memory while the others are on the disk.
        max_records: accounting records in memory that the disk refused; beyond it the oldest is lost.
        max_age: seconds that a record is kept.
    """

    nas_identifier: str
    nas_ip_address: str
    user_password: str
    servers: tuple[Server, ...]
    source_ports: int = 8
    max_waiting: int = 65536
    accounting_window: int = 512
    window: int = 4096
    max_records: int = 50_000
    max_age: int = 86_400
