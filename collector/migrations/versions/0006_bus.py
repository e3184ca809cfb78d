"""How far a writer has come on the bus with each BNG: number, id and time of the last message whose content
is committed, and the subscription that the newest tick came from. Nothing changes for collectors without a
bus."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE cursors ADD COLUMN bus_seq bigint, ADD COLUMN bus_id text, "
        "ADD COLUMN bus_time_ns bigint, ADD COLUMN bus_stream text"
    )
