"""Which instance of each BNG the plans were last delivered to."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE bng_instances (bng_id text PRIMARY KEY, instance_id uuid NOT NULL, "
        "noticed timestamptz NOT NULL DEFAULT now())"
    )


def downgrade() -> None:
    op.execute("DROP TABLE bng_instances")
