"""The base ruleset: the gate, the protection of the BNG itself, NAT.

The path of a packet from a subscriber: the gate in prerouting (before connection tracking, so that closing
it cuts live flows, translated ones too) looks its source up in a map; what is not there is dropped, what is
there is classified for the upload shaper. What is for the BNG's own addresses meets `own` in input, and
`own_upstream` when it comes from there (`guard`). What is forwarded leaves upstream, or to another
subscriber through the same gate as everything downstream: the map of destinations, which classifies for the
download shaper.

The elements of the maps are not here: `elements` adds and removes them, and applying the ruleset again leaves
them in place.
"""

from __future__ import annotations

import contextlib

import nftables

from bng.dataplane import guard as guards
from bng.dataplane import natmap
from bng.dataplane.base import DataPlaneError, Guard, Nat

SUBSCRIBER_GROUP = 0xAE01
UPSTREAM_GROUP = 0xAE02
"""Interface groups (`ip link set … group`): one comparison tells the role of an interface, and one that was
made anew has none, so that nothing is forwarded for it until it is set up."""

MAP_SIZE = 262_144

_RULESET = """
table ip aether {{
    map up {{
        typeof meta iif . ether saddr . ip saddr : meta priority
        size {size}
        counter
    }}
    map up_routed {{
        typeof meta iif . ip saddr : meta priority
        size {size}
        counter
    }}
    map dn {{
        typeof ip daddr : meta priority
        size {size}
        counter
    }}
    {maps}
    set flows {{
        typeof ip saddr
        size {size}
        flags dynamic
    }}
    chain new_flow {{
    }}
    chain no_flow {{
    }}
    chain gate {{
    }}
    chain own {{
    }}
    chain own_upstream {{
    }}
    chain prerouting {{
        type filter hook prerouting priority raw; policy accept;
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
    }}
}}
flush table ip aether
flush set ip aether flows
table ip aether {{
    {tracked}
    chain gate {{
        udp dport 67 counter drop comment "DHCP: the capture has its copy"
        meta priority set meta iif . ether saddr . ip saddr map @up accept
        meta priority set meta iif . ip saddr map @up_routed accept
        icmp type echo-request {answerable} limit rate 200/second burst 50 packets notrack accept
        icmp type echo-reply {answerable} limit rate 200/second burst 50 packets notrack accept
        counter drop comment "not authorised"
    }}
    chain prerouting {{
        meta iifgroup {subscriber} goto gate
        {outside}
    }}
    chain own {{
        {own}
    }}
    chain own_upstream {{
        {own_upstream}
    }}
    chain input {{
        {unused}
        meta iifgroup {subscriber} goto own
        meta iifgroup {upstream} goto own_upstream
    }}
    chain forward {{
        tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
        meta oifgroup {subscriber} meta priority set ip daddr map @dn accept
        meta oifgroup {subscriber} counter drop comment "no such subscriber"
        {hidden}
        meta iifgroup {subscriber} meta oifgroup {upstream} accept
        counter
    }}
    {translation}
}}
{no_translation}
table ip6 aether {{
    chain prerouting {{
        type filter hook prerouting priority raw; policy accept;
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
    }}
}}
flush table ip6 aether
table ip6 aether {{
    chain prerouting {{
        meta iifgroup {subscriber} drop
    }}
    chain input {{
        meta iifgroup {upstream} meta l4proto ipv6-icmp accept
        meta iifgroup {upstream} {own_answers}
        meta iifgroup {upstream} counter drop
    }}
}}
"""
_NO_GUARD = Guard()


_ANSWERABLE = "fib saddr . iif oif exists fib daddr . iif type local"
"""Who is reached where it came from, and speaks to an address of that interface: an answer to a forged
source would carry a stranger's payload to the Internet or to the management network."""


def ruleset(nat: Nat | None, guard: Guard = _NO_GUARD) -> str:
    """The whole ruleset for `nft -f`: one transaction that leaves the elements of the maps alone."""
    prefixes = nat.prefixes if nat else ()
    translation, no_translation = "", "delete chain ip aether postrouting"
    tracked = ""
    unused, hidden = [], []
    if guard.hidden:
        hidden.append(
            f"meta iifgroup {SUBSCRIBER_GROUP} ip daddr {guards.prefixes(guard.hidden)} counter drop"
            ' comment "management"'
        )
    if nat and prefixes:
        translation = f"chain postrouting {{\n        {_lines(_translation(nat))}\n    }}"
        no_translation = ""
        tracked = _tracked(nat)
        ends = f"meta iifgroup {SUBSCRIBER_GROUP} meta oifgroup {UPSTREAM_GROUP}"
        hidden.append(f"{ends} ct state vmap {{ invalid : goto no_flow, new : goto new_flow }}")
    if nat and nat.pool:
        unused.append(f'ip daddr {guards.prefixes(nat.pool)} counter drop comment "no such flow"')
    return _RULESET.format(
        size=MAP_SIZE,
        maps=natmap.MAPS.format(size=MAP_SIZE),
        answerable=_ANSWERABLE,
        subscriber=SUBSCRIBER_GROUP,
        upstream=UPSTREAM_GROUP,
        outside=_lines(guards.outside(guard, UPSTREAM_GROUP)),
        tracked=tracked,
        own_answers=guards.TCP_ANSWERS,
        own=_lines(guards.from_subscribers(guard)),
        own_upstream=_lines(guards.from_upstream(guard, tracked=bool(nat and prefixes))),
        unused=_lines(unused),
        hidden=_lines(hidden),
        translation=translation,
        no_translation=no_translation,
    )


def _tracked(nat: Nat) -> str:
    """Chains for what opens a flow upstream, and for what tracking gives up on: that is not translated, and
    must not leave with the address inside. Nobody may fill the table of all (RFC 6888, REQ-4)."""
    limit = ""
    if nat.flow_limit:
        # A flow that nothing has answered is new with each packet; confirmed is what was let through before.
        count = f"add @flows {{ ip saddr ct count over {nat.flow_limit} }} counter drop"
        limit = f"ct status confirmed accept\n        {count}"
    return f"""chain new_flow {{
        {limit}
        accept
    }}
    chain no_flow {{
        counter drop comment "no flow, and none can begin with it"
    }}"""


def arp_ruleset() -> str:
    """What limits ARP; apart, because a kernel may be without it (CONFIG_NF_TABLES_ARP)."""
    return guards.ARP_TABLE.format(subscriber=SUBSCRIBER_GROUP)


def _translation(nat: Nat) -> list[str]:
    source = guards.prefixes(nat.prefixes)
    if nat.pool:
        return natmap.rules(UPSTREAM_GROUP, source)
    how = f"snat to {nat.address}" if nat.address else "masquerade"
    return [f"meta oifgroup {UPSTREAM_GROUP} ip saddr {source} {how}"]


def _lines(rules: list[str]) -> str:
    return "\n        ".join(rules)


def run(commands: str) -> None:
    """Carry nft commands out, all or none. Raises DataPlaneError."""
    code, _, complaint = nftables.Nftables().cmd(commands)
    if code:
        raise DataPlaneError(f"nftables refused the ruleset: {_first_line(complaint)}")


def remove_tables() -> None:
    """Take the ruleset and all elements away."""
    run("table ip aether\ntable ip6 aether\ndelete table ip aether\ndelete table ip6 aether\n")
    with contextlib.suppress(DataPlaneError):  # a kernel without it
        run("table arp aether\ndelete table arp aether\n")


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
