"""Rules that protect the BNG's own addresses, as text of the ruleset.

Four sides: what subscribers may say to the BNG (a ping), what may come from upstream (answers to what the BNG
asked, pings within a limit, ICMP errors, and services that are meant to be reached there), what may not come
from upstream at all (sources that are inside, BCP 38), and how much ARP a subscriber may send.

Interfaces without a role (management) are not touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, collapse_addresses

from bng.dataplane.base import Guard, Service

ARP_TABLE = """
table arp aether {{
    set speakers {{
        type iface_index . ether_addr
        size 65536
        flags dynamic
        timeout 10s
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
    }}
}}
flush table arp aether
table arp aether {{
    chain input {{
        meta iifgroup {subscriber} update @speakers {{ \
            iif . arp saddr ether limit rate over 20/second burst 40 packets }} counter drop
    }}
}}
"""
"""Each request costs the BNG an answer and an entry in its table of neighbours."""

_HERE = "fib daddr . iif type local"
"""To an address of the interface that it came in by: the kernel itself takes those of all."""

TCP_ANSWERS = "tcp flags & (fin | syn | rst | ack) != syn tcp dport 32768-60999 accept"
"""What answers is of a connection that the BNG opened; a SYN alone would open one."""

_ERRORS = "icmp type { destination-unreachable, time-exceeded, parameter-problem }"


def from_subscribers(guard: Guard) -> list[str]:
    """Rules of chain `own`, which has the packets that are for the BNG itself."""
    limit = "limit rate 1000/second burst 200 packets accept"
    rules = [f"icmp type {{ echo-request, echo-reply }} {_HERE} {limit}"]
    if guard.answers:
        answers = "{ " + ", ".join(str(address) for address in guard.answers) + " }"
        rules.append(f"icmp type echo-request ip daddr {answers} {limit}")
    return [*rules, 'counter drop comment "for the BNG itself"']


def from_upstream(guard: Guard, *, tracked: bool) -> list[str]:
    """Rules of chain `own_upstream`, which has the packets from upstream that are for the BNG itself.

    Args:
        tracked: connections are tracked. Without NAT they are not, because that costs every packet that is
            forwarded; then answers are told by their ports and flags.
    """
    limit = "limit rate 100/second burst 50 packets accept"
    # Pings first: to connection tracking, all but the first of them are of a flow that is established.
    rules = [
        f"icmp type echo-request {_HERE} {limit}",
        "icmp type echo-request counter drop",
        f"icmp type echo-reply {_HERE} limit rate 1000/second burst 200 packets accept",
        f"{_ERRORS} limit rate 1000/second burst 200 packets accept",
    ]
    if tracked:
        rules.append("ct state established,related accept")
    else:
        rules.append(TCP_ANSWERS)
        rules.append("udp sport { 53, 123 } udp dport 32768-60999 accept")
    rules += [_service(service) for service in guard.services]
    return [*rules, 'counter drop comment "for the BNG itself, from upstream"']


def outside(guard: Guard, upstream: int) -> list[str]:
    """Rules of prerouting that drop what comes from upstream with a source that is inside."""
    nets = list(collapse_addresses(guard.inside))
    if not nets:
        return []
    # One comparison is cheaper than the look-up in a set.
    sources = [str(net) for net in nets] if len(nets) <= 2 else [prefixes(nets)]
    comment = 'comment "inside address from upstream"'
    return [f"meta iifgroup {upstream} ip saddr {source} counter drop {comment}" for source in sources]


def prefixes(networks: Iterable[IPv4Network]) -> str:
    """A set of networks, in nft's words; they may overlap."""
    return "{ " + ", ".join(str(network) for network in collapse_addresses(networks)) + " }"


def _service(service: Service) -> str:
    parts = []
    if service.sources:
        parts.append(f"ip saddr {prefixes(service.sources)}")
    if service.address is not None:
        parts.append(f"ip daddr {service.address}")
    direction = "sport" if service.answers else "dport"
    ports = ", ".join(str(port) for port in sorted(set(service.ports)))
    parts.append(f"{service.protocol} {direction} {{ {ports} }}")
    if not service.sources:
        parts.append(_HERE)
    return " ".join((*parts, "accept"))
