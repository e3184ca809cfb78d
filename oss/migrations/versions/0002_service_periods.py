"""When a service ended: what happened on its line until then is its customer's, not the next one's."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE services ADD COLUMN terminated timestamptz")
    op.execute("UPDATE services SET terminated = changed WHERE status = 'TERMINATED'")
    op.execute("CREATE INDEX services_port ON services (bng_id, remote_id, circuit_id, created)")


def downgrade() -> None:
    op.execute("DROP INDEX services_port")
    op.execute("ALTER TABLE services DROP COLUMN terminated")
