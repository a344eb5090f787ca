"""Runs the migrations against the database that `alembic_url` (set by `app.kit` callers) names."""

from alembic import context
from sqlalchemy import create_engine

from app.models import metadata


def run() -> None:
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
