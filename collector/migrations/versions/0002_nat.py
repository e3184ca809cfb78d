"""Public address and ports of sessions, and how much of both is in use."""

from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = """
    ADD COLUMN nat_address inet, ADD COLUMN nat_port_first integer, ADD COLUMN nat_port_last integer"""

STATEMENTS = (
    *(f"ALTER TABLE {table} {COLUMNS}" for table in ("events", "sessions_active", "sessions_history")),
    # who had an address and port at a time: the events with this address, from that time backwards
    "CREATE INDEX events_nat ON events (nat_address, time DESC) WHERE nat_address IS NOT NULL",
    """ALTER TABLE health_samples
        ADD COLUMN conntrack_entries bigint, ADD COLUMN conntrack_limit bigint,
        ADD COLUMN nat_bindings bigint, ADD COLUMN nat_bindings_limit bigint""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
