"""The tables of the collector. Columns are named as the leaves of the YANG model."""

from alembic import op

revision = "0001"
down_revision = None

COUNTERS = """
    in_octets bigint NOT NULL DEFAULT 0, out_octets bigint NOT NULL DEFAULT 0,
    in_packets bigint NOT NULL DEFAULT 0, out_packets bigint NOT NULL DEFAULT 0,
    in_discards bigint NOT NULL DEFAULT 0, out_discards bigint NOT NULL DEFAULT 0"""

IDENTITY = """
    remote_id text, circuit_id text, username text, mac_address macaddr, ip_address inet"""

SESSION = f"""
    bng_id text NOT NULL, session_id text NOT NULL, {IDENTITY},
    interface text, nas_port_id text, status text, profile text,
    download_rate bigint, upload_rate bigint,
    started timestamptz, last_change timestamptz, lease_expiry timestamptz, {COUNTERS},
    tick bigint, sampled_at timestamptz"""

STATEMENTS = (
    """CREATE TABLE bngs (
        bng_id text PRIMARY KEY, instance_id uuid, version text,
        state text NOT NULL DEFAULT 'connecting' CHECK (state IN ('connecting', 'connected', 'unreachable')),
        error text, gnmi_address text, connected_since timestamptz, last_seen timestamptz)""",
    f"""CREATE TABLE events (
        bng_id text NOT NULL, seq bigint NOT NULL, time timestamptz NOT NULL, time_ns bigint NOT NULL,
        instance_id uuid NOT NULL, type text NOT NULL, session_id text, {IDENTITY},
        interface text, nas_port_id text, status text, profile text,
        download_rate bigint, upload_rate bigint, started timestamptz, lease_expiry timestamptz,
        terminate_cause text, reason text, router jsonb, {COUNTERS.replace("NOT NULL DEFAULT 0", "")},
        PRIMARY KEY (bng_id, instance_id, seq))""",
    # one BNG's seq never repeats while its journal lives; a new journal comes with a new instance
    "CREATE INDEX events_time ON events (time DESC, bng_id, seq)",
    "CREATE INDEX events_session ON events (session_id, time) WHERE session_id IS NOT NULL",
    "CREATE INDEX events_username ON events (username, time) WHERE username IS NOT NULL",
    # counters change at every tick: room on the page keeps the updates off the indexes (HOT)
    f"CREATE TABLE sessions_active ({SESSION}, PRIMARY KEY (bng_id, session_id)) WITH (fillfactor = 60)",
    "CREATE INDEX sessions_active_line ON sessions_active (bng_id, remote_id, circuit_id)",
    "CREATE INDEX sessions_active_username ON sessions_active (username)",
    f"""CREATE TABLE sessions_history ({SESSION},
        stopped timestamptz NOT NULL, terminate_cause text, reason text,
        during tstzrange GENERATED ALWAYS AS (tstzrange(least(started, stopped), stopped, '[]')) STORED,
        PRIMARY KEY (bng_id, session_id))""",
    "CREATE INDEX sessions_history_during ON sessions_history USING gist (during)",
    "CREATE INDEX sessions_history_stopped ON sessions_history (stopped DESC)",
    "CREATE INDEX sessions_history_username ON sessions_history (username, stopped DESC)",
    f"""CREATE TABLE session_samples (
        time timestamptz NOT NULL, bng_id text NOT NULL, session_id text NOT NULL,
        tick bigint NOT NULL, {COUNTERS}) PARTITION BY RANGE (time)""",
    "CREATE INDEX session_samples_time ON session_samples USING brin (time)",
    """CREATE TABLE health_samples (
        time timestamptz NOT NULL, bng_id text NOT NULL, uptime bigint, cpu_usage bigint,
        memory_usage bigint, memory_limit bigint, loop_lag bigint, sessions bigint, sessions_active bigint,
        queue_depth bigint, dhcp_received bigint, dhcp_dropped bigint, netlink_errors bigint,
        journal_newest_seq bigint, radius_servers jsonb, dhcp_servers jsonb)""",
    "CREATE INDEX health_samples_time ON health_samples USING brin (time)",
    """CREATE TABLE access_routers (
        bng_id text NOT NULL, remote_id text NOT NULL, name text, address inet, reachability text,
        configured boolean NOT NULL DEFAULT true, last_seen timestamptz, round_trip_time bigint,
        active_sessions bigint, PRIMARY KEY (bng_id, remote_id))""",
    """CREATE TABLE cursors (
        bng_id text PRIMARY KEY, seq bigint NOT NULL DEFAULT 0, time_ns bigint NOT NULL DEFAULT 0,
        instance_id uuid, tick bigint, sampled_at timestamptz,
        epoch bigint NOT NULL DEFAULT 0)""",
    """CREATE TABLE leases (
        bng_id text PRIMARY KEY, owner text NOT NULL, epoch bigint NOT NULL, expires timestamptz NOT NULL)""",
    """CREATE TABLE gaps (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, bng_id text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('events', 'samples')), first bigint NOT NULL, last bigint NOT NULL,
        detected timestamptz NOT NULL DEFAULT now(), reason text NOT NULL)""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
