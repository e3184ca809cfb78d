"""nftables rules of an access node: what the kernel keeps away from its bridge and its router.

They hang at the ingress of each interface. Packet sockets see a frame before the ingress hook drops it, so
the relay still reads the DHCP that is dropped here.
"""

from __future__ import annotations

from ipaddress import IPv4Address

TABLE = "aether_access"


def ruleset(
    subscriber_interfaces: list[str],
    uplink: str,
    *,
    bridged: bool,
    protected: list[IPv4Address],
    pool: tuple[IPv4Address, IPv4Address],
) -> str:
    """Rules for ``nft -f``; loading them again replaces them.

    ``protected`` are the node's own management addresses, which subscribers must not reach. ``pool`` is what
    they may speak from, first and last address: nobody answers ARP for the gateway or for another node.
    Which address of the pool belongs to which port is the BNG's gate to check.
    """
    lines = [f"table netdev {TABLE}", f"delete table netdev {TABLE}", f"table netdev {TABLE} {{"]
    for interface in subscriber_interfaces:
        lines += _chain(f"from_{interface}", interface, _subscriber_rules(protected, pool))
    if bridged:
        # the relay delivers answers, without option 82 and to one port only
        lines += _chain(f"from_{uplink}", uplink, ["udp dport 68 drop"])
    return "\n".join([*lines, "}", ""])


def _subscriber_rules(protected: list[IPv4Address], pool: tuple[IPv4Address, IPv4Address]) -> list[str]:
    # 0.0.0.0 is who has no address yet: DHCP, and the probe for a duplicate (RFC 5227)
    sources = f"{{ 0.0.0.0, {pool[0]}-{pool[1]} }}"
    rules = [
        # an untagged IPv4 service: no VLAN tags, no IPv6, no spanning tree
        "ether type != { ip, arp } drop",
        # requests go through the relay
        "udp dport 67 drop",
        # no DHCP server behind a subscriber port
        "udp sport 67 drop",
        f"arp saddr ip != {sources} drop",
        f"ip saddr != {sources} drop",
    ]
    return rules + [f"ip daddr {address} drop" for address in protected]


def _chain(name: str, interface: str, rules: list[str]) -> list[str]:
    return [
        f"  chain {name} {{",
        f'    type filter hook ingress device "{interface}" priority 0; policy accept;',
        *(f"    {rule}" for rule in rules),
        "  }",
    ]
