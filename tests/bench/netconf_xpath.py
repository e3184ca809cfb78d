"""netconf-xpath: milliseconds for a NETCONF get with an XPath filter over 10,000 sessions of 20 leaves each.

The figure is the median over the filters that people write (`FILTERS`), each measured behind OpenSSH's client
from the request to the last octet of the reply, with access control on and the server in a process of its
own. The baseline is a client that does without: it gets all sessions, parses them with libxml2 and selects
with libxml2's XPath (lxml), for the same filters in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

import netconf_get as get
from lxml import etree

NS = {"s": get.SUBSCRIBER, "p": "urn:aether:yang:aether-shaping"}
FILTERS = (
    "/s:sessions/s:session[s:status='idle']",
    "//s:session[s:username='bng-01/an-0003/1/0/5']",
    "/s:sessions/s:session[s:status='active' and s:access-line/s:remote-id='an-0003']/s:ip-address",
    "/s:sessions/s:session[s:status='idle' or s:profile='silver']/s:username",
    f"/s:sessions/s:session[s:id='{42:016x}' and s:status!='idle']",
    "/s:sessions/s:session[starts-with(s:username,'bng-01/an-0003/')]",
    "/s:sessions/s:session[contains(s:ip-address,'.64.3.')]/s:username",
    "/s:sessions/s:session[s:counters/s:out-octets > 80000000000]/s:username",
    "/s:sessions/s:session[s:download-rate >= 100000000 and s:counters/s:in-discards > 0]/s:counters",
    "/s:sessions/s:session[s:status!='active']",
    "/s:sessions/s:session[not(s:nat)][s:profile='gold']/s:id",
    "/s:sessions/s:session[s:counters/s:out-octets > 1000000][position() <= 10]/s:username",
    "/s:sessions/s:session[5000]",
    "//s:username",
    "/s:sessions/s:session[contains(s:username,'an-0007/')]/s:counters | /p:shaping-profiles",
)
GENERAL = (
    "/s:sessions/s:session[last()]",
    "//s:session[contains(.,'an-0003/')]/s:id",
    "/s:sessions/s:session[s:counters[s:in-discards=12]]/s:id",
)
"""What is evaluated on a document: shown in the conditions."""


def request(xpath: str) -> bytes:
    """The get with a filter."""
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
    return (
        f"<rpc xmlns='{get.BASE}' message-id='1'><get><filter type='xpath' {declared} "
        f"select={quoteattr(xpath)}/></get></rpc>"
    ).encode()


def judged(client: get.OpenSsh, xpath: str) -> tuple[float, int]:
    """Milliseconds to get and select without a filter, and the sessions that have something selected."""
    started = time.perf_counter()
    data = client.request(get.GET)[1]
    reply = get.unframe(data)
    root = etree.ElementTree(reply[0][0])  # absolute paths begin at the sessions
    found = root.xpath(xpath, namespaces=NS)
    took = (time.perf_counter() - started) * 1000
    entries = {
        next(level for level in (node, *node.iterancestors()) if level.tag == f"{{{NS['s']}}}session")
        for node in found
    }
    return took, len(entries)


def measure(client: get.OpenSsh, filters: tuple[str, ...], rounds: int) -> list[tuple[float, float]]:
    """Median milliseconds of each filter, by the server and by the client, in turns."""
    results = []
    for xpath in filters:
        times: list[float] = []
        others: list[float] = []
        for _ in range(rounds):
            took, reply = client.request(request(xpath))
            times.append(took)
            other, expected = judged(client, xpath)
            others.append(other)
            found = len(get.unframe(reply).findall(f".//{{{get.SUBSCRIBER}}}session"))
            if found != expected:
                raise SystemExit(f"{xpath}: {found} sessions, {expected} by libxml2")
        results.append((statistics.median(times), statistics.median(others)))
    return results


def main() -> None:
    """Measure both and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    harness = get.load("harness", Path(__file__).with_name("harness.py"))
    with tempfile.TemporaryDirectory() as folder, get.server(Path(folder)) as (port, _):
        client = get.OpenSsh(port, Path(folder) / "key")
        try:
            measure(client, FILTERS[:2], 1)
            typical = measure(client, FILTERS, rounds)
            general = measure(client, GENERAL, max(1, rounds // 2))
            whole = statistics.median(client.request(get.GET)[0] for _ in range(rounds))
        finally:
            client.close()
    value, baseline = (statistics.median(column) for column in zip(*typical, strict=True))
    slowest, at = max((took, xpath) for (took, _), xpath in zip(typical, FILTERS, strict=True))
    harness.report(
        "netconf-xpath",
        round(value, 1),
        "ms",
        "all sessions by NETCONF, parsed and selected by libxml2 in the client",
        round(baseline, 1),
        baseline / value,
        f"{len(FILTERS)} filters over {get.SESSIONS} sessions of {get.LEAVES} leaves, NACM on; slowest "
        f"{slowest:.1f} ({at}); all sessions without a filter {whole:.1f}; filters that need a document "
        f"{', '.join(f'{took:.0f}' for took, _ in general)} ms; OpenSSH client in another process; median of "
        f"{rounds} each",
    )


if __name__ == "__main__":
    main()
