"""Which collectors are alive and what they are configured with: by this they divide the targets."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = (
    """CREATE TABLE collectors (
        owner text PRIMARY KEY, since timestamptz NOT NULL, expires timestamptz NOT NULL,
        targets text[] NOT NULL)""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
