"""What the collector tells Prometheus about itself."""

from prometheus_client import Counter, Gauge

EVENTS = Counter("aether_collector_events", "Events committed", ["bng_id"])
SAMPLES = Counter("aether_collector_samples", "Session samples committed", ["bng_id"])
RECONNECTS = Counter("aether_collector_reconnects", "Sessions to a BNG that broke", ["bng_id"])
OWNED = Gauge("aether_collector_owned_targets", "BNGs that this collector holds the lease of")
