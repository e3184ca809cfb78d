"""Events that PostgreSQL does not take, whole, as JSON of the gNMI Notification. `stored` is set when
`aether collector replay` could write the event after all."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = (
    """CREATE TABLE events_rejected (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, bng_id text NOT NULL,
        instance_id text, seq bigint, time timestamptz NOT NULL, time_ns bigint NOT NULL,
        type text, session_id text, reason text NOT NULL, notification text NOT NULL,
        detected timestamptz NOT NULL DEFAULT now(), stored timestamptz)""",
    # one whose number cannot be read is known by what it is
    """CREATE UNIQUE INDEX events_rejected_once ON events_rejected
        (bng_id, time_ns, md5(notification))""",
    "CREATE INDEX events_rejected_detected ON events_rejected (detected)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
