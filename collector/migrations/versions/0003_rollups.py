"""Rollups of samples, states of targets with their history, samples of foreign targets, a registry of
targets."""

from alembic import op

revision = "0003"
down_revision = "0002"

COUNTERS = """
    in_octets bigint NOT NULL, out_octets bigint NOT NULL, in_packets bigint NOT NULL,
    out_packets bigint NOT NULL, in_discards bigint NOT NULL, out_discards bigint NOT NULL"""

LEVELS = {"1m": 60, "5m": 300, "1h": 3600}

STATEMENTS = (
    *(
        # a row is a sample that was kept: the last one of its window and those where reading must not skip
        f"""CREATE TABLE session_samples_{name} (
            time timestamptz NOT NULL, bng_id text NOT NULL, session_id text NOT NULL,
            samples integer NOT NULL, {COUNTERS}) PARTITION BY RANGE (time)"""
        for name in LEVELS
    ),
    *(
        f"CREATE INDEX session_samples_{name}_time ON session_samples_{name} USING brin (time)"
        for name in LEVELS
    ),
    """CREATE TABLE rollups (
        step integer PRIMARY KEY, closed_to timestamptz NOT NULL, rolled_to timestamptz NOT NULL)""",
    *(
        f"""INSERT INTO rollups SELECT {step}, t, t FROM (SELECT date_bin('1 hour',
            coalesce((SELECT min(time) FROM session_samples), now()), '2000-01-01 00:00+00') AS t) oldest"""  # noqa: S608
        for step in LEVELS.values()
    ),
    """CREATE TABLE rollups_late (
        step integer NOT NULL, bng_id text NOT NULL, time timestamptz NOT NULL,
        PRIMARY KEY (step, bng_id, time))""",
    """CREATE TABLE target_state (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, target text NOT NULL,
        state text NOT NULL CHECK (state IN ('up', 'down', 'removed')),
        since timestamptz NOT NULL DEFAULT now(), until timestamptz, reason text, collector text)""",
    "CREATE UNIQUE INDEX target_state_now ON target_state (target) WHERE until IS NULL",
    "CREATE INDEX target_state_since ON target_state (target, since DESC)",
    """CREATE TABLE foreign_samples (
        time timestamptz NOT NULL, target text NOT NULL, subscription text NOT NULL, path text NOT NULL,
        kind text NOT NULL, number numeric, value jsonb) PARTITION BY RANGE (time)""",
    "CREATE INDEX foreign_samples_time ON foreign_samples USING brin (time)",
    "CREATE INDEX foreign_samples_path ON foreign_samples (target, path, time)",
    # targets beside those of the file: an entry of its 'targets' without bng_id
    """CREATE TABLE collector_targets (
        bng_id text PRIMARY KEY, definition jsonb NOT NULL, enabled boolean NOT NULL DEFAULT true)""",
    "ALTER TABLE gaps ADD COLUMN filled timestamptz",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
