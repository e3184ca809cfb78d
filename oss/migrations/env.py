"""What Alembic runs: the versions, on the connection that `oss.database.migrate` opened."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="oss_version")
context.run_migrations()
