"""Alembic migrations of the OSS's own tables (version table `oss_version`)."""
