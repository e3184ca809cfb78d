"""What publishers and writers tell Prometheus of the bus; docs/collector.md explains each."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

PUBLISHED = Counter(
    "aether_collector_bus_published", "Messages of the bus that JetStream has stored", ["bng_id", "kind"]
)
PUBLISHED_OCTETS = Counter(
    "aether_collector_bus_published_bytes", "Octets of the messages that JetStream has stored", ["bng_id"]
)
HOLES = Counter(
    "aether_collector_bus_holes", "Times that a writer found messages of the bus gone", ["bng_id"]
)
WAITING = Gauge(
    "aether_collector_bus_waiting", "Messages of the bus that a writer has not read yet", ["bng_id"]
)
