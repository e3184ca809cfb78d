"""Whether all of the newest tick of samples was read. Of a collector before this, it is taken to be."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE cursors ADD COLUMN tick_whole boolean NOT NULL DEFAULT true")
