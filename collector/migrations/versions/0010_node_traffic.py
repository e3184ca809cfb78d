"""Traffic of access nodes beside the rollups, and what the OSS searches past sessions by.

Of what was rolled up before, the collector fills in what the OSS's pages can ask for: 24 hours and what they
look at beyond. Trigrams are in PostgreSQL's contrib, which Debian's package has; without them, or without the
right to create them, the search reads all rows, as before.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

TABLES = {
    "session_samples": "node_traffic",
    "session_samples_1m": "node_traffic_1m",
    "session_samples_5m": "node_traffic_5m",
    "session_samples_1h": "node_traffic_1h",
}

# Sums of many counters may exceed a bigint.
COLUMNS = """
    time timestamptz NOT NULL, before timestamptz NOT NULL, bng_id text NOT NULL, remote_id text NOT NULL,
    in_octets numeric NOT NULL, out_octets numeric NOT NULL"""

# For what is filled in and what comes late: the days and months that there are samples of.
PARTITIONS = """
    DO $$ DECLARE known record; BEGIN
        FOR known IN SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = '{source}'::regclass AND c.relname ~ '^{source}_[0-9]{{8}}$'
        LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF {table} %s',
                replace(known.relname, '{source}', '{table}'), known.bounds);
        END LOOP;
    END $$"""

SEARCHED = """(coalesce(username, '') || ' ' || coalesce(mac_address::text, '') || ' '
    || coalesce(host(ip_address), '') || ' ' || coalesce(session_id, '') || ' ' || coalesce(remote_id, '')
    || ' ' || coalesce(circuit_id, ''))"""

TRIGRAMS = f"""
    DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')
            OR EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')
                AND has_database_privilege(current_database(), 'CREATE')
        THEN
            CREATE EXTENSION IF NOT EXISTS pg_trgm;
            CREATE INDEX sessions_history_searched ON sessions_history USING gin ({SEARCHED} gin_trgm_ops);
        END IF;
    END $$"""  # noqa: S608

STATEMENTS = (
    *(f"CREATE TABLE {table} ({COLUMNS}) PARTITION BY RANGE (time)" for table in TABLES.values()),
    *(f"CREATE INDEX {table}_time ON {table} USING brin (time)" for table in TABLES.values()),
    *(PARTITIONS.format(source=source, table=table) for source, table in TABLES.items()),
    "ALTER TABLE rollups ADD COLUMN totals_from timestamptz, ADD COLUMN totals_due timestamptz",
    """UPDATE rollups SET totals_from = rolled_to, totals_due = CASE
        WHEN EXISTS (SELECT FROM session_samples)
        THEN date_bin(make_interval(secs => step), rolled_to - interval '27 hours', '2000-01-01 00:00+00')
        ELSE rolled_to END""",
    "ALTER TABLE rollups ALTER COLUMN totals_from SET NOT NULL, ALTER COLUMN totals_due SET NOT NULL",
    "CREATE INDEX sessions_history_line ON sessions_history (bng_id, remote_id, circuit_id, stopped DESC)",
    TRIGRAMS,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
