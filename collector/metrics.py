"""What the collector tells Prometheus about itself; docs/collector.md explains each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import start_http_server

TARGET_UP = Gauge(
    "aether_collector_target_up", "1 while the streams of a target that is held are open", ["bng_id"]
)
OWNED = Gauge("aether_collector_owned_targets", "Targets that this collector holds the lease of")
TAKEN = Counter("aether_collector_leases_taken", "Leases taken")
TAKEOVERS = Counter("aether_collector_takeovers", "Leases taken that another owner or run had before")
LOST = Counter("aether_collector_leases_lost", "Leases lost, or given up because the session ended")
HANDED_OVER = Counter("aether_collector_leases_handed_over", "Leases handed over to balance the collectors")
RECONNECTS = Counter("aether_collector_reconnects", "Sessions to a target that broke", ["bng_id"])

EVENTS = Counter("aether_collector_events", "Events committed", ["bng_id"])
REJECTED = Counter("aether_collector_events_rejected", "Events that PostgreSQL did not take", ["bng_id"])
SAMPLES = Counter("aether_collector_samples", "Session samples committed", ["bng_id"])
GAPS = Counter("aether_collector_gaps", "Rows added to the table of gaps", ["bng_id", "kind"])
LAG = Gauge(
    "aether_collector_lag_seconds",
    "Age of the newest event or sample when it was committed",
    ["bng_id", "kind"],
)
BATCHES = Counter("aether_collector_batches", "Transactions of data committed", ["kind"])
FENCED = Counter("aether_collector_fenced_writes", "Transactions refused because another collector took over")
WRITE = Histogram(
    "aether_collector_write_seconds",
    "Time of a transaction of data, to its commit",
    ["kind"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
IN_FLIGHT = Gauge("aether_collector_in_flight_bytes", "Read and not yet committed, of the budget of memory")
FOREIGN = Counter("aether_collector_foreign_values", "Values of targets of others committed", ["bng_id"])
ROLLED = Counter("aether_collector_rolled_windows", "Windows that were rolled up by this collector")
DATABASE_FAILURES = Counter("aether_collector_database_failures", "Times that PostgreSQL could not be used")

OUTPUT_UP = Gauge("aether_collector_output_up", "1 while an output takes what it is given", ["output"])
OUTPUT_MESSAGES = Counter(
    "aether_collector_output_messages", "Messages an output took", ["output", "event_type"]
)
OUTPUT_FAILURES = Counter(
    "aether_collector_output_failures", "Times that an output could not be used", ["output"]
)
OUTPUT_CURRENT = Gauge(
    "aether_collector_output_current_timestamp_seconds",
    "When an output last had all events of the BNGs held, in seconds since 1970",
    ["output"],
)

BUS_PUBLISHED = Counter(
    "aether_collector_bus_published", "Messages that JetStream has acknowledged", ["bng_id", "kind"]
)
BUS_OCTETS = Counter(
    "aether_collector_bus_published_bytes",
    "Octets of the messages that JetStream has acknowledged",
    ["bng_id"],
)
BUS_HOLES = Counter("aether_collector_bus_holes", "Times that a writer found messages gone", ["bng_id"])
BUS_WAITING = Gauge("aether_collector_bus_waiting", "Messages that a writer has not read yet", ["bng_id"])

_PER_TARGET = (TARGET_UP, LAG, BUS_WAITING)


@contextmanager
def writing(kind: str) -> Iterator[None]:
    """Time what writes one transaction, and count it when it is committed."""
    began = time.perf_counter()
    yield
    WRITE.labels(kind).observe(time.perf_counter() - began)
    BATCHES.labels(kind).inc()


def committed(bng_id: str, kind: str, time_ns: int) -> None:
    """Something of a BNG with this time has just been committed."""
    LAG.labels(bng_id, kind).set(max(0.0, time.time() - time_ns / 1e9))


def forget(bng_id: str) -> None:
    """A BNG is not held any more: its gauges are another collector's to tell."""
    for gauge in _PER_TARGET:
        for labels in [s.labels for metric in gauge.collect() for s in metric.samples]:
            if labels.get("bng_id") == bng_id:
                gauge.remove(*(labels[name] for name in gauge._labelnames))


def serve(host: str, port: int, registry: CollectorRegistry = REGISTRY) -> Any:
    """Answer `GET /metrics` from a thread. Raises OSError when the address cannot be used."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a series per counter that nobody reads
    server, _ = start_http_server(port, host, registry=registry)
    return server
