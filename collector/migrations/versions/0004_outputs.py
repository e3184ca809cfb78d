"""A number for each event in the order of its commit within a BNG: what outputs read by.

`seq` begins anew with a new journal and `time` may step back then; a number from a sequence does neither.
One BNG's events are written by one transaction at a time (each begins with the lock on the row of `cursors`),
so a higher number is never visible before a lower one of the same BNG. Events from before have none: nothing
is rewritten, and outputs begin after them.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    "CREATE SEQUENCE events_number AS bigint",
    "ALTER TABLE events ADD COLUMN number bigint",
    "ALTER TABLE events ALTER COLUMN number SET DEFAULT nextval('events_number')",
    "ALTER SEQUENCE events_number OWNED BY events.number",
    "CREATE INDEX events_number_of ON events (bng_id, number) WHERE number IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
