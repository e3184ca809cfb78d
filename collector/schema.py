"""Names of the tables' columns, once, for those who write and those who read them.

A column is named as its YANG leaf, with ``-`` written ``_``.
"""

COUNTERS = ("in_octets", "out_octets", "in_packets", "out_packets", "in_discards", "out_discards")
"""Counters of a session: 'in' is from the subscriber, 'out' is to the subscriber."""

TRANSLATION = ("nat_address", "nat_port_first", "nat_port_last")
"""What a session's packets leave with; the leaves of container `nat`."""

IDENTITY = ("remote_id", "circuit_id", "username", "mac_address", "ip_address")

EVENT = (
    "bng_id",
    "seq",
    "time",
    "time_ns",
    "instance_id",
    "type",
    "session_id",
    *IDENTITY,
    "interface",
    "nas_port_id",
    "status",
    "profile",
    "download_rate",
    "upload_rate",
    *TRANSLATION,
    "started",
    "lease_expiry",
    "terminate_cause",
    "reason",
    "router",
    *COUNTERS,
)
"""Columns of `events`."""

SESSION = (
    *IDENTITY,
    "interface",
    "nas_port_id",
    "status",
    "profile",
    "download_rate",
    "upload_rate",
    *TRANSLATION,
    "started",
    "last_change",
    "lease_expiry",
)
"""Columns of `sessions_active` and `sessions_history` that events set."""

HEALTH = (
    "uptime",
    "cpu_usage",
    "memory_usage",
    "memory_limit",
    "loop_lag",
    "sessions",
    "sessions_active",
    "queue_depth",
    "dhcp_received",
    "dhcp_dropped",
    "netlink_errors",
    "conntrack_entries",
    "conntrack_limit",
    "nat_bindings",
    "nat_bindings_limit",
    "journal_newest_seq",
)
"""Numeric columns of `health_samples`."""

CHANNEL_SESSIONS = "aether_sessions"
CHANNEL_SAMPLES = "aether_samples"
CHANNEL_HEALTH = "aether_health"
CHANNEL_BNGS = "aether_bngs"
CHANNELS = (CHANNEL_SESSIONS, CHANNEL_SAMPLES, CHANNEL_HEALTH, CHANNEL_BNGS)
"""NOTIFY channels; the payload is a JSON object with at least ``bng_id``."""
