"""How many ticks are between two samples of a BNG as a rule, null while that is not known."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("ALTER TABLE cursors ADD COLUMN tick_step bigint")
