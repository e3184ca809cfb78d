"""What the collector tells Prometheus about itself."""

from prometheus_client import Counter, Gauge

EVENTS = Counter("aether_collector_events", "Events committed", ["bng_id"])
SAMPLES = Counter("aether_collector_samples", "Session samples committed", ["bng_id"])
RECONNECTS = Counter("aether_collector_reconnects", "Sessions to a BNG that broke", ["bng_id"])
OWNED = Gauge("aether_collector_owned_targets", "BNGs that this collector holds the lease of")
FOREIGN = Counter("aether_collector_foreign_values", "Values of foreign targets committed", ["target"])
HELD = Gauge("aether_collector_held_bytes", "Read and not written yet, of the budget")
UP = Gauge("aether_collector_target_up", "1 while the streams of a target are there", ["target"])
ROLLED = Counter("aether_collector_rolled_windows", "Windows that were rolled up by this collector")
