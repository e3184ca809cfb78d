"""Which collectors are alive and what they are configured with: by this they divide the targets."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(
        """CREATE TABLE collectors (
            owner text PRIMARY KEY, since timestamptz NOT NULL, expires timestamptz NOT NULL,
            targets text[] NOT NULL)"""
    )
